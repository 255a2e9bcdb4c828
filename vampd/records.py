"""The values that travel between the rooms of vampd. Frozen and keyword-only.

Times are integer microseconds since the Unix epoch, UTC (`*_us`), or nanoseconds
for file times (`*_ns`). Paths are relative to the night's folder unless they say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from msgspec import Struct, field
from msgspec.structs import force_setattr
from numpy.typing import NDArray

from vampd.states import FlcState, UnseenSort

CardValue: TypeAlias = str | int | float | bool | None

_SIGN = 1 << 63
_MOST_BYTES = 1 << 48


class Unseen(Struct, frozen=True, kw_only=True):
    """Something that nobody takes, at one place."""

    place: str  #: relative to the night's folder, "." for itself; beside the nights, a whole path
    sort: UnseenSort
    text: str  #: a sentence without its end
    is_data: bool  #: whether it could be the cameras' data
    entries: int = 1
    size_bytes: int = 0


class FileIdentity(Struct, frozen=True, kw_only=True):
    """What tells a file from another under the same name, without reading it.

    Its numbers are kept within what the ledger can hold. File systems give inodes of all 64 bits,
    which SQLite counts with a sign; times after 2262 (ext4 goes to 2446) count as then; and a file
    of more than 2^48 bytes, which can only be a hole, as one of so many: a night's sizes are added.
    """

    inode: int
    size_bytes: int
    modified_ns: int

    def __post_init__(self) -> None:
        fits = -_SIGN <= self.inode < _SIGN and -_SIGN <= self.modified_ns < _SIGN
        if fits and self.size_bytes <= _MOST_BYTES:  # nearly always; there are 10^4 a look
            return
        force_setattr(self, "inode", (self.inode + _SIGN) % (2 * _SIGN) - _SIGN)
        force_setattr(self, "size_bytes", min(self.size_bytes, _MOST_BYTES))
        force_setattr(self, "modified_ns", min(max(self.modified_ns, -_SIGN), _SIGN - 1))


class StatedClock(Struct, frozen=True, kw_only=True):
    """An operator's word on the clock that timed a cube."""

    ahead_s: int  #: of UTC
    words: str  #: who said so, and why


class RawCube(Struct, frozen=True, kw_only=True):
    """One whole raw cube as the plan sees it: its timing and deciding cards, no pixels."""

    raw_file: int  #: the ledger's number of the .fits file
    path: str  #: for messages
    camera: int  #: 1 or 2
    width: int  #: NAXIS1, pixels
    height: int  #: NAXIS2, pixels
    cards: Mapping[str, CardValue]  #: values of the deciding cards that are present
    acquired_us: NDArray[np.int64]  #: (frames,); 0 where the row could not be read
    rejected: Mapping[int, str] = field(default_factory=dict)  #: frame -> why
    has_acquisition: bool = True  #: False: times are the logger's; never synchronised
    is_old: bool = False  #: its timing file has no column for acquisition times
    lag_us: int | None = None  #: logging time less acquisition time, where both are known
    written_us: int | None = None  #: DATE, whole seconds: when the cube was written
    stated_clock: StatedClock | None = None  #: counts where nothing proves the logger's clock
    disputed: NDArray[np.bool_] | None = None  #: (frames,) while another cube was being taken
    counts: tuple[int, int] | None = None  #: the stream's own (cnt0) of the first and last frame
    stretch: int = 0  #: triggers are not counted from a cube of one stretch to one of another


class RawInput(Struct, frozen=True, kw_only=True):
    """A raw cube with its timing file, as they were when they were planned for."""

    path: str
    who: FileIdentity
    timing_path: str
    timing_who: FileIdentity


class Segment(Struct, frozen=True, kw_only=True):
    """Frames *first*, *first* + *step*, ... (*count* of them) of one raw cube.

    In a synchronised output each frame has a partner in the other camera, at the
    same place of the partner's arithmetic progression.
    """

    raw_file: int
    first: int
    step: int
    count: int
    partner_file: int | None = None
    partner_first: int = 0
    partner_step: int = 1


class PlannedOutput(Struct, frozen=True, kw_only=True):
    """One output file, decided; its frames are its segments' frames, in order.

    *first_us* and *last_us* belong to the cube before deinterleaving, so the files
    of both cameras and all states of one cube carry equal times.
    """

    cube: int  #: ordinal of the cube before deinterleaving, within the plan
    camera: int
    synchronised: bool
    flc_state: FlcState
    name: str  #: without folder and ending, e.g. vsync_05:11:38.080947.cam1.A
    frames: int
    width: int
    height: int
    first_us: int
    last_us: int
    header_file: int  #: raw file whose cards begin the header
    segments: tuple[Segment, ...]


class RejectedFrames(Struct, frozen=True, kw_only=True):
    """Frames that are in no output, and why."""

    raw_file: int
    first: int
    step: int
    count: int
    reason: str


class Report(Struct, frozen=True, kw_only=True):
    """Something an operator should know that stops nothing."""

    raw_file: int | None
    text: str


class CardReport(Struct, frozen=True, kw_only=True):
    """What became of a raw card that could not be kept, or formatted, as it is."""

    keyword: str
    what: str  #: the same for every card of its kind, so that a night is told once
    card: str  #: the raw card, printable


class BuiltOutput(Struct, frozen=True, kw_only=True):
    """An output's two files, as they were published."""

    output: int  #: the ledger's number
    size_bytes: int
    sha256: str
    timing_size_bytes: int
    timing_sha256: str


class RebuiltFile(Struct, frozen=True, kw_only=True):
    """A raw file that came back, bit for bit, from outputs and sidecar."""

    path: str
    sha256: str
    frames: int  #: 0 unless it is a cube


class Plan(Struct, frozen=True, kw_only=True):
    """Every raw frame of a night in exactly one place."""

    outputs: tuple[PlannedOutput, ...]  #: in the order of their frame IDs
    rejected: tuple[RejectedFrames, ...]
    reports: tuple[Report, ...]
    #: Of the pairs, and then of the states: what is said of all from a first time on rests on what
    #: begins by a second one. Microseconds.
    rests: tuple[tuple[tuple[int, int], ...], ...] = ((), ())
