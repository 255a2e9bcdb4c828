"""What the earlier pipeline made of a night: every frame of its `vgen2/`, by its timing files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vampd.errors import InputError
from vampd.io.beneath import Beneath, is_folder, names_in, night_folder, read_start
from vampd.io.units import read_units
from vampd.records import CardValue
from vampd.science.cards import parse_card
from vampd.science.comparison import LABEL_A, LABEL_B, LABEL_DUBIOUS, NO_LABEL, Frames
from vampd.science.timing import parse_timing
from vampd.watch.legacy import NAME_CHANGES, OUTPUT_FOLDER, SET_ASIDE

_CUBE = re.compile(r"(?P<stem>[A-Za-z0-9_:.]+?)\.fits(?:\.fz)?")
# vsync_05:11:38.080947.cam1.A, vcam1_05:10:00.137310.B, and whatever precedes either.
_NAME = re.compile(
    r"(?P<source>(?P<kind>vsync|vcam(?P<solo>[12])|vsolo[12])_.*?)(?:\.(?P<label>[ABD]))?"
)
_CAMERA = re.compile(r"\.cam([12])\b")
_LABELS = {"A": LABEL_A, "B": LABEL_B, "D": LABEL_DUBIOUS}
_MAX_TIMING_BYTES = 64 * 1024 * 1024
_MAX_NAMES_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class LegacyCube:
    """One of its cubes."""

    path: str  #: relative to the night
    name: str  #: before it got a frame ID, where that is known
    camera: int
    synchronised: bool
    label: int
    frames: int
    header_frames: int | None  #: NAXIS3 of its image, if its header can be read


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LegacyResult:
    """Its whole result. *frames.cube* counts *cubes* from 0."""

    cubes: tuple[LegacyCube, ...]
    frames: Frames
    problems: tuple[str, ...]


def read_result(night: Path) -> LegacyResult:
    """Read headers and timing files in the `vgen2/` of the earlier pipeline. Never raises for them.

    Where it was set aside, it is read there.
    """
    place = night_folder(night)
    folder = place / (SET_ASIDE if is_folder(place / SET_ASIDE) else OUTPUT_FOLDER)
    names = _names_before(folder)
    cubes: list[LegacyCube] = []
    times: list[NDArray[np.int64]] = []
    problems: list[str] = []
    for path in [folder / name for name in names_in(folder)] if is_folder(folder) else ():
        match = _CUBE.fullmatch(path.name)
        if match is None:
            continue
        try:
            cube, acquired_us = _read_cube(place, path, names.get(match["stem"], match["stem"]))
        except (InputError, OSError) as error:
            problems.append(f"{path.relative_to(place)}: {_why(error, path)}")
            continue
        cubes.append(cube)
        times.append(acquired_us)
        if cube.header_frames not in {None, cube.frames}:
            problems.append(
                f"{cube.path}: {cube.header_frames} frames, and {cube.frames} rows of timing"
            )
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


def _read_cube(night: Beneath, path: Beneath, name: str) -> tuple[LegacyCube, NDArray[np.int64]]:
    cards, problem = _cards(path)
    timing_path = path.with_name(path.name.partition(".fits")[0] + ".txt")
    timing = parse_timing(read_start(timing_path, _MAX_TIMING_BYTES))
    named = _NAME.fullmatch(name)
    camera = _camera(name, named, cards)
    if camera is None:
        raise InputError(
            problem or "neither its name nor its header names a camera", path=str(path)
        )
    frames = cards.get("ZNAXIS3", cards.get("NAXIS3"))
    cube = LegacyCube(
        path=path.relative_to(night),
        name=named["source"] if named else name,
        camera=camera,
        synchronised=named["kind"] == "vsync" if named else cards.get("U_SYNC") is True,
        label=_label(named, cards),
        frames=len(timing.rows),
        header_frames=frames if isinstance(frames, int) else None,
    )
    return cube, timing.acquired_us


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
