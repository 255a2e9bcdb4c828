"""The tables' rows as records: what the ledger hands out, and takes back.

A field is the column of its name. Numbers that are called as a table are the number of a row
there: `night`, `raw_file`, `output`. Times are microseconds since the epoch, UTC (`*_us`); those
that are called `*_passed_us` are counted as `vampd.ledger.elapsed` does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from vampd.causes import CauseCode
from vampd.ledger.rows import Record
from vampd.states import (
    FileCode,
    FileState,
    FlcState,
    HoldCode,
    Kind,
    NightStatus,
    OutputState,
    Space,
    TrashState,
    UnseenSort,
)


class Identified(Protocol):
    """Of which is recorded who the file is, or was when it was last seen."""

    @property
    def inode(self) -> int: ...  # noqa: D102 - the columns' names
    @property
    def size_bytes(self) -> int: ...  # noqa: D102
    @property
    def modified_ns(self) -> int: ...  # noqa: D102


class Night(Record, frozen=True, kw_only=True):
    """A night, as it was when it was read."""

    id: int
    kind: Kind
    date: str  #: UTC, YYYYMMDD
    folder: str
    status: NightStatus
    cause: str | None  #: the sentence of the day; see `Cause`
    cause_code: CauseCode | None
    cause_words: str | None
    hold: str | None
    hold_code: HoldCode | None
    hold_words: str | None
    batch: int  #: the one that is worked on: 1, then one for each supplement
    seen_us: int
    last_change_us: int
    close_asked_by: str | None
    closed_us: int | None
    closed_by: str | None
    safe_us: int | None
    ids_looked_us: int | None
    ids_skip_why: str | None
    verified_us: int | None
    verify_since_us: int | None
    verify_tried_us: int | None
    verify_asked_by: str | None
    folder_stamps: str | None
    changed_us: int
    changed_by: str
    why: str | None

    def __str__(self) -> str:
        """As messages and the log name it."""
        return f"{self.kind} {self.date}"

    @property
    def held(self) -> HoldCode | None:
        """Why it is held; None where it is not. A hold that has no code is an order's."""
        return self.hold_code or (None if self.hold is None else HoldCode.ORDER)

    @property
    def words(self) -> Mapping[str, str]:
        """What the sentence names for which it is held; else that for which it waits."""
        words: dict[str, str] = json.loads(self.hold_words or self.cause_words or "{}")
        return words


class Logged(Struct, frozen=True, kw_only=True):
    """The logger's own numbers and times of the first and the last of so many rows."""

    rows: int
    counts: tuple[int, int]
    span_us: tuple[int, int]


class RawFile(Record, frozen=True, kw_only=True):
    """A file in a night's folder, as it was last seen."""

    id: int
    night: int
    batch: int
    path: str
    role: str  #: cube, timing, temporary, other
    camera: int | None
    stem: str | None
    inode: int
    size_bytes: int
    modified_ns: int
    state: FileState
    reason: str | None
    reason_code: FileCode | None  #: see `files.cause_of`
    reason_words: str | None
    sha256: str | None
    rebuilt_by: int | None  #: the proof that covers it
    headed: int  #: 0: its header is to be read; 1: it was; 2: it cannot be
    logged_rows: int | None
    first_count: int | None
    last_count: int | None
    first_logged_us: int | None
    last_logged_us: int | None
    seen_us: int
    changed_us: int
    changed_by: str
    why: str | None

    @property
    def logged(self) -> Logged | None:
        """What a timing file says of the logger, once it was read."""
        if self.logged_rows is None or self.first_count is None or self.last_count is None:
            return None
        if self.first_logged_us is None or self.last_logged_us is None:
            return None
        return Logged(
            rows=self.logged_rows,
            counts=(self.first_count, self.last_count),
            span_us=(self.first_logged_us, self.last_logged_us),
        )


class UnreadFile(Record, frozen=True, kw_only=True):
    """A raw file that is to be read through."""

    path: str
    size_bytes: int


