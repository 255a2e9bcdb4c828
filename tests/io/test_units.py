"""Headers of files that others wrote are read within bounds, and what is cut is told."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.trees import below
from vampd.errors import InputError
from vampd.io.units import read_units


@pytest.fixture(scope="module")
def compressed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("units") / "cube.fits.fz"
    frames = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)
    header = fits.Header({"FRAMEID": "VMPA00425001"})
    fits.CompImageHDU(frames, header, compression_type="RICE_1").writeto(path)
    return path.read_bytes()


def test_every_unit_of_a_compressed_cube_is_found(compressed: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cube.fits.fz"
    path.write_bytes(compressed)

    primary, table = read_units(below(path))

    assert primary.data_bytes == 0
    assert table.end == len(compressed)
    assert any(card.startswith("FRAMEID = 'VMPA00425001'") for card in table.cards)


@pytest.mark.parametrize("size", [0, 1, 2879, 2880, 2881, 5760, -2880, -1])
def test_a_cube_that_was_cut_anywhere_is_refused(
    compressed: bytes, tmp_path: Path, size: int
) -> None:
    path = tmp_path / "cube.fits.fz"
    path.write_bytes(compressed[:size])

    if size == 2880:  # an empty primary unit alone is a FITS file
        assert len(read_units(below(path))) == 1
        return
    with pytest.raises(InputError, match="cube"):
        read_units(below(path))


def test_what_hangs_on_behind_is_refused(compressed: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cube.fits.fz"
    path.write_bytes(compressed + bytes(2880))

    with pytest.raises(InputError, match="no FITS unit begins"):
        read_units(below(path))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_damage_to_a_header_raises_anything_else(compressed: bytes, data: st.DataObject) -> None:
    content = bytearray(compressed)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 40))
        content[place : place + 20] = data.draw(st.binary(min_size=20, max_size=20))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "cube.fits.fz"
        path.write_bytes(content)
        try:
            units = read_units(below(path))
        except InputError:
            units = ()

    assert all(unit.data_bytes >= 0 for unit in units)


def test_a_header_that_claims_the_sky_costs_no_memory(tmp_path: Path) -> None:
    cards = ["SIMPLE  =                    T", "BITPIX  =                   16"]
    cards += ["NAXIS   =                  999"] + [
        f"NAXIS{axis:<3}=   999999999999999999" for axis in range(1, 20)
    ]
    path = tmp_path / "x.fits"
    path.write_bytes("".join(card.ljust(80) for card in [*cards, "END"]).ljust(2880).encode())

    with pytest.raises(InputError, match="NAXIS20 is ''"):
        read_units(below(path))
