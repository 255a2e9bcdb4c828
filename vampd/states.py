"""The state machine and nothing else.

Imports nothing of vampd. The CHECK lists of the migrations hold the same words;
a test keeps them equal.

    night:  collecting -> ready -> running -> safe -> reclaimed
                            |  ^      |
                            v  |      v
                  waiting / failed / held        (and: empty, abandoned)
"""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What a night's data are for; it decides which stages the night has."""

    ARCHIVE = "archive"  #: goes to the observatory's archive, with frame IDs
    ENGINEERING = "engineering"  #: stays with the instrument team


class Stage(StrEnum):
    """The stages of a night, in the order in which they are done."""

    SYNC = "sync"  #: decide every output cube from timing and headers
    FRAME_IDS = "frame_ids"  #: reserve frame IDs and bind them to outputs
    BUILD = "build"  #: write, read back and publish every output cube
    MANIFEST = "manifest"  #: list the frame IDs, paths and sizes for the archive
    TRANSFER = "transfer"  #: send what the ledger lists to the other machine
    VERIFY = "verify"  #: recompute every digest over there


class NightStatus(StrEnum):
    """Where a night is, in one word."""

    COLLECTING = "collecting"  #: files are arriving, or its date is not over
    READY = "ready"  #: closed; its first task waits for a worker
    RUNNING = "running"  #: a worker is at it
    WAITING = "waiting"  #: for a named cause that passes by itself
    FAILED = "failed"  #: the same work will fail again until someone acts
    HELD = "held"  #: a person must decide
    SAFE = "safe"  #: every file verified at the far end
    RECLAIMED = "reclaimed"  #: safe, and its space was given back
    EMPTY = "empty"  #: closed without a cube that could be used
    ABANDONED = "abandoned"  #: given up on an operator's word; raw files kept


class TaskState(StrEnum):
    """What has become of one unit of work."""

    PENDING = "pending"  #: waiting for a worker, or for its retry time
    RUNNING = "running"  #: claimed by a worker that still lives
    DONE = "done"  #: result complete, on disk, recorded
    FAILED = "failed"  #: gave up; an operator must act


class FileState(StrEnum):
    """What vampd knows of one file in a night's folder."""

    ARRIVING = "arriving"  #: still changing, or its partner is missing
    WHOLE = "whole"  #: complete and unchanged over two looks
    QUARANTINED = "quarantined"  #: bad: reported, never processed, never deleted
    LATE = "late"  #: came after its night was closed; taken up once the night is safe
    IGNORED = "ignored"  #: not ours: listed once, never opened
    GONE = "gone"  #: was here, is no longer


class FileCode(StrEnum):
    """Why a file is in its state, above all in quarantine; see `vampd.causes` for the sentences."""

    SEEN = "seen"  #: it was found
    TO_BE_READ = "to be read"  #: nothing of it changes any more
    CHANGING = "changing"
    BEING_WRITTEN = "being written"  #: under its temporary name
    LEFT_OVER = "left over"  #: so it stayed until the close
    WRITTEN_ANEW = "written anew"  #: a temporary file of the same name is there, too
    UNCONFIRMED = "unconfirmed"  #: so it stayed, and nothing proves the cube
    UNFINISHED_ROW = "unfinished row"
    LOST_CUBE = "lost cube"  #: its timing file is there
    NO_TIMING = "no timing"
    TRUNCATED = "truncated"
    TOO_LONG = "too long"
    ROWS = "rows"  #: not as many as frames
    UNREADABLE = "unreadable"  #: the system says so
    CONTENT = "content"  #: header or timing file are not what they must be
    WRONG_CAMERA = "wrong camera"
    NOT_TOGETHER = "not together"  #: cube and timing file
    NO_EXPOSURE = "no exposure"  #: no card says for how long
    BAD_EXPOSURE = "bad exposure"
    ODD = "odd"  #: the ledger cannot keep what it says
    READING_FAILS = "reading fails"  #: again and again
    CONTRADICTION = "contradiction"  #: another cube says otherwise
    CLOCK = "clock"  #: nobody knows what its logger's clock was ahead of UTC
    BY_HAND = "by hand"  #: somebody ordered it; the sentence is that person's
    LEFT_OUT = "left out"  #: somebody gave it up after its night was planned
    ANEW = "anew"  #: somebody ordered that it is judged again
    REOPENED = "reopened"  #: its night collects again
    LATE = "late"
    FOREIGN_FILE = "not a cube"  #: no file of the cameras
    WENT = "went"
    BACK = "back"
    TRASHED = "trashed"
    GIVEN_BACK = "given back"
    LOST = "lost"
    ON_ITS_WAY = "on its way"  #: into or out of the trash
    OTHER = "other"  #: a sentence of a version that knew no codes


