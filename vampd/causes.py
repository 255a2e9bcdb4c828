"""Why a night is held or waits, or a file is bad: a code, its arguments, and its sentence.

The code decides; the sentence is for people, and nothing reads it back. It stands beside the code
in the ledger as it was on the day, for the history. What an operator wrote is an argument of a
code, and only ever words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeAlias

from msgspec import Struct, field

from vampd.states import FileCode, HoldCode, WaitCode

CauseCode: TypeAlias = HoldCode | WaitCode


class Cause(Struct, frozen=True):
    """Why a night does not go on, or a file is not used; *words* are what its sentence names.

    The word `text` is a sentence of an earlier version, which knew no codes: it stays as it was.
    """

    code: CauseCode | FileCode
    words: Mapping[str, str] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash(self.code)

    def __str__(self) -> str:
        return self.words.get("text") or SENTENCES[self.code].format_map(self.words)


def file_cause(code: str | None, words: str | None, sentence: str | None) -> Cause | None:
    """Why a file is in its state, of what the ledger keeps; a sentence alone is an earlier one's.

    *words* are JSON. None: its state says it all.
    """
    if code is None:
        return None if sentence is None else Cause(FileCode.OTHER, {"text": sentence})
    return Cause(FileCode(code), json.loads(words or "{}"))


#: A sentence a code.
SENTENCES: Mapping[CauseCode | FileCode, str] = {
    HoldCode.ORDER: "{why}",
    HoldCode.RESTORED: "restored",
    HoldCode.BEING_RESTORED: "being restored; `vampd restore` finishes it",
    HoldCode.RAW_CHANGED: "raw file changed after {when}: {path}{more}",
    HoldCode.RAW_GONE: "raw file gone after {when}: {path}{more}",
    HoldCode.RAW_UNREADABLE: "raw file that cannot be read any more: {path}{more}",
    HoldCode.NOT_TAKEN: "not taken, and could be the cameras': {what}",
    HoldCode.FOLDER_AWAY: "its folder is not there: {what}",
    HoldCode.ANOTHER_DATE: "cubes of another date: {what}",
    HoldCode.NO_CUBE: "no cube can be used: {what}",
    HoldCode.EARLIER_PIPELINE: "the earlier pipeline was at work in its folder ({signs}):"
    " `vampd admin import-legacy` adopts it, `vampd restore` and `vampd release` do it anew",
    HoldCode.ADOPTED: "processed by the earlier pipeline; adopted, not verified",
    HoldCode.SHADOW: "as far as a shadow goes: `vampd admin shadow-report` compares",
    HoldCode.NOT_REBUILDABLE: "raw files cannot be rebuilt: {problem}",
    HoldCode.QUALITY: "quality outside its limits: {findings}",
    HoldCode.COPIES_WRONG: "{what}; {why_not}",
    HoldCode.RECORDS_LOST: "{why}",
    HoldCode.TROUBLE: "vampd cannot go on with it: {error}",
    WaitCode.DATE: "the end of its UTC date and {minutes} min of grace",
    WaitCode.QUIET: "{minutes} min without a change",
    WaitCode.LOOK: "one more look that finds nothing changed",
    WaitCode.SETTLE: "raw files to settle",
    WaitCode.CUBES: "cubes to be read",
    WaitCode.ROOT_ABSENT: "{root}: {why}",
    WaitCode.ROOT_UNKNOWN: "{root}: not among the roots of the settings, so nobody looks whether"
    " its disk is there",
    WaitCode.DISK_LOW: "less than {least} GB free at {root}, which are kept for the cameras",
    WaitCode.READ_THROUGH: "raw files to be read through",
    WaitCode.READ_AGAIN: "raw files to be read again: another inode or time than was recorded",
    WaitCode.BEGUN: "what was begun while it went on",
    WaitCode.BUILDERS: "{why}",
    WaitCode.OLDER_NIGHT: "frame IDs of archive {older}, which is older and {older_status}",
    WaitCode.FAILURE: "{stage}: {error}",
    WaitCode.SENT_AGAIN: "{what}",
    WaitCode.EMPTY: "{why}",
    WaitCode.GIVEN_UP: "{why}",
    FileCode.SEEN: "seen",
    FileCode.TO_BE_READ: "settled, to be read",
    FileCode.CHANGING: "{files} still changing",
    FileCode.BEING_WRITTEN: "being written under its temporary name",
    FileCode.LEFT_OVER: "left over by a crashed write: a temporary file that was never renamed",
    FileCode.WRITTEN_ANEW: "its name is being written: a temporary file of it is there",
    FileCode.UNCONFIRMED: "a temporary file of the same name is left over, and the header's times"
    " do not prove that cube and timing file belong together",
    FileCode.UNFINISHED_ROW: "the last row of the timing file is not finished",
    FileCode.LOST_CUBE: "lost cube: a timing file without its cube",
    FileCode.NO_TIMING: "no timing file",
    FileCode.TRUNCATED: "truncated: {found} bytes, its header says {expected}",
    FileCode.TOO_LONG: "too long: {found} bytes, its header says {expected}",
    FileCode.ROWS: "{rows} rows for {frames} frames",
    FileCode.UNREADABLE: "cannot be read: {error}",
    FileCode.CONTENT: "{problem}",
    FileCode.WRONG_CAMERA: "{cards}",
    FileCode.NOT_TOGETHER: "{times}",
    FileCode.NO_EXPOSURE: "EXPTIME is missing",
    FileCode.BAD_EXPOSURE: "EXPTIME is not a positive number: {value}",
    FileCode.ODD: "what it says is odd: {error}",
    FileCode.READING_FAILS: "reading it fails: {error}",
    FileCode.CONTRADICTION: "{cubes}",
    FileCode.CLOCK: "no acquisition times, and nothing proves by how much the logger's clock was"
    " ahead: {clock}; if you know it: vampd quarantine DATE FILE --accept --clock utc|tai"
    " --why TEXT",
    FileCode.BY_HAND: "{why}",
    FileCode.LEFT_OUT: "given up by {who}: {why}",
    FileCode.ANEW: "to be judged anew",
    FileCode.REOPENED: "{why}",
    FileCode.LATE: "came after its night was closed",
    FileCode.FOREIGN_FILE: "not a file of the cameras",
    FileCode.WENT: "no longer in its folder",
    FileCode.BACK: "back in its folder",
    FileCode.TRASHED: "in the trash; `vampd space undelete` puts it back",
    FileCode.GIVEN_BACK: "its space was given back",
    FileCode.LOST: "neither in its place nor in the trash, and not by vampd's doing",
    FileCode.ON_ITS_WAY: "on its way into or out of the trash",
    FileCode.OTHER: "{text}",
}
