"""What the reduction pipeline (vampires_dpp) takes for granted when it reads a night's outputs.

It finds the files of one exposure by the equality of MJD, as read from the card, and takes them
for the cameras of a pair, with or without the two states of the liquid crystal.
"""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from tests.support.finished_nights import Carried, Output
from tests.support.frames import read_frames

#: Both cameras, or both cameras with both states.
_PAIR = {(1, "NA"), (2, "NA")}
_QUARTET = {(1, "A"), (1, "B"), (2, "A"), (2, "B")}
_DUBIOUS = "D"

#: The cards that it reads of every file, and what they are.
_CARDS: dict[str, type] = {
    "DATA-TYP": str,
    "OBJECT": str,
    "FILTER01": str,
    "FILTER02": str,
    "EXPTIME": float,
    "U_FLDSTP": str,
    "U_CAMERA": int,
    "U_FLC": str,
    "U_SYNC": bool,
    "MJD": float,
    "MJD-STR": float,
    "MJD-END": float,
    "UT-STR": str,
    "UT-END": str,
    "RET-ANG1": float,
    "OBS-MOD": str,
    "D_IMRPAP": float,
    "NAXIS1": int,
    "NAXIS2": int,
    "NAXIS3": int,
}


def of_one_mjd(carried: Carried, *, synchronised: bool) -> list[list[Output]]:
    """Outputs of the same MJD together; those whose state cannot be told are apart.

    Of what is not synchronised each camera is for itself: both may have begun in one millisecond,
    which is the last digit of MJD.
    """
    sets: dict[object, list[Output]] = defaultdict(list)
    for output in carried.outputs:
        if output.header["U_SYNC"] is synchronised:
            is_dubious = output.header["U_FLC"] == _DUBIOUS
            camera = None if synchronised else output.header["U_CAMERA"]
            sets[output.header["MJD"], is_dubious, camera].append(output)
    return list(sets.values())


def told(output: Output) -> tuple[int, str]:
    return int(str(output.header["U_CAMERA"])), str(output.header["U_FLC"])


def test_synchronised_files_of_one_mjd_are_a_pair_or_a_pair_for_each_state(
    carried: Carried,
) -> None:
    sets = [sorted(map(told, each)) for each in of_one_mjd(carried, synchronised=True)]

    assert sorted(_PAIR) in sets
    assert sorted(_QUARTET) in sets
    for each in sets:
        states = {state for _, state in each}
        assert each in (sorted(_PAIR), sorted(_QUARTET)) or states == {_DUBIOUS}, each


def test_dubious_files_of_one_mjd_are_one_of_each_camera(carried: Carried) -> None:
    for each in of_one_mjd(carried, synchronised=True):
        if each[0].header["U_FLC"] == _DUBIOUS:
            assert sorted(map(told, each)) == [(1, _DUBIOUS), (2, _DUBIOUS)]


def test_other_files_come_alone_or_as_both_states_of_one_camera(carried: Carried) -> None:
    sets = of_one_mjd(carried, synchronised=False)

    assert sets
    for each in sets:
        states = sorted(str(output.header["U_FLC"]) for output in each)
        assert len(each) == 1 or states == ["A", "B"], [output.name for output in each]


def test_every_card_that_is_read_is_there_and_of_its_type(carried: Carried) -> None:
    for output in carried.outputs:
        types = {name: type(output.header.get(name)) for name in _CARDS}
        assert types == _CARDS, output.name
        axes = [output.header[f"NAXIS{number}"] for number in (3, 2, 1)]
        assert axes == list(output.frames.shape), output.name
        assert output.header["U_CAMERA"] in {1, 2}
        assert output.header["U_FLC"] in {"A", "B", "D", "NA"}


def test_the_times_are_those_of_first_and_last_exposure(carried: Carried) -> None:
    for output in carried.outputs:
        first, middle, last = (
            float(str(output.header[name])) for name in ("MJD-STR", "MJD", "MJD-END")
        )
        assert first <= middle <= last, output.name


@pytest.mark.skipif(shutil.which("funpack") is None, reason="funpack is not installed")
def test_funpack_makes_a_plain_cube_of_every_file(carried: Carried, tmp_path: Path) -> None:
    for output in carried.outputs:
        shutil.copy(output.path, tmp_path)
    packed = sorted(tmp_path.glob("*.fz"))

    subprocess.run(["funpack", *packed], check=True, timeout=60)

    for output in carried.outputs:
        plain = tmp_path / output.path.name.removesuffix(".fz")
        with fits.open(plain) as units:
            assert len(units) == 1, output.name
            header = dict(units[0].header)
        assert "ZIMAGE" not in header
        assert {name: header[name] for name in _CARDS} == {
            name: output.header[name] for name in _CARDS
        }
        np.testing.assert_array_equal(read_frames(plain), output.frames)