class StrayState(StrEnum):
    """What is known of a raw file that does not lie in its folder as it was recorded."""

    UNREAD = "unread"  #: the same size, another inode or time: its bytes are to be read again
    OTHER = "other"  #: other bytes lie under its name
    MISSING = "missing"  #: nothing lies under its name
    UNREADABLE = "unreadable"  #: it cannot be read


class HoldCode(StrEnum):
    """Why a night is held. A person must decide; see `vampd.causes` for the sentences."""

    ORDER = "order"  #: somebody ordered it; the sentence is that person's
    RESTORED = "restored"
    BEING_RESTORED = "being restored"  #: a restore was begun, and did not come to its end
    RAW_CHANGED = "raw changed"  #: other bytes lie under the name of a raw file of a closed night
    RAW_GONE = "raw gone"  #: nothing lies there
    RAW_UNREADABLE = "raw unreadable"  #: what lies there cannot be read
    NOT_TAKEN = "not taken"  #: what could be the cameras' data lies where nothing is taken
    FOLDER_AWAY = "folder away"  #: its folder is not there, and files of it are known
    ANOTHER_DATE = "another date"  #: none of its cubes was taken near its folder's date
    NO_CUBE = "no cube"  #: cubes came, and none can be used
    EARLIER_PIPELINE = "earlier pipeline"  #: that one was at work in its folder
    ADOPTED = "adopted"  #: that one processed it, and it stays so
    SHADOW = "shadow"  #: as far as a shadow of that one goes
    NOT_REBUILDABLE = "not rebuildable"  #: raw files cannot be made again from what was delivered
    QUALITY = "quality"  #: a measure outside its limits
    COPIES_WRONG = "copies wrong"  #: copies that were right once are not any more
    RECORDS_LOST = "records lost"  #: rebuild-db cannot tell whose its frame IDs are
    TROUBLE = "trouble"  #: something that nobody foresaw


class WaitCode(StrEnum):
    """Why a night that is not held does not go on, or how it ended."""

    DATE = "date"  #: its UTC date is not over
    QUIET = "quiet"  #: something changed a short while ago
    LOOK = "look"  #: one more look must find the same
    SETTLE = "settle"  #: a file was still changing
    CUBES = "unread"  #: cubes are to be read before it is closed
    ROOT_ABSENT = "root absent"  #: its disk is not there, or another one
    ROOT_UNKNOWN = "root unknown"  #: its root is not in the settings
    DISK_LOW = "disk low"  #: what is free is kept for the cameras
    READ_THROUGH = "raw unread"  #: raw files have no digest yet
    READ_AGAIN = "raw again"  #: raw files with another inode or time
    BEGUN = "begun"  #: work that was begun while the night went on is not finished
    BUILDERS = "builders"  #: there is no builder that could do it
    OLDER_NIGHT = "older night"  #: an older archive night may need frame IDs first
    FAILURE = "failure"  #: work of it went wrong: see the task
    SENT_AGAIN = "sent again"  #: copies that were right once are not any more
    EMPTY = "empty"  #: there was nothing that could be used
    GIVEN_UP = "given up"  #: an operator abandoned it; the sentence is that person's


#: Raw files are not what they were when the night was closed.
RAW_HOLDS = frozenset({HoldCode.RAW_CHANGED, HoldCode.RAW_GONE, HoldCode.RAW_UNREADABLE})

#: What was not looked at is not taken for absent.
UNSEEN_HOLDS = frozenset(
    {HoldCode.NOT_TAKEN, HoldCode.FOLDER_AWAY, HoldCode.ANOTHER_DATE, HoldCode.NO_CUBE}
)

#: Vampd lifts these by itself, once their cause is no more.
LIFTED_HOLDS = RAW_HOLDS | UNSEEN_HOLDS

#: Such a night is another's, and nobody is waited for.
RESTING_HOLDS = frozenset({HoldCode.ADOPTED, HoldCode.SHADOW})


class BuilderState(StrEnum):
    """What a builder of another host is to the daemon."""

    READY = "ready"  #: it is given work
    REFUSED = "refused"  #: it is another vampd, or does not see the roots
    LEFT = "left"  #: it was there, and is not any more


