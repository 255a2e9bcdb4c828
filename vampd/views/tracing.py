"""From a frame of an output to the frame of a raw file that it is, and back.

By the plan's ranges alone: no file is opened. Frames are counted from 0, as the first column of
the timing files counts them.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.ledger.rows import fetch_all, fetch_one
from vampd.views.details import OutputRow
from vampd.views.history import Event, events_of


class Run(Struct, frozen=True, kw_only=True):
    """Frames *first*, *first* + *step*, ... (*count*) of one raw cube, and where they are.

    In output *output* they are the frames from *position* on; without one, *reason* says why they
    were rejected. A partner is the same exposure in the other camera.
    """

    raw_file: int
    first: int
    step: int
    count: int
    output: int | None
    position: int | None
    reason: str | None
    partner_file: int | None
    partner_first: int | None
    partner_step: int | None

    def raw_frame(self, position: int) -> int:
        """The raw frame that is frame *position* of the output."""
        return self.first + self.step * (position - (self.position or 0))

    def partner_frame(self, raw_frame: int) -> int | None:
        """The partner of a raw frame of this run."""
        if self.partner_first is None or self.partner_step is None:
            return None
        return self.partner_first + self.partner_step * self._index(raw_frame)

    def holds(self, raw_frame: int) -> bool:
        """Whether *raw_frame* is one of them."""
        steps, rest = divmod(raw_frame - self.first, self.step)
        return rest == 0 and 0 <= steps < self.count

    def output_frame(self, raw_frame: int) -> int | None:
        """Where *raw_frame* is in the output; None where it was rejected."""
        return None if self.position is None else self.position + self._index(raw_frame)

    def _index(self, raw_frame: int) -> int:
        return (raw_frame - self.first) // self.step


class RawCubeRow(Struct, frozen=True, kw_only=True):
    """A raw cube with its timing file. *frames* and what follows: of whole ones."""

    number: int
    night: int
    path: str
    camera: int | None
    state: str
    reason: str | None
    size_bytes: int
    sha256: str | None
    seen_us: int
    frames: int | None
    timing_path: str | None
    timing_sha256: str | None


class Copy(Struct, frozen=True, kw_only=True):
    """What is known of a file at the other machine."""

    path: str
    verdict: str | None
    sent_us: int | None
    verified_us: int | None


class FrameIdRow(Struct, frozen=True, kw_only=True):
    """A number that was dealt."""

    number: int
    night: int
    state: str
    reserved_us: int
    why: str | None


def frame_id(ledger: Reader, number: int) -> FrameIdRow | None:
    """What became of a frame ID; None: never dealt by this ledger."""
    return fetch_one(FrameIdRow, ledger, "select * from frame_id where number = ?", (number,))


def output_of_frame_id(ledger: Reader, row: FrameIdRow) -> OutputRow | None:
    """The output that bears a frame ID now."""
    query = "select * from output where night = ? and frame_id = ?"
    return fetch_one(OutputRow, ledger, query, (row.night, row.number))


def outputs_named(ledger: Reader, nights: Sequence[Night], name: str) -> list[OutputRow]:
    """The outputs of that name, one of each night that has one."""
    query = "select * from output where night = ? and batch = ? and name = ?"
    return [
        row
        for night in nights
        for batch in range(1, night.batch + 1)
        for row in fetch_all(OutputRow, ledger, query, (night.id, batch, name))
    ]


def output(ledger: Reader, number: int) -> OutputRow:
    """An output that exists."""
    (found,) = fetch_all(OutputRow, ledger, "select * from output where id = ?", (number,))
    return found


def cubes_named(ledger: Reader, nights: Sequence[Night], path: str) -> list[RawCubeRow]:
    """The raw cubes at that path, one of each night that has one."""
    return [
        row
        for night in nights
        for row in fetch_all(
            RawCubeRow,
            ledger,
            f"{_CUBES} where raw_file.night = ? and raw_file.path = ?",
            (night.id, path),
        )
    ]


def cube(ledger: Reader, number: int) -> RawCubeRow:
    """A raw cube that exists."""
    (found,) = fetch_all(RawCubeRow, ledger, f"{_CUBES} where raw_file.id = ?", (number,))
    return found


def runs_of_output(ledger: Reader, number: int) -> list[Run]:
    """The raw frames of an output, in its order."""
    query = "select * from segment where output = ? order by position"
    return fetch_all(Run, ledger, query, (number,))


def runs_of_cube(ledger: Reader, number: int) -> list[Run]:
    """Where the frames of a raw cube went, in their order."""
    query = "select * from segment where raw_file = ? order by first, step"
    return fetch_all(Run, ledger, query, (number,))


def run_of_output(ledger: Reader, number: int, position: int) -> Run | None:
    """The run that holds frame *position* of an output; None: it has no such frame."""
    run = fetch_one(
        Run,
        ledger,
        "select * from segment where output = ? and position <= ? order by position desc limit 1",
        (number, position),
    )
    return run if run is not None and position < (run.position or 0) + run.count else None


def run_of_cube(ledger: Reader, number: int, frame: int) -> Run | None:
    """The run that holds a frame of a raw cube; None: it is in none."""
    return next((run for run in runs_of_cube(ledger, number) if run.holds(frame)), None)


def acquired_us(ledger: Reader, raw_file: int, frame: int) -> int | None:
    """The camera's own time of a raw frame; None: not known, or its row could not be read."""
    # Late: only here are times unpacked, and numpy takes longer than all the rest.
    from vampd.ledger.blobs import unpack_times

    row = ledger.execute("select acquired from cube where raw_file = ?", (raw_file,)).fetchone()
    if row is None or not row[0]:
        return None
    times = unpack_times(row[0])
    return int(times[frame]) or None if frame < len(times) else None


def copies(ledger: Reader, found: OutputRow) -> list[Copy]:
    """What is known of the cube and its timing file at the other machine."""
    return fetch_all(
        Copy,
        ledger,
        "select * from deliverable where night = ? and path in (?, ?) order by path",
        (found.night, found.cube_path, found.timing_path),
    )


def moves_of_output(ledger: Reader, found: OutputRow) -> list[Event]:
    """What happened to an output since it was planned."""
    return events_of(ledger, "output", found.id, found.night)


def moves_of_cube(ledger: Reader, found: RawCubeRow) -> list[Event]:
    """What happened to a raw cube since it was first seen."""
    return events_of(ledger, "raw_file", found.number, found.night)


_CUBES = (
    "select raw_file.*, raw_file.id as number, cube.frames, timing.path as timing_path,"
    " timing.sha256 as timing_sha256"
    " from raw_file left join cube on cube.raw_file = raw_file.id"
    " left join raw_file as timing on timing.id = cube.timing"
)
