"""What is observed: scenes as values, and the scenes of the reference night by name."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct, field

from vampd.errors import UsageError
from vampd.records import CardValue

Cards: TypeAlias = Mapping[str, CardValue]
Spans: TypeAlias = tuple[tuple[int, int], ...]

CAMERAS = (1, 2)

#: The logger names some files in Hawaiian time, ten hours early.
HST_NAME_S = -36_000.0


class Fault(StrEnum):
    """What can be wrong with one cube or its timing file."""

    NO_TXT = "no_txt"  #: the timing file never comes
    SHORT_TXT = "short_txt"  #: two rows are missing
    SURPLUS_TXT = "surplus_txt"  #: one row too many
    UNFINISHED_TXT = "unfinished_txt"  #: stops within the last row, without a newline
    NO_EXPTIME = "no_exptime"  #: the header has no EXPTIME
    TRUNCATED = "truncated"  #: the cube ends within its last frame
    EMPTY = "empty"  #: the cube has its final name and no bytes
    LEFT_OVER_TMP = "left_over_tmp"  #: the logger crashed: a .tmp for ever, no timing
    LOST_CUBE = "lost_cube"  #: a write error: a timing file without its cube
    EMPTY_TXT = "empty_txt"  #: a full disk: a timing file of no byte, without its cube
    VANISHED = "vanished"  #: the stream counted its frames, and nothing is left of it
    TORN_ROW = "torn_row"  #: the last row is cut short, and ends in a newline
    NAN_ROW = "nan_row"  #: one acquisition time reads nan
    ZERO_ROW = "zero_row"  #: one acquisition time is zero among good ones
    DISORDER_ROW = "disorder_row"  #: one acquisition time lies before the row above
    NO_ACQUISITION = "no_acquisition"  #: every acquisition time is zero
    SIX_COLUMNS = "six_columns"  #: the acquisition column is missing


#: The cube as a whole is bad: reported, never processed, never deleted.
QUARANTINING = frozenset(
    {
        Fault.NO_TXT,
        Fault.SHORT_TXT,
        Fault.SURPLUS_TXT,
        Fault.NO_EXPTIME,
        Fault.TRUNCATED,
        Fault.EMPTY,
    }
)
#: One frame is rejected, all others are good.
COSTS_ONE_FRAME = frozenset(
    {
        Fault.UNFINISHED_TXT,
        Fault.TORN_ROW,
        Fault.NAN_ROW,
        Fault.ZERO_ROW,
        Fault.DISORDER_ROW,
    }
)
#: There is no cube under a final name.
WITHOUT_CUBE = frozenset({Fault.LEFT_OVER_TMP, Fault.LOST_CUBE, Fault.EMPTY_TXT, Fault.VANISHED})
#: There is no timing file.
WITHOUT_TIMING = frozenset({Fault.NO_TXT, Fault.LEFT_OVER_TMP, Fault.VANISHED})


class CubeFault(Struct, frozen=True, kw_only=True):
    """One fault, and the cubes that have it: None means every one."""

    fault: Fault
    camera: int | None = None
    ordinal: int | None = None  #: of the camera's cubes in the scene, from 0

    def strikes(self, camera: int, ordinal: int) -> bool:
        """Whether cube *ordinal* of *camera* has this fault."""
        return self.camera in {None, camera} and self.ordinal in {None, ordinal}


class Scene(Struct, frozen=True, kw_only=True):
    """A run of trigger pulses, and what the two cameras make of it.

    A pair of values is always (camera 1's, camera 2's). Trigger numbers count from 0.
    """

    name: str
    triggers: int
    period_us: int = 5_000
    exptime_s: float = 0.00499
    external_trigger: bool = True  #: False: both cameras run freely
    flc: bool = False  #: it is in and switched on; a trigger then lengthens every other interval
    jitter_us: int = 30  #: half-width J of the intervals T+J, T-J with the FLC on
    first_state: int = -1  #: of trigger 0 with the FLC on: -1 is A, +1 is B
    detector_mode: str = "FAST"
    rows_read: int = 536  #: PRD-RNG2
    offset_us: int = 120  #: camera 2's times less camera 1's
    noise_us: float = 6.0  #: standard deviation of each camera's own times
    cameras: tuple[int, ...] = CAMERAS
    #: Frames of each successive cube, for each camera; the last length repeats.
    cube_frames: tuple[tuple[int, ...], tuple[int, ...]] = ((200,), (200,))
    late_start: tuple[int, int] = (0, 0)  #: triggers before the logger was switched on
    #: Triggers whose frames were counted by the stream, but never logged.
    dropped: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    #: Triggers that the camera itself did not see: its stream does not count them.
    unseen: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    #: (trigger, us that the pause after it adds). Less than nothing: the clock is set back there.
    gaps: tuple[tuple[int, int], ...] = ()
    #: First and last (excluded) frame of each cube, for each camera, where cubes are not simply
    #: one after the other: two loggers of one camera take frames twice. Empty: `cube_frames`.
    cube_spans: tuple[Spans, Spans] = ((), ())
    #: (camera, ordinal) of cubes that the logger moves to the name of the next one, with that
    #: one's rows beside it; the next one itself stays a temporary file.
    mixed: tuple[tuple[int, int], ...] = ()
    #: (camera, ordinal) of cubes that are there again, byte by byte, under another name.
    doubled: tuple[tuple[int, int], ...] = ()
    logger_ahead_s: int = 0  #: of UTC is the logger's clock: 37 on TAI. Not the framegrabber's.
    cards: Cards = field(default_factory=dict)  #: of every cube; None leaves the card out
    cards_of_camera: tuple[Cards, Cards] = field(default_factory=lambda: ({}, {}))
    cards_of_cube: tuple[Cards, ...] = ()  #: of the camera's first, second, ... cube
    faults: tuple[CubeFault, ...] = ()
    name_shift_s: float = 0.0  #: what the clock that names the files is ahead
    single_frame_naxis: int = 3  #: NAXIS of a cube of one frame: 2 or 3
    pause_before_s: float = 45.0
    txt_delay_s: float = 0.2  #: from the cube's final name to its timing file
    width: int = 32
    height: int = 24

    def __post_init__(self) -> None:
        wrong = [
            text
            for text, is_wrong in (
                ("has no trigger", self.triggers < 1),
                ("has a cube without frames", min(map(min, self.cube_frames)) < 1),
                ("has an empty span", any(a >= b for one in self.cube_spans for a, b in one)),
                ("is narrower than the stamp of six pixels", self.width < 6 or self.height < 1),
                ("has a period no longer than its jitter", self.period_us <= self.jitter_us),
                ("needs -1 or +1 as its first state", self.first_state not in {-1, 1}),
            )
            if is_wrong
        ]
        if wrong:
            msg = f"scene {self.name} " + ", and ".join(wrong)
            raise UsageError(msg)

    @property
    def alternates(self) -> bool:
        """Whether frames alternate between A and B: without a trigger nothing drives the FLC."""
        return self.flc and self.external_trigger

    def fault_of(self, camera: int, ordinal: int) -> Fault | None:
        """The first fault that strikes cube *ordinal* of *camera*."""
        return next((one.fault for one in self.faults if one.strikes(camera, ordinal)), None)

    def length_of(self, camera: int, ordinal: int) -> int:
        """Frames that the logger puts into cube *ordinal* of *camera*."""
        lengths = self.cube_frames[camera - 1]
        return lengths[min(ordinal, len(lengths) - 1)]


def both(frames: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Cubes of *frames* frames in both cameras."""
    return (frames,), (frames,)


def polarimetry(
    name: str, triggers: int, *, cube_frames: tuple[tuple[int, ...], tuple[int, ...]]
) -> Scene:
    """500 frames a second with the FLC on."""
    return Scene(
        name=name,
        triggers=triggers,
        period_us=2_000,
        exptime_s=0.00195,
        flc=True,
        cube_frames=cube_frames,
    )