class UnseenSort(StrEnum):
    """Why something of a night, or beside the nights, is not taken as the cameras' cubes are."""

    LINK = "link"  #: a symbolic link; none is followed
    NAME = "name"  #: its name is almost one of the cameras'
    PACKED = "packed"  #: it was compressed in place
    PLACE = "place"  #: it lies outside of the cameras' folders
    KIND = "kind"  #: no file, or no folder, under a name of the cameras
    UNREADABLE = "unreadable"  #: nobody can look at it
    FOLDER = "folder"  #: the night's own folder is not there, or is none
    TWICE = "twice"  #: a night of the other kind has the same cubes
    DATE = "date"  #: cubes were taken far from the folder's date
    UNUSABLE = "unusable"  #: every cube is quarantined
    ALONE = "alone"  #: one camera waited for the other's trigger, and nothing came of that one
    FOREIGN = "foreign"  #: somebody else's; it is nothing of the cameras


class LoggerFault(StrEnum):
    """What became of cubes as they were logged; it stops nothing, and everybody is told."""

    LOST = "lost"  #: they were never written, or not under a final name
    CLOCK = "clock"  #: only the logger's own clock timed them, and it was ahead of UTC
    DOUBLE = "double"  #: they are there under two names, and used once
    OVERLAP = "overlap"  #: their times overlap with those of another cube of the camera


class OutputState(StrEnum):
    """The life of one output file."""

    PLANNED = "planned"  #: decided, not yet on disk
    BUILT = "built"  #: published, read back, digests recorded
    VERIFIED = "verified"  #: the same digest was recomputed at the far end


class Space(StrEnum):
    """What takes space on this machine, and can be given back."""

    OUTPUTS = "outputs"  #: the local copies of what was delivered
    RAW = "raw"  #: what the cameras wrote


class ReclaimState(StrEnum):
    """How far giving one night's space back has come."""

    VERIFYING = "verifying"  #: every copy at the far end is read through first
    MOVING = "moving"  #: all were right; its files are on their way
    DONE = "done"  #: every file went
    REFUSED = "refused"  #: something spoke against it; what had not gone stays


class TrashState(StrEnum):
    """Where a file is that is to give its space back."""

    LISTED = "listed"  #: chosen, not touched
    LEAVING = "leaving"  #: being moved into the trash
    TRASHED = "trashed"  #: lies in the trash, whole
    RETURNING = "returning"  #: being moved back
    RETURNED = "returned"  #: back in its place, or never left it
    UNLINKING = "unlinking"  #: being removed from the trash
    UNLINKED = "unlinked"  #: removed for ever
    LOST = "lost"  #: neither here nor there, and not by vampd's doing


class MailState(StrEnum):
    """The life of one mail: to the archive team, or with alerts to the operators."""

    WANTED = "wanted"  #: asked for; its text is not made yet
    COMPOSED = "composed"  #: its bytes are kept; the server has not taken it for everybody
    SENT = "sent"  #: the server took it for all recipients
    FAILED = "failed"  #: refused for good; an operator must act
    WITHDRAWN = "withdrawn"  #: it never left; another one may take its place


class Severity(StrEnum):
    """How urgent something is that the operators are told."""

    WARNING = "warning"  #: look at it in the morning
    CRITICAL = "critical"  #: data are at risk, or nothing goes on


class RequestState(StrEnum):
    """What became of a request for frame IDs."""

    ASKED = "asked"  #: written down before it was sent; no answer is recorded
    ANSWERED = "answered"  #: what came was reserved
    UNCLEAR = "unclear"  #: it may have been dealt, and nobody can tell what
    ADOPTED = "adopted"  #: an operator said which numbers were dealt
    VOID = "void"  #: nothing was dealt, or an operator wrote it off


class HookState(StrEnum):
    """How far a command of the site's own is, which runs once a night is safe."""

    PENDING = "pending"  #: to be run again, on an operator's word
    RUNNING = "running"  #: under way; or it died with the daemon, and is begun again
    DONE = "done"  #: it exited 0
    FAILED = "failed"  #: it did not, or not in time


class ErrorClass(StrEnum):
    """Who must act, and when, after a task went wrong."""

    TRANSIENT = "transient"  #: network or far side: again later, without limit
    RESOURCE = "resource"  #: local space or memory: wait, no attempt counted
    INPUT = "input"  #: this raw file is bad: quarantine it, go on
    DETERMINISTIC = "deterministic"  #: the same twice means failed
    AMBIGUOUS = "ambiguous"  #: nobody can tell what happened: held
    INTEGRITY = "integrity"  #: bytes are not what they were: held, with an alarm


