"""Why a night is held, or waits: a code, its arguments, and the sentence that is made of both.

The code decides; the sentence is for people, and nothing reads it back. It stands beside the code
in the ledger as it was on the day, for the history. What an operator wrote is an argument of a
code, and only ever words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from vampd.states import HoldCode, WaitCode

CauseCode: TypeAlias = HoldCode | WaitCode


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a night does not go on; *words* are what its sentence names, by their place in it.

    The word `text` is a sentence of an earlier version, which knew no codes: it stays as it was.
    """

    code: CauseCode
    words: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return self.words.get("text") or SENTENCES[self.code].format_map(self.words)


def cause_code(code: str | None) -> CauseCode | None:
    """The code that stands in the ledger."""
    if code is None:
        return None
    return HoldCode(code) if code in set(HoldCode) else WaitCode(code)


#: A sentence a code.
SENTENCES: Mapping[CauseCode, str] = {
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
    WaitCode.OLDER_NIGHT: "frame IDs of archive {older}, which is older and {older_status}",
    WaitCode.FAILURE: "{stage}: {error}",
    WaitCode.SENT_AGAIN: "{what}",
    WaitCode.EMPTY: "{why}",
    WaitCode.GIVEN_UP: "{why}",
}
