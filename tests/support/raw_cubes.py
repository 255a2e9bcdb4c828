"""Raw cubes and jobs for builders, as plain as a test needs them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from vampd.io.fits import Tiles, Verify
from vampd.records import FileIdentity, RawInput
from vampd.stages.build_job import BuildJob, OutputJob
from vampd.states import FlcState
from vampd.time_units import DAY_US

FIRST_US = 1_762_405_800_000_000  # 2025-11-06 05:10:00 UTC
PERIOD_US = 10_000
STEM = "vcam1_05:10:00.000000000"

_DATE = "DATE    = '2025-11-06T05:10:03'"

COMMON_CARDS = (
    _DATE,
    "EXPTIME =               0.0099 / [s] exposure time",
    "DETECTOR= 'VCAM1 - OrcaQ'",
    "OBJECT  = 'a star  '           / target",
)


def card_text(text: str) -> str:
    return f"{text:<80}"


def image_cards(
    width: int, height: int, frames: int, extra: Iterable[str] = COMMON_CARDS, *, axes: int = 3
) -> list[str]:
    """Cards of an image of unsigned 16-bit pixels, as the cameras' logger writes them."""
    structure = [
        "SIMPLE  =                    T / conforms to FITS standard",
        "BITPIX  =                   16 / array data type",
        f"NAXIS   = {axes:>20} / number of array dimensions",
        f"NAXIS1  = {width:>20}",
        f"NAXIS2  = {height:>20}",
        f"NAXIS3  = {frames:>20}",
    ]
    scale = ["BSCALE  =                    1", "BZERO   =                32768"]
    return [card_text(card) for card in (*structure[: 3 + axes], *extra, *scale)]


def header_bytes(cards: Sequence[str]) -> bytes:
    text = "".join(cards) + card_text("END")
    return text.encode("latin-1") + b" " * (-len(text) % 2880)


def write_raw_cube(
    night: Path,
    frames: Iterable[NDArray[np.uint16]],
    *,
    stem: str = STEM,
    extra: Iterable[str] = COMMON_CARDS,
    axes: int = 3,
    declared_frames: int | None = None,
    first_us: int | None = None,
) -> Path:
    """Write a cube and its timing file to *night*/vcam1; return the cube's path.

    Without *first_us* its first frame was taken when *stem* says. DATE is 3 s later.
    With *declared_frames*, what follows *frames* is a hole in the file. Without, *frames*
    must have a length.
    """
    path = night / "vcam1" / f"{stem}.fits"
    path.parent.mkdir(parents=True, exist_ok=True)
    first_us = _named_us(stem) if first_us is None else first_us
    extra = [_date_card(first_us) if card == _DATE else card for card in extra]
    count = declared_frames if declared_frames is not None else len(frames)  # type: ignore[arg-type]
    stream = iter(frames)
    first = next(stream)
    height, width = first.shape
    header = header_bytes(image_cards(width, height, count, extra, axes=axes))
    with path.open("wb") as file:
        file.write(header)
        for frame in chain([first], stream):
            file.write((frame.astype(np.int32) - 32768).astype(">i2").tobytes())
        pixels = 2 * width * height * count
        file.truncate(len(header) + pixels + -pixels % 2880)
    path.with_suffix(".txt").write_bytes(timing_bytes(count, first_us=first_us))
    return path


def _named_us(stem: str) -> int:
    day_us = FIRST_US // DAY_US * DAY_US
    hours, minutes, seconds = map(float, stem.partition("_")[2].split(":"))
    return day_us + round(((hours * 60 + minutes) * 60 + seconds) * 1_000_000)


def _date_card(first_us: int) -> str:
    """DATE of a cube, so that no two of different times are the same file."""
    written = datetime.fromtimestamp(first_us // 1_000_000 + 3, UTC)
    return f"DATE    = '{written:%Y-%m-%dT%H:%M:%S}'"


def timing_bytes(frames: int, *, first_us: int = FIRST_US) -> bytes:
    lines = ["# Telemetry stream timing data", "#"]
    for frame in range(frames):
        acquired, logged = _seconds(first_us, frame), _seconds(first_us + 71, frame) + "123"
        lines.append(
            f"{frame:10d}  {1000 + frame:10d}  {frame * PERIOD_US / 1e6:15.9f}   "
            f"{logged:>20}  {acquired:>17}   {1000 + frame:10d}   {frame % 3:10d}"
        )
    return ("\n".join(lines) + "\n").encode()


def _seconds(first_us: int, frame: int) -> str:
    seconds, microseconds = divmod(first_us + frame * PERIOD_US, 1_000_000)
    return f"{seconds}.{microseconds:06d}"


def build_job(
    night: Path,
    cubes: Sequence[Path],
    *,
    tiles: Tiles = "frame",
    verify: Verify = "sample",
    states: bool = False,
) -> BuildJob:
    """A job that builds all frames of *cubes*, in time order, into one output (A, B: two)."""
    raw = {number: _raw_input(night, path) for number, path in enumerate(cubes, start=1)}
    counts = [len(_rows(path)) for path in cubes]
    times = np.concatenate([_acquired_us(path) for path in cubes])
    outputs = []
    for offset, state in ((0, "A"), (1, "B")) if states else ((0, ""),):
        step = 2 if states else 1
        chosen = np.concatenate([np.arange(count) % step == offset for count in counts])
        outputs.append(
            OutputJob(
                output=100 + offset,
                file_name=f"vcam1_05:10:00.000000{'.' if state else ''}{state}",
                synchronised=False,
                flc_state=FlcState(state),
                frame_id=None,
                first_us=int(times[0]),
                last_us=int(times[-1]),
                header_file=1,
                segments=tuple(
                    (number, offset, step, len(range(offset, count, step)))
                    for number, count in enumerate(counts, start=1)
                ),
                acquired_us=times[chosen],
            )
        )
    return BuildJob(
        attempt=1,
        night=str(night),
        unit="05:10:00.000000.1",
        scratch=".vampd/scratch",
        tiles=tiles,
        verify=verify,
        raw=raw,
        outputs=tuple(outputs),
    )


def with_output(job: BuildJob, **changes: Any) -> BuildJob:
    """*job* with other words on its first output."""
    first, *others = job.outputs
    return replace(job, outputs=(replace(first, **changes), *others))


def _rows(cube: Path) -> list[list[str]]:
    lines = cube.with_suffix(".txt").read_text(encoding="ascii").splitlines()
    return [line.split() for line in lines if not line.startswith("#")]


def _acquired_us(cube: Path) -> NDArray[np.int64]:
    texts = [row[4] for row in _rows(cube)]
    return np.array([int(text.replace(".", "")) for text in texts], dtype=np.int64)


def _raw_input(night: Path, cube: Path) -> RawInput:
    timing = cube.with_suffix(".txt")
    return RawInput(
        path=str(cube.relative_to(night)),
        who=_identity(cube),
        timing_path=str(timing.relative_to(night)),
        timing_who=_identity(timing),
    )


def _identity(path: Path) -> FileIdentity:
    status = path.stat()
    return FileIdentity(
        inode=status.st_ino, size_bytes=status.st_size, modified_ns=status.st_mtime_ns
    )
