"""All that the ledger knows of one night, for the commands that show it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from vampd.causes import Cause, file_cause
from vampd.layout import OUTPUT_ENDING, OUTPUT_FOLDER, TIMING_ENDING
from vampd.ledger.frame_ids import frame_id_text
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night, Output, Pin, TrashFile
from vampd.ledger.rows import fetch_all, fetch_one
from vampd.states import FileState, Stage, TaskState, TrashState


class TaskRow(Struct, frozen=True, kw_only=True):
    """One unit of work, and what became of it."""

    batch: int
    stage: Stage
    unit: str
    state: TaskState
    attempts: int
    error: str | None
    due_us: int
    started_us: int | None
    finished_us: int | None

    @property
    def took_us(self) -> int | None:
        """How long the last attempt took; None while there is no end."""
        if self.started_us is None or self.finished_us is None:
            return None
        return self.finished_us - self.started_us


class RawRow(Struct, frozen=True, kw_only=True):
    """One raw file; *frames* is known of whole cubes."""

    path: str
    role: str
    state: FileState
    reason: str | None
    reason_code: str | None
    reason_words: str | None
    size_bytes: int
    sha256: str | None
    frames: int | None
    seen_us: int
    changed_by: str

    @property
    def cause(self) -> Cause | None:
        """*reason*, as a code with what it names."""
        return file_cause(self.reason_code, self.reason_words, self.reason)


class OutputRow(Output, frozen=True, kw_only=True):
    """One output: a cube and its timing file."""

    @property
    def frame_id_text(self) -> str | None:
        """`VMPAnnnnnnnn`, once there is a number."""
        return None if self.frame_id is None else frame_id_text(self.frame_id)

    @property
    def cube_path(self) -> str:
        """The cube, relative to the night's folder."""
        return f"{OUTPUT_FOLDER}/{self.frame_id_text or self.name}{OUTPUT_ENDING}"

    @property
    def timing_path(self) -> str:
        """Its timing file, relative to the night's folder."""
        return f"{OUTPUT_FOLDER}/{self.frame_id_text or self.name}{TIMING_ENDING}"


class DeliverableRow(Struct, frozen=True, kw_only=True):
    """One file that goes to the other machine, and what is known of it there."""

    path: str
    size_bytes: int
    sha256: str
    sent_us: int | None
    verified_us: int | None
    verdict: str | None
    detail: str | None
    resends: int


class EvidenceRow(Struct, frozen=True, kw_only=True):
    """A file of ours over there that was not what was to be sent, and was set aside."""

    place: str  #: the night's folder; it lies in .evidence/YYYYMMDD beside that
    name: str
    why: str
    at_us: int


class ReportRow(Struct, frozen=True, kw_only=True):
    """Something an operator should know that stopped nothing."""

    stage: str
    path: str | None
    text: str


def tasks(ledger: Reader, night: Night) -> list[TaskRow]:
    """All units of work of a night, in the order in which they are done."""
    order = list(Stage)
    query = "select * from task where night = ? order by id"
    rows = fetch_all(TaskRow, ledger, query, (night.id,))
    return sorted(rows, key=lambda row: (row.batch, order.index(row.stage)))


def without_twins(rows: Sequence[RawRow]) -> list[RawRow]:
    """*rows* but for timing files of which all that can be said is said of their cubes."""
    said = {(_base(row.path), row.reason) for row in rows if row.role == "cube"}
    return [row for row in rows if row.role == "cube" or (_base(row.path), row.reason) not in said]


def _base(path: str) -> str:
    return path.rpartition(".")[0]


def raw_files(ledger: Reader, night: Night) -> list[RawRow]:
    """Every file that was seen in a night's folder, the gone ones included, by path."""
    query = (
        "select raw_file.*, cube.frames from raw_file "
        "left join cube on cube.raw_file = raw_file.id where night = ? order by path"
    )
    return fetch_all(RawRow, ledger, query, (night.id,))


def outputs(ledger: Reader, night: Night) -> list[OutputRow]:
    """All outputs of a night, in the order of their frame IDs."""
    query = "select * from output where night = ? order by batch, ordinal"
    return fetch_all(OutputRow, ledger, query, (night.id,))


def deliverables(ledger: Reader, night: Night) -> list[DeliverableRow]:
    """Every file of a night that goes to the other machine, by path."""
    query = "select * from deliverable where night = ? order by path"
    return fetch_all(DeliverableRow, ledger, query, (night.id,))


def reports(ledger: Reader, night: Night) -> list[ReportRow]:
    """What the stages had to say of a night, in their order."""
    query = (
        "select report.stage, report.text, raw_file.path from report "
        "left join raw_file on raw_file.id = report.raw_file where report.night = ? "
        "order by report.id"
    )
    return fetch_all(ReportRow, ledger, query, (night.id,))


def evidence(ledger: Reader, night: Night) -> list[EvidenceRow]:
    """What was set aside of a night over there, the oldest first."""
    query = "select *, changed_us as at_us from evidence where night = ? order by id"
    return fetch_all(EvidenceRow, ledger, query, (night.id,))


class SpaceRow(Struct, frozen=True, kw_only=True):
    """What became of a night's files on this machine."""

    kept: str | None  #: why an operator wants all of them kept
    trash_files: int  #: in the trash
    trash_bytes: int
    removed: frozenset[str]  #: paths whose files are in the trash, or removed for ever


def space(ledger: Reader, night: Night) -> SpaceRow:
    """Who keeps the night, what lies in the trash, and what gave its space back."""
    pin = fetch_one(Pin, ledger, "select * from pin where night = ?", (night.id,))
    rows = fetch_all(
        TrashFile,
        ledger,
        "select * from trash where night = ?"
        " and state in ('trashed', 'unlinked') and not made_anew",
        (night.id,),
    )
    lying = [row.size_bytes for row in rows if row.state is TrashState.TRASHED]
    return SpaceRow(
        kept=None if pin is None else pin.why,
        trash_files=len(lying),
        trash_bytes=sum(lying),
        removed=frozenset(row.path for row in rows),
    )
