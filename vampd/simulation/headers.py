"""The raw header: some 390 cards, as the logger finds them in the camera's stream.

`cards.csv` lists the keywords in order, and where each value comes from: `real` and
`count` are drawn anew for each cube between low and high, `word` is one of a few,
`text`, `number`, `whole` and `flag` are always the same, `cube` is known from the cube.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files

import numpy as np

from vampd.records import CardValue
from vampd.simulation.cubes import Cube
from vampd.simulation.scenes import Fault
from vampd.time_units import DAY_US

BLOCK_BYTES = 2_880
_CARD_BYTES = 80
_WORDS = ("IN", "OUT", "OPEN", "NA")
_FIXED: dict[str, Callable[[str], CardValue]] = {
    "text": str,
    "number": float,
    "whole": int,
    "flag": "True".__eq__,
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HAWAII = timedelta(hours=-10)
_MJD_OF_EPOCH = 40_587


def header_bytes(cube: Cube, *, seed: int) -> bytes:
    """The header of *cube*, padded to whole blocks."""
    cards = [_card(keyword, value, note) for keyword, value, note in _structure(cube)]
    cards += [_card(keyword, value) for keyword, value in card_values(cube, seed=seed).items()]
    cards += [_card("BSCALE", 1), _card("BZERO", 32_768), "END".ljust(_CARD_BYTES)]
    text = "".join(cards)
    return text.ljust(-(-len(text) // BLOCK_BYTES) * BLOCK_BYTES).encode("ascii")


def card_values(cube: Cube, *, seed: int) -> dict[str, CardValue]:
    """All cards of *cube* but the structure, in order."""
    random = np.random.default_rng([seed, cube.number, cube.camera, cube.ordinal])
    known = _known(cube)
    table = _table()
    draws = random.random(len(table)).tolist()
    values: dict[str, CardValue] = {}
    for (keyword, kind, low, high), draw in zip(table, draws, strict=True):
        values[keyword] = known[keyword] if kind == "cube" else _drawn(kind, low, high, draw)
    scene = cube.scene
    own = scene.cards_of_cube[cube.ordinal :][:1]
    for changes in (scene.cards, scene.cards_of_camera[cube.camera - 1], *own):
        values.update(changes)
    values["U_FILTER"] = values.get("FILTER01")
    if cube.fault is Fault.NO_EXPTIME:
        values["EXPTIME"] = None
    return {keyword: value for keyword, value in values.items() if value is not None}


@cache
def _table() -> list[tuple[str, str, str, str]]:
    text = files("vampd.simulation").joinpath("cards.csv").read_text("ascii")
    rows = list(csv.reader(text.splitlines()))[1:]
    return [(keyword, kind, low, high) for keyword, kind, low, high in rows]


def _drawn(kind: str, low: str, high: str, draw: float) -> CardValue:
    """The value of a card of that *kind*; *draw* is from 0 up to 1."""
    if kind in {"real", "count"}:
        value = float(low) + draw * (float(high) - float(low))
        return value if kind == "real" else int(value)
    if kind == "word":
        return _WORDS[int(draw * len(_WORDS))]
    return _FIXED[kind](low)


def _structure(cube: Cube) -> Iterator[tuple[str, CardValue, str]]:
    frames = len(cube.frames)
    axes = [cube.scene.width, cube.scene.height, frames]
    if frames == 1:
        axes = axes[: cube.scene.single_frame_naxis]
    yield "SIMPLE", True, "conforms to FITS standard"
    yield "BITPIX", 16, "array data type"
    yield "NAXIS", len(axes), "number of array dimensions"
    for axis, pixels in enumerate(axes, start=1):
        yield f"NAXIS{axis}", pixels, ""


def _known(cube: Cube) -> dict[str, CardValue]:
    """Cards whose values follow from the scene, the camera and the times."""
    scene = cube.scene
    slow = scene.detector_mode.upper() == "SLOW"
    values: dict[str, CardValue] = {
        "DETECTOR": f"VCAM{cube.camera} - OrcaQ",
        "EXPTIME": scene.exptime_s,
        "EXTTRIG": scene.external_trigger,
        "FRATE": 1e6 / scene.period_us,
        "GAIN": 0.105 if slow else 0.103,
        "INST-PA": (-38.9, -38.58)[cube.camera - 1],
        "PRD-RNG2": scene.rows_read,
        "U_CAMERA": cube.camera,
        "U_DETMOD": scene.detector_mode,
        "U_FILTER": "",
        "U_FLCEN": scene.flc,
        "U_FLCST": "IN" if scene.flc else "OUT",
        "U_TRIGEN": scene.external_trigger,
        "U_TRIGJT": scene.jitter_us,
    }
    return values | _times(cube)


def _times(cube: Cube) -> dict[str, CardValue]:
    """The times that the logger wrote: those of its rows, on its own clock; DATE in UTC."""
    written_us = int(cube.frames.acquired_us[-1]) + 1_000_000
    logged_us = (cube.frames.logged_ns[[0, -1]] + cube.ahead_ns) // 1_000
    first_us, last_us = (int(time_us) for time_us in logged_us)
    values: dict[str, CardValue] = {
        # Whole seconds, written just after the cube's end.
        "DATE": f"{_moment(written_us):%Y-%m-%dT%H:%M:%S}",
        "DATE-OBS": f"{_moment(first_us):%Y-%m-%d}",
    }
    for ending, time_us in (("", (first_us + last_us) // 2), ("-STR", first_us), ("-END", last_us)):
        values[f"UT{ending}"] = f"{_moment(time_us):%H:%M:%S.%f}"
        values[f"HST{ending}"] = f"{_moment(time_us) + _HAWAII:%H:%M:%S.%f}"
        values[f"MJD{ending}"] = _MJD_OF_EPOCH + time_us / DAY_US
    return values


def _moment(time_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time_us)


def _card(keyword: str, value: CardValue, note: str = "") -> str:
    """One card of 80 characters in FITS fixed format."""
    if isinstance(value, str):
        quoted = value.replace("'", "''")
        text = f"{keyword:<8}= '{quoted:<8}'"
    else:
        text = f"{keyword:<8}= {_number(value):>20}"
    return (f"{text} / {note}" if note else text).ljust(_CARD_BYTES)[:_CARD_BYTES]


def _number(value: CardValue) -> str:
    if isinstance(value, bool):
        return "T" if value else "F"
    text = repr(value).upper()
    return text if len(text) <= 20 else f"{value:.12G}"