class Cube(Record, frozen=True, kw_only=True):
    """What a whole cube says, who the file is, and what an operator said of its clock."""

    raw_file: int
    path: str
    camera: int
    sha256: str | None
    inode: int
    size_bytes: int
    modified_ns: int
    timing: int
    frames: int
    width: int
    height: int
    cards: str  #: JSON, by keyword
    has_acquisition: bool
    rejected: str  #: JSON, why by frame
    reports: str  #: JSON
    acquired: bytes
    lost_frames: int | None
    first_us: int | None
    written_us: int | None
    lag_us: int | None
    is_old: bool
    ahead_us: int
    first_count: int | None  #: of its timing file
    last_count: int | None
    stated_s: int | None
    stated_by: str | None
    stated_why: str | None


class EarlierCube(Cube, frozen=True, kw_only=True):
    """A cube of an earlier batch."""

    state: FileState
    is_used: bool  #: frames of it are in outputs


class Output(Record, frozen=True, kw_only=True):
    """An output file, planned or made."""

    id: int
    night: int
    batch: int
    ordinal: int
    cube: int
    camera: int
    synchronised: bool
    flc_state: FlcState
    name: str
    frames: int
    width: int
    height: int
    first_us: int
    last_us: int
    header_file: int
    content_key: str
    frame_id: int | None
    state: OutputState
    size_bytes: int | None
    sha256: str | None
    timing_size_bytes: int | None
    timing_sha256: str | None
    changed_us: int
    changed_by: str
    why: str | None

    @property
    def unit(self) -> str:
        """The unit of work to which it belongs."""
        return f"{self.cube}.{self.camera}"


class SegmentRow(Record, frozen=True, kw_only=True):
    """Frames of a raw cube: where they went, or why they went nowhere."""

    id: int
    night: int
    batch: int
    output: int | None
    position: int | None
    raw_file: int
    first: int
    step: int
    count: int
    partner_file: int | None
    partner_first: int | None
    partner_step: int | None
    reason: str | None

    @property
    def partner(self) -> tuple[int, int, int] | None:
        """The other camera's raw cube, and the first and the step of the frames there."""
        if self.partner_file is None or self.partner_first is None or self.partner_step is None:
            return None
        return self.partner_file, self.partner_first, self.partner_step


class Deliverable(Record, frozen=True, kw_only=True):
    """A file that is listed for the other machine."""

    id: int
    night: int
    batch: int
    path: str
    size_bytes: int
    sha256: str
    sent_us: int | None
    verified_us: int | None
    verdict: str | None
    detail: str | None
    resends: int


class LiveNight(Record, frozen=True, kw_only=True):
    """How far a night is known, and planned, while its cameras write."""

    night: int
    newest_us: int | None
    through_us: int | None
    held_by: str
    asked_us: int | None
    stretch_us: int | None
    planned_us: int | None
    confirmed_us: int | None
    kept: int | None
    anew: int | None
    late: int | None
    changed_us: int


class UnseenRow(Record, frozen=True, kw_only=True):
    """Something of a night that nobody takes."""

    id: int
    night: int | None
    place: str
    sort: UnseenSort
    entries: int
    size_bytes: int
    is_data: bool
    text: str
    found_us: int
    accepted: bool
    changed_us: int
    changed_by: str
    why: str | None


class Pin(Record, frozen=True, kw_only=True):
    """An operator's word that everything of a night is kept."""

    night: int
    changed_us: int
    changed_by: str
    why: str


class TrashFile(Record, frozen=True, kw_only=True):
    """A file that gives its space back."""

    id: int
    reclaim: int
    night: int
    space: Space
    path: str
    place: str
    raw_file: int | None
    inode: int
    size_bytes: int
    modified_ns: int
    was: FileState | None
    was_reason: str | None
    was_code: FileCode | None
    was_words: str | None
    made_anew: bool
    state: TrashState
    moved_us: int | None
    moved_passed_us: int | None
    due_passed_us: int
    changed_us: int
    changed_by: str
    why: str | None
