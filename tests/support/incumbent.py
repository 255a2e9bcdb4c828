"""A stand-in for the pipeline that vampd replaces: does to a night what is known of it.

Hard-links `vcamN` as `vcamN_hlinkbak`; pairs cube by cube; throws the unmatched frames of a cube
away when 95 % of it or more matched, and the only frame of a label always; labels cubes of fewer
than 26 frames with the opposite sign; moves synchronised cubes that one raw cube happens to make
whole under their raw names, without U_SYNC, while their timing files get the synchronised name;
writes timing files anew, backup and all; removes `vcamN`. It counts what it does of that.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from astropy.io import fits
from msgspec import Struct, field
from numpy.typing import NDArray

from tests.support.frames import column_us, read_rows

_ENOUGH = 0.95
_SHORT_FRAMES = 26
_SIGNS = ("A", "D", "B")  # -1, 0, 1


class Raw(Struct, kw_only=True, eq=False):
    """One raw cube and its timing file."""

    camera: int
    stem: str
    header: fits.Header
    data: NDArray[np.uint16]
    rows: list[list[str]]
    times_us: NDArray[np.int64]
    left: NDArray[np.bool_] = field(default_factory=lambda: np.ones(0, dtype=bool))
    pairs: int = 0

    def __post_init__(self) -> None:
        self.left = np.ones(len(self.rows), dtype=bool)


class Incumbent(Struct, kw_only=True):
    """What it did to one night."""

    night: Path
    archive: bool = True
    first_number: int = 425001
    done: Counter[str] = field(default_factory=Counter)
    numbers: dict[int, str] = field(default_factory=dict)  #: frame ID -> name before

    def process(self) -> Incumbent:
        """Do the whole night."""
        self.back_up()
        (self.night / "vgen2").mkdir()
        cubes = list(self._raw_cubes())
        self._synchronise([cube for cube in cubes if _triggered(cube)])
        for cube in cubes:
            if not _triggered(cube):
                self._write(cube, cube.left, f"vcam{cube.camera}", cube.times_us)
        for camera in ("vcam1", "vcam2"):
            shutil.rmtree(self.night / camera)
        if self.archive:
            self._write_papers()
        return self

    def back_up(self, cameras: Sequence[str] = ("vcam1", "vcam2")) -> None:
        for camera in cameras:
            (self.night / f"{camera}_hlinkbak").mkdir()
            for path in (self.night / camera).iterdir():
                os.link(path, self.night / f"{camera}_hlinkbak" / path.name)

    def _raw_cubes(self) -> Iterator[Raw]:
        for path in sorted(self.night.glob("vcam?/*.fits")):
            timing = path.with_suffix(".txt")
            rows = read_rows(timing) if timing.exists() else []
            with fits.open(path, memmap=False) as units:
                header, data = units[0].header.copy(), np.asarray(units[0].data)
            if len(rows) != len(data) or "EXPTIME" not in header:
                self.done["bad cubes"] += 1
                continue
            times_us = column_us(rows, 4)
            _write_anew(timing)
            yield Raw(
                camera=int(path.parent.name[-1]),
                stem=path.stem,
                header=header,
                data=data,
                rows=rows,
                times_us=times_us,
            )

    def _synchronise(self, cubes: list[Raw]) -> None:
        ones, twos = ([cube for cube in cubes if cube.camera == n] for n in (1, 2))
        for one in ones:
            for two in twos:
                self._pair(one, two)
        for cube in cubes:
            self._leave(cube)

    def _pair(self, one: Raw, two: Raw) -> None:
        first, second = _match(one, two)
        if len(first) == 0:
            return
        one.left[first], two.left[second] = False, False
        one.pairs, two.pairs = one.pairs + len(first), two.pairs + len(second)
        if len(first) < 2 and _is_flc(one):
            self.done["alone"] += 2
            return
        mean_us = (one.times_us[first] + two.times_us[second]) // 2
        for cube, frames in ((one, first), (two, second)):
            whole = len(frames) == len(cube.rows) and not _is_flc(cube)
            if whole:
                self._move(cube, mean_us)
                continue
            chosen = np.isin(np.arange(len(cube.rows)), frames)
            self._write(cube, chosen, "vsync", mean_us)

    def _move(self, cube: Raw, mean_us: NDArray[np.int64]) -> None:
        """The cube as it is; its timing file as if it had been made."""
        self.done["moved"] += len(cube.rows)
        frames = np.arange(len(cube.rows))
        self._publish(cube.stem, cube.header.copy(), cube, frames, mean_us)
        name = (self.numbers and f"VMPA{max(self.numbers):08d}") or cube.stem
        folder = self.night / "vgen2"
        orphan = f"vsync_{_clock(int(mean_us[0]))}.cam{cube.camera}.txt"
        (folder / f"{name}.txt").rename(folder / orphan)

    def _leave(self, cube: Raw) -> None:
        left = int(np.count_nonzero(cube.left))
        if left == 0:
            return
        if cube.pairs / len(cube.rows) >= _ENOUGH:
            self.done["unmatched"] += left
        elif left < 2 and _is_flc(cube):
            self.done["alone"] += left
        else:
            times_us = cube.times_us[cube.left]
            self._write(cube, cube.left, f"vcam{cube.camera}", times_us)

    def _write(
        self,
        cube: Raw,
        chosen: NDArray[np.bool_],
        kind: str,
        times_us: NDArray[np.int64],
    ) -> None:
        frames = np.flatnonzero(chosen)
        stem = f"{kind}_{_clock(int(times_us[0]))}"
        stem += f".cam{cube.camera}" if kind == "vsync" else ""
        if not (_triggered(cube) and _is_flc(cube)):
            header = cube.header.copy()
            if kind == "vsync":
                header["U_SYNC"] = True
            self._publish(stem, header, cube, frames, times_us)
            return
        signs = _signs(times_us)
        if len(frames) < _SHORT_FRAMES:
            self.done["opposite"] += int(np.count_nonzero(signs))
            signs = -signs
        for sign, label in zip((-1, 0, 1), _SIGNS, strict=True):
            of_sign = signs == sign
            if np.count_nonzero(of_sign) < 2:
                self.done["alone"] += int(np.count_nonzero(of_sign))
                continue
            header = cube.header.copy()
            header["U_SYNC"], header["U_FLC"] = kind == "vsync", label
            self._publish(f"{stem}.{label}", header, cube, frames[of_sign], times_us[of_sign])

    def _publish(
        self,
        stem: str,
        header: fits.Header,
        cube: Raw,
        frames: NDArray[np.intp],
        times_us: NDArray[np.int64],
    ) -> None:
        name = stem
        if self.archive:
            number = self.first_number + len(self.numbers)
            self.numbers[number] = stem
            name = header["FRAMEID"] = f"VMPA{number:08d}"
        path = self.night / "vgen2" / f"{name}.fits.fz"
        image = fits.CompImageHDU(cube.data[frames], header, compression_type="RICE_1")
        image.writeto(path, checksum=True)
        lines = []
        for place, (frame, time_us) in enumerate(zip(frames, times_us.tolist(), strict=True)):
            row = list(cube.rows[frame])
            row[0], row[4] = str(place), f"{time_us // 10**6}.{time_us % 10**6:06d}"
            lines.append(" ".join(row) + "\n")
        path.with_name(f"{name}.txt").write_text("# made by a stand-in\n" + "".join(lines))
        self.done["frames"] += len(frames)

    def _write_papers(self) -> None:
        folder = self.night / "vgen2"
        (folder / "name_changes.txt").write_text(
            "".join(f"{old}.fits\tVMPA{n:08d}.fits\n" for n, old in self.numbers.items())
        )
        manifest = self.night / f"manifest_VMP_{self.night.name}.csv"
        manifest.write_text(
            "".join(
                f"{path.stem}|{path}|{path.stat().st_size}\n"
                for path in sorted(folder.glob("VMPA*.fits.fz"))
            )
        )


def status_table(rows: list[tuple[Path, str]]) -> str:
    """A table with a line for each folder; the cells after utc_date as given."""
    header = (
        "scexao5_path,utc_date,processed,processed_timestamp,transferred_to_scexao6,"
        "transferred_timestamp,safe_on_scexao6,safe_timestamp\n"
    )
    return header + "".join(
        f"{folder},{folder.name[:4]}-{folder.name[4:6]}-{folder.name[6:]},{cells}\n"
        for folder, cells in rows
    )


def _triggered(cube: Raw) -> bool:
    return bool(cube.header.get("EXTTRIG"))


def _is_flc(cube: Raw) -> bool:
    return cube.header.get("U_FLCEN") is True and cube.header.get("U_FLCST") == "IN"


def _match(one: Raw, two: Raw) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    slow = str(one.header.get("U_DETMOD", "")).upper() == "SLOW"
    tolerance_us = 0.868 * one.header["PRD-RNG2"] * (2.5 if slow else 1)
    first, second = [], []
    here = there = 0
    while here < len(one.times_us) and there < len(two.times_us):
        away = int(one.times_us[here] - two.times_us[there])
        if abs(away) < tolerance_us:
            first.append(here)
            second.append(there)
        here += away < 0 or abs(away) < tolerance_us
        there += away >= 0 or abs(away) < tolerance_us
    return np.array(first, dtype=np.intp), np.array(second, dtype=np.intp)


def _signs(times_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """-1 for A, before a short interval; 1 for B; 0 where no pair can be told."""
    signs = np.zeros(len(times_us), dtype=np.int64)
    intervals = np.diff(times_us)
    if len(intervals) < 2:
        return signs
    period = float(np.median(intervals[:-1] + intervals[1:])) / 2
    short = intervals - np.rint(intervals / period) * period < 0
    for place in range(0, len(times_us) - 1, 2):
        if intervals[place] > 1.5 * period:
            continue
        first = -1 if short[place] else 1
        signs[place], signs[place + 1] = first, -first
    return signs


def _clock(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%H:%M:%S.%f")


def _write_anew(timing: Path) -> None:
    """As the pipeline does, in place: comments without blanks at their ends, times as floats."""
    lines = []
    first_us: float | None = None
    for line in timing.read_text().splitlines():
        if line.startswith("#"):
            lines.append(line.strip())
            continue
        row = line.split()
        logged_us, acquired_us = float(row[3]) * 1e6, float(row[4]) * 1e6
        first_us = logged_us if first_us is None else first_us
        lines.append(
            f"{row[0]:>10}  {row[1]:>10}  {(logged_us - first_us) / 1e6:15.9f}"
            f"   {logged_us / 1e6:20.9f}  {acquired_us / 1e6:17.6f}   {row[5]:>10}   {row[6]:>10}"
        )
    timing.write_text("".join(f"{line}\n" for line in lines))
