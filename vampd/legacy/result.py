"""What the earlier pipeline made of a night: every frame of its `vgen2/`, by its timing files."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vampd.errors import InputError
from vampd.io.beneath import Beneath, is_folder, names_in, night_folder, read_start
from vampd.io.units import read_units
from vampd.layout import NAME_CHANGES, OUTPUT_FOLDER, OUTPUTS_SET_ASIDE
from vampd.legacy.comparison import LABEL_A, LABEL_B, LABEL_DUBIOUS, NO_LABEL, Frames
from vampd.legacy.orphans import Span, match_orphans
from vampd.records import CardValue
from vampd.science.cards import parse_card
from vampd.science.timing import Timing, parse_timing
from vampd.watch.incumbent import raw_place

_CUBE = re.compile(r"(?P<stem>[A-Za-z0-9_:.]+?)\.fits(?:\.fz)?")
# vsync_05:11:38.080947.cam1.A, vcam1_05:10:00.137310.B, and whatever precedes either.
_NAME = re.compile(
    r"(?P<source>(?P<kind>vsync|vcam(?P<solo>[12])|vsolo[12])_.*?)(?:\.(?P<label>[ABD]))?"
)
_CAMERA = re.compile(r"\.cam([12])\b")
_LABELS = {"A": LABEL_A, "B": LABEL_B, "D": LABEL_DUBIOUS}
_MAX_TIMING_BYTES = 64 * 1024 * 1024
_MAX_NAMES_BYTES = 16 * 1024 * 1024
#: Told instead of a name: the raw cube's own timing file, in the backup.
_RAW_TIMING = "its raw timing file"


class LegacyCube(Struct, frozen=True, kw_only=True):
    """One of its cubes."""

    path: str  #: relative to the night
    name: str  #: before it got a frame ID, where that is known
    camera: int
    synchronised: bool
    label: int
    frames: int
    header_frames: int | None  #: NAXIS3 of its image, if its header can be read
    timing_name: str = ""  #: of the timing file, where that has another name than the cube

    @property
    def moved(self) -> bool:
        """Whether it is a synchronised one that was moved whole, under its raw name."""
        return bool(self.timing_name) and not self.synchronised


class LegacyResult(Struct, frozen=True, kw_only=True, eq=False):
    """Its whole result. *frames.cube* counts *cubes* from 0."""

    cubes: tuple[LegacyCube, ...]
    frames: Frames
    problems: tuple[str, ...]


def read_result(night: Path) -> LegacyResult:
    """Read headers and timing files in the `vgen2/` of the earlier pipeline. Never raises for them.

    Where it was set aside, it is read there.
    """
    place = night_folder(night)
    folder = place / (OUTPUTS_SET_ASIDE if is_folder(place / OUTPUTS_SET_ASIDE) else OUTPUT_FOLDER)
    names = _names_before(folder)
    there = names_in(folder) if is_folder(folder) else []
    problems: list[str] = []
    seen: list[_Seen] = []
    for path in [folder / name for name in there]:
        match = _CUBE.fullmatch(path.name)
        if match is None:
            continue
        try:
            seen.append(_see(path, names.get(match["stem"], match["stem"])))
        except (InputError, OSError) as error:
            problems.append(f"{path.relative_to(place)}: {_why(error, path)}")
    _find_timings(night, folder, seen, problems)
    timed = [each for each in seen if each.timing is not None]
    cubes = [_cube(place, each) for each in timed]
    problems += [
        f"{cube.path}: {cube.header_frames} frames, and {cube.frames} rows of timing"
        for cube in cubes
        if cube.header_frames not in {None, cube.frames}
    ]
    times = [each.timing.acquired_us for each in timed if each.timing is not None]
    return LegacyResult(cubes=tuple(cubes), frames=_frames(cubes, times), problems=tuple(problems))


def _names_before(folder: Beneath) -> dict[str, str]:
    """Old names by new ones, without ending."""
    try:
        text = read_start(folder / NAME_CHANGES, _MAX_NAMES_BYTES).decode("ascii", "replace")
    except OSError:
        return {}
    pairs = (line.split("\t") for line in text.splitlines())
    return {
        pair[1].strip().partition(".fits")[0]: pair[0].strip().partition(".fits")[0]
        for pair in pairs
        if len(pair) == 2
    }


class _Seen(Struct, kw_only=True):
    """A cube on the way to its times."""

    path: Beneath
    name: str  #: before it got a frame ID, where that is known
    named: re.Match[str] | None
    cards: Mapping[str, CardValue]
    camera: int
    frames: int | None
    timing: Timing | None
    timing_name: str = ""  #: of another timing file than that under its own name


def _see(path: Beneath, name: str) -> _Seen:
    """A cube, with the timing file under its own name if that is there. InputError: no camera."""
    cards, problem = _cards(path)
    try:
        timing = _timing(path.with_name(path.name.partition(".fits")[0] + ".txt"))
    except FileNotFoundError:
        timing = None
    named = _NAME.fullmatch(name)
    camera = _camera(name, named, cards)
    if camera is None:
        raise InputError(
            problem or "neither its name nor its header names a camera", path=str(path)
        )
    frames = cards.get("ZNAXIS3", cards.get("NAXIS3"))
    return _Seen(
        path=path,
        name=name,
        named=named,
        cards=cards,
        camera=camera,
        frames=frames if isinstance(frames, int) else None,
        timing=timing,
    )


def _timing(path: Beneath) -> Timing:
    return parse_timing(read_start(path, _MAX_TIMING_BYTES))


def _cube(night: Beneath, seen: _Seen) -> LegacyCube:
    assert seen.timing is not None
    named = seen.named
    return LegacyCube(
        path=seen.path.relative_to(night),
        name=named["source"] if named else seen.name,
        camera=seen.camera,
        synchronised=(
            named["kind"] == "vsync" if named is not None else seen.cards.get("U_SYNC") is True
        ),
        label=_label(named, seen.cards),
        frames=len(seen.timing.rows),
        header_frames=seen.frames,
        timing_name=seen.timing_name,
    )


def _find_timings(night: Path, folder: Beneath, seen: list[_Seen], problems: list[str]) -> None:
    """Give cubes without a timing file of their name the one that fits them, or their raw one."""
    lacking = [each for each in seen if each.timing is None]
    hints = [_hint(night, each) for each in lacking]
    orphans = _orphans(folder, {each.path.name.partition(".fits")[0] for each in seen})
    spans = [_span(_in_name(name), timing) for name, timing in orphans]
    found = match_orphans([span for span, _ in hints], spans)
    for place, each in enumerate(lacking):
        if place in found:
            each.timing_name, each.timing = orphans[found[place]]
        elif (raw := hints[place][1]) is not None and len(raw.rows) == each.frames:
            each.timing_name, each.timing = _RAW_TIMING, raw
        else:
            problems.append(
                f"{OUTPUT_FOLDER}/{each.path.name}: no timing file, and none of"
                f" {len(orphans)} without a cube fits it: its frames cannot be told"
            )
    for number, (name, _) in enumerate(orphans):
        if number not in found.values():
            problems.append(f"{OUTPUT_FOLDER}/{name}: a timing file to which no cube fits")


def _orphans(folder: Beneath, stems: Collection[str]) -> list[tuple[str, Timing]]:
    """The timing files that no cube has the name of."""
    names = names_in(folder) if is_folder(folder) else []
    found = []
    for name in names:
        if name.endswith(".txt") and name != NAME_CHANGES and name[:-4] not in stems:
            with suppress(OSError):
                found.append((name, _timing(folder / name)))
    return [(name, timing) for name, timing in found if len(timing.rows)]


def _hint(night: Path, seen: _Seen) -> tuple[Span, Timing | None]:
    """When the cube began and ended: by its raw timing file, else by its header."""
    camera = f"vcam{seen.camera}"
    place = raw_place(night, camera) if seen.name.startswith(camera) else None
    if place is not None:
        with suppress(OSError, ValueError):
            raw = _timing(night_folder(night) / place.name / f"{seen.name}.txt")
            if raw.rows:
                return _span(seen.camera, raw), raw
    first, last = (_unix_us(seen.cards.get(keyword)) for keyword in ("MJD-STR", "MJD-END"))
    rows = seen.frames or 0
    return Span(camera=seen.camera, rows=rows, first_us=first, last_us=last), None


def _span(camera: int | None, timing: Timing) -> Span:
    good = timing.acquired_us[timing.acquired_us > 0]
    first, last = (int(good[0]), int(good[-1])) if len(good) else (0, 0)
    return Span(camera=camera, rows=len(timing.rows), first_us=first, last_us=last)


def _in_name(name: str) -> int | None:
    match = _CAMERA.search(name)
    return int(match[1]) if match else None


def _unix_us(mjd: CardValue) -> int:
    """A Modified Julian Date (UTC, days) in microseconds; 0: it is none."""
    if isinstance(mjd, bool) or not isinstance(mjd, int | float) or not 40_587 < mjd < 1e6:
        return 0
    return round((mjd - 40_587) * 86_400e6)


def _cards(path: Beneath) -> tuple[Mapping[str, CardValue], str | None]:
    """The cards of the image; without them, why: its timing may still be read."""
    try:
        return dict(reversed([parse_card(card) for card in read_units(path)[-1].cards])), None
    except (InputError, OSError) as error:
        return {}, _why(error, path)


def _camera(name: str, named: re.Match[str] | None, cards: Mapping[str, CardValue]) -> int | None:
    in_name = _CAMERA.search(name)
    if in_name is not None:
        return int(in_name[1])
    if named is not None and named["solo"]:
        return int(named["solo"])
    card = cards.get("U_CAMERA")
    return card if isinstance(card, int) and card in {1, 2} else None


def _label(named: re.Match[str] | None, cards: Mapping[str, CardValue]) -> int:
    in_name = named["label"] if named is not None else None
    return _LABELS.get(in_name or str(cards.get("U_FLC", "")).strip(), NO_LABEL)


def _why(error: InputError | OSError, path: Beneath) -> str:
    text = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    return text.removeprefix(f"{path}: ")


def _frames(cubes: list[LegacyCube], times: list[NDArray[np.int64]]) -> Frames:
    def per_frame(values: list[int]) -> NDArray[np.int64]:
        return np.repeat(np.array(values, dtype=np.int64), [len(each) for each in times])

    sources = {key: place for place, key in enumerate(sorted({(c.name, c.camera) for c in cubes}))}
    time_us = np.concatenate([np.empty(0, dtype=np.int64), *times])
    return Frames(
        camera=per_frame([cube.camera for cube in cubes]),
        time_us=time_us,
        own_us=time_us,
        synchronised=per_frame([cube.synchronised for cube in cubes]).astype(bool),
        label=per_frame([cube.label for cube in cubes]),
        cube=per_frame(list(range(len(cubes)))),
        source=per_frame([sources[cube.name, cube.camera] for cube in cubes]),
    )