class ErrorCode(StrEnum):
    """Errors of which more is known than who must act."""

    FAR_DISK = "far disk"  #: the far folder does not lie on the disk to which nights went
    NO_FOLDER = "no folder"  #: the folder at the far end is not there
    NO_RIGHTS = "no rights"  #: the account, or its key, may not do that there
    HOST_KEY = "host key"  #: the other machine's host key is unknown here, or another
    NO_NAME = "no name"  #: the other machine's name cannot be resolved
    UNREACHABLE = "unreachable"  #: it refuses, is silent, or the connection broke
    LOGIN = "login"  #: it does not let us in
    FAR_FULL = "far full"  #: its disk, or the quota there, is full
    IN_THE_WAY = "in the way"  #: something else lies there where a file or folder belongs
    NO_PROGRAM = "no program"  #: a program is not installed, there or here
    FULL_HERE = "full here"  #: a disk of this machine is full
    RIGHTS_HERE = "rights here"  #: vampd may not read or write that on this machine
    NOT_PLAIN = "not plain"  #: a link or a pipe lies where a file or folder belongs


class FlcState(StrEnum):
    """State of the ferroelectric liquid crystal during a frame."""

    NONE = ""  #: not deinterleaved; the card says 'NA'
    A = "A"  #: the frame before the short interval
    B = "B"  #: the frame before the long interval
    DUBIOUS = "D"  #: cannot be told


STAGES_OF: dict[Kind, tuple[Stage, ...]] = {
    Kind.ARCHIVE: tuple(Stage),
    Kind.ENGINEERING: (Stage.SYNC, Stage.BUILD, Stage.TRANSFER, Stage.VERIFY),
}

#: Statuses in which the dispatcher hands out a night's work.
ACTIVE = frozenset({NightStatus.READY, NightStatus.RUNNING, NightStatus.WAITING})

#: Statuses that end a night's road; only an operator moves it on from here.
FINAL = frozenset(
    {NightStatus.SAFE, NightStatus.RECLAIMED, NightStatus.EMPTY, NightStatus.ABANDONED}
)

_NIGHT_MOVES: dict[NightStatus, frozenset[NightStatus]] = {
    NightStatus.COLLECTING: frozenset(
        {
            NightStatus.READY,
            NightStatus.EMPTY,
            NightStatus.HELD,
            NightStatus.ABANDONED,
            NightStatus.SAFE,  # of what came later, nothing could be used
        }
    ),
    NightStatus.READY: frozenset(
        {
            NightStatus.RUNNING,
            NightStatus.WAITING,
            NightStatus.FAILED,
            NightStatus.HELD,
            NightStatus.SAFE,
            NightStatus.EMPTY,
            NightStatus.ABANDONED,
            NightStatus.COLLECTING,
        }
    ),
    NightStatus.SAFE: frozenset(
        {
            NightStatus.RECLAIMED,
            NightStatus.HELD,
            NightStatus.READY,
            NightStatus.COLLECTING,  # a supplement
        }
    ),
    NightStatus.RECLAIMED: frozenset({NightStatus.HELD, NightStatus.SAFE, NightStatus.COLLECTING}),
    NightStatus.EMPTY: frozenset(
        {NightStatus.COLLECTING, NightStatus.READY, NightStatus.HELD, NightStatus.ABANDONED}
    ),
    NightStatus.ABANDONED: frozenset({NightStatus.READY, NightStatus.HELD, NightStatus.COLLECTING}),
}
for _status in (
    NightStatus.RUNNING,
    NightStatus.WAITING,
    NightStatus.FAILED,
    NightStatus.HELD,
):
    _NIGHT_MOVES[_status] = (
        _NIGHT_MOVES[NightStatus.READY] | {NightStatus.READY, NightStatus.RUNNING}
    ) - {_status}


def may_move(old: NightStatus, new: NightStatus) -> bool:
    """Whether a night may go from *old* to *new*."""
    return new in _NIGHT_MOVES[old]


def stages_from(kind: Kind, first: Stage) -> tuple[Stage, ...]:
    """The stages of *kind* from *first* on, *first* included.

    Raises ValueError when a night of this kind has no such stage.
    """
    stages = STAGES_OF[kind]
    return stages[stages.index(first) :]
