from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import fitsio
import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from tests.support.raw_cubes import COMMON_CARDS, FIRST_US, card_text, image_cards, write_raw_cube
from tests.support.trees import below
from vampd.errors import IntegrityError
from vampd.io import rice_cfitsio
from vampd.io.beneath import create
from vampd.io.fits import Shape, Tiles, TileWriter, Verify, reserved_cards, table_cards
from vampd.io.header import read_header
from vampd.io.pixels import STORED
from vampd.io.publish import prove_written
from vampd.io.readback import astropy_frames, funpack_frames
from vampd.io.rice import Coder

AWKWARD_CARDS = (
    *COMMON_CARDS,
    "EXTEND  =                    T / may have extensions",
    "HIERARCH VAMPIRES A LONG NAME = 'and a value' / comment",
    "LONGSTR = 'begins here, goes on &'",
    "CONTINUE  'there, and ends &'",
    "CONTINUE  'here'               / at last",
    "COMMENT a remark",
    "",
    "HISTORY what happened",
    "QUOTE   = 'Pe''le   '",
    "NOVALUE =",
    "DATASUM = '1234    '           / stale",
    "CHECKSUM= 'fXcYiVcYfVcYfVcY'   / stale",
)

needs_funpack = pytest.mark.skipif(shutil.which("funpack") is None, reason="no funpack here")


def noise(frames: int, height: int, width: int, *, seed: int = 1) -> NDArray[np.uint16]:
    random = np.random.default_rng(seed)
    return (random.poisson(40, (frames, height, width)) + 200).astype(np.uint16)


def extremes(frames: int, height: int, width: int) -> NDArray[np.uint16]:
    cube = np.random.default_rng(2).integers(0, 65536, (frames, height, width)).astype(np.uint16)
    cube[0, 0, 0], cube[-1, -1, -1] = 0, 65535
    return cube


def as_stored(cube: NDArray[np.uint16]) -> NDArray[np.int16]:
    return (cube.astype(np.int32) - 32768).astype(STORED)


def write(
    path: Path,
    cube: NDArray[np.uint16],
    *,
    tiles: Tiles = "frame",
    extra: tuple[str, ...] = COMMON_CARDS,
) -> Path:
    """A compressed cube, written and proved as a builder does it."""
    frames, height, width = cube.shape
    cards = image_cards(width, height, frames, extra)
    shape = Shape(width=width, height=height, frames=frames, tiles=tiles)
    descriptor = create(below(path))
    with os.fdopen(descriptor):
        writer = TileWriter(descriptor, cards, shape, name=path.name)
        for frame in as_stored(cube):
            writer.append(frame)
        prove_written(descriptor, writer.finish(), path=below(path))
    return path


SHAPES = [(1, 1, 1), (1, 5, 7), (4, 5, 1), (3, 1, 33), (9, 7, 5), (20, 24, 32), (3, 536, 536)]


@pytest.mark.parametrize("tiles", ["frame", "row"])
@pytest.mark.parametrize("pixels", [noise, extremes])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_reader_reads_back_exactly_the_pixels(
    tmp_path: Path, shape: tuple[int, int, int], pixels: object, tiles: Tiles
) -> None:
    cube = noise(*shape) if pixels is noise else extremes(*shape)
    path = write(tmp_path / "x.fits.fz", cube, tiles=tiles, extra=AWKWARD_CARDS)

    with fits.open(path, checksum=True) as units:
        units.verify("exception")
        assert units[1].data.dtype == np.uint16
        assert np.array_equal(units[1].data, cube)
    with fitsio.FITS(str(path)) as units:
        units[0].verify_checksum()
        units[1].verify_checksum()
        assert np.array_equal(units[1].read(), cube)
    frames = range(len(cube))
    found = [frame.copy() for frame in astropy_frames(below(path), frames)]
    assert np.array_equal(found, as_stored(cube))
    scratch = below(tmp_path / "scratch")
    found = [frame.copy() for frame in funpack_frames(below(path), scratch, frames)]
    assert np.array_equal(found, as_stored(cube))
    assert not (tmp_path / "scratch").exists()


@needs_funpack
@pytest.mark.parametrize("tiles", ["frame", "row"])
@pytest.mark.parametrize("extname", [(), ("EXTNAME = 'raw name'",)])
def test_funpack_gives_back_the_raw_cards_in_their_order(
    tmp_path: Path, tiles: Tiles, extname: tuple[str, ...]
) -> None:
    extra = (*AWKWARD_CARDS, *extname)
    path = write(tmp_path / "x.fits.fz", noise(3, 4, 5), tiles=tiles, extra=extra)

    subprocess.run(["funpack", "-O", "y.fits", path.name], check=True, cwd=tmp_path)

    stale = ("DATASUM ", "CHECKSUM")
    expected = [card for card in image_cards(5, 4, 3, extra) if not card.startswith(stale)]
    found = read_header(below(tmp_path / "y.fits")).cards
    assert [card for card in found if not card.startswith(stale)] == expected


@pytest.mark.skipif(shutil.which("fpack") is None, reason="no fpack here")
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 33), (9, 7, 5), (20, 24, 32), (2, 536, 536)])
@pytest.mark.parametrize("pixels", [noise, extremes])
def test_in_rows_the_table_and_heap_are_those_of_fpack(
    tmp_path: Path, shape: tuple[int, int, int], pixels: object
) -> None:
    cube = noise(*shape) if pixels is noise else extremes(*shape)
    ours = write(tmp_path / "ours.fz", cube, tiles="row")
    raw = write_raw_cube(tmp_path, cube, stem="raw", first_us=FIRST_US)
    subprocess.run(["fpack", "-r", str(raw)], check=True)

    theirs = raw.with_name("raw.fits.fz")

    assert data_unit(ours) == data_unit(theirs)
    assert structure(ours) == structure(theirs)


def data_unit(path: Path) -> bytes:
    with fits.open(path, disable_image_compression=True) as units:
        start = units[1].fileinfo()["datLoc"]
        return path.read_bytes()[start : start + units[1].fileinfo()["datSpan"]]


def structure(path: Path) -> list[tuple[str, object]]:
    """Names and values of all cards, in order, without the sums (DATASUM: as a number)."""
    with fits.open(path, disable_image_compression=True) as units:
        cards = [(card.keyword, card.value) for card in units[1].header.cards]
    return [card for card in cards if card[0] != "CHECKSUM"]


@pytest.mark.parametrize("tiles", ["frame", "row"])
def test_without_extname_the_raw_cards_get_fpacks(tmp_path: Path, tiles: Tiles) -> None:
    path = write(tmp_path / "x.fits.fz", noise(2, 3, 4), tiles=tiles)

    with fits.open(path) as units:
        assert units[1].name == "COMPRESSED_IMAGE"


def test_the_heap_is_streamed_through_many_steps(tmp_path: Path) -> None:
    cube = extremes(40, 500, 500)  # 20 MB that do not shrink: three steps of 8 MiB
    path = write(tmp_path / "x.fits.fz", cube)

    with fits.open(path, checksum=True) as units:
        assert np.array_equal(units[1].data, cube)


def test_the_table_is_streamed_through_many_steps(tmp_path: Path) -> None:
    cube = noise(300, 500, 2)  # 150 000 rows of the table, flushed every 65 536
    path = write(tmp_path / "x.fits.fz", cube, tiles="row")

    with fitsio.FITS(str(path)) as units:
        units[1].verify_checksum()
        assert np.array_equal(units[1].read(), cube)


@pytest.mark.parametrize(
    ("shape", "form", "row_bytes"),
    [
        (Shape(width=536, height=536, frames=3700, tiles="frame"), "'1PB(7)  '", 8),
        (Shape(width=536, height=536, frames=3738, tiles="frame"), "'1QB(7)  '", 16),
        (Shape(width=536, height=536, frames=3738, tiles="row"), "'1QB(7)  '", 16),
    ],
)
def test_descriptors_have_64_bits_where_the_heap_could_pass_2_gib(
    shape: Shape, form: str, row_bytes: int
) -> None:
    cards = image_cards(shape.width, shape.height, shape.frames)

    table = table_cards(cards, shape, heap_bytes=7, longest=7)

    values = {card[:8].rstrip(): card[10:].partition("/")[0].strip() for card in table}
    assert values["TFORM1"] == form
    assert values["NAXIS1"] == str(row_bytes)


def test_cards_whose_names_are_taken_are_left_out_and_named(tmp_path: Path) -> None:
    taken = ("ZTILE1  =                    3", "THEAP   =                   16", "TTYPE1  = 'x'")
    path = write(tmp_path / "x.fits.fz", noise(2, 3, 4), extra=(*taken, *COMMON_CARDS))

    with fits.open(path, checksum=True) as units:
        assert np.array_equal(units[1].data, noise(2, 3, 4))
        assert units[1].header["OBJECT"] == "a star"
    assert reserved_cards(image_cards(4, 3, 2, taken)) == [card_text(card) for card in taken]


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    with os.fdopen(create(below(tmp_path / "x.fits.fz"))) as file:
        yield file.fileno()


SMALL = Shape(width=4, height=3, frames=2, tiles="frame")


@pytest.mark.parametrize(
    "cards",
    [
        image_cards(4, 3, 3),
        image_cards(3, 4, 2),
        image_cards(4, 3, 2, axes=2),
        image_cards(4, 3, 2)[1:],
        [card.rstrip() for card in image_cards(4, 3, 2)],
    ],
)
def test_cards_that_do_not_describe_the_cube_are_refused(descriptor: int, cards: list[str]) -> None:
    with pytest.raises(ValueError, match="cards of an image that is not"):
        TileWriter(descriptor, cards, SMALL, name="x")


def test_missing_frames_and_frames_of_another_shape_are_refused(descriptor: int) -> None:
    writer = TileWriter(descriptor, image_cards(4, 3, 2), SMALL, name="x")
    writer.append(np.zeros((3, 4), dtype=STORED))

    with pytest.raises(ValueError, match="1 frames were written, not 2"):
        writer.finish()
    with pytest.raises(ValueError, match=r">i2 \(4, 3\) is no frame of"):
        writer.append(np.zeros((4, 3), dtype=STORED))


class _Faulty:
    """A coder that errs in the first pixel, and sees nothing wrong with it."""

    def encode(
        self,
        pixels: NDArray[np.int16],
        tile_pixels: int,
        coded: memoryview,
        lengths: NDArray[np.int64],
        /,
    ) -> int:
        used = rice_cfitsio.encode(pixels, tile_pixels, coded, lengths)
        coded[1] ^= 1
        return used

    decode = staticmethod(rice_cfitsio.decode)

    def matches(self, *_: object) -> bool:
        return True


class _Careful(_Faulty):
    matches = staticmethod(rice_cfitsio.matches)  # type: ignore[assignment]


@pytest.mark.parametrize("tiles", ["frame", "row"])
def test_a_frame_that_does_not_come_back_is_never_written(tmp_path: Path, tiles: Tiles) -> None:
    written = write_with(_Careful(), tmp_path / "x.fits.fz", frames=3, faulty=1, tiles=tiles)

    assert "x.fits.fz: frame 1 does not come back from Rice coding" in written
    assert not any((tmp_path / "x.fits.fz").read_bytes())


@pytest.mark.parametrize(("verify", "seen"), [("sample", (0, 16, 32, 39)), ("all", range(40))])
def test_what_our_own_decoder_overlooks_the_second_sees(
    tmp_path: Path, verify: Verify, seen: Sequence[int]
) -> None:
    told = {
        frame: write_with(_Faulty(), tmp_path / f"{frame}", frames=40, faulty=frame, verify=verify)
        for frame in range(40)
    }

    assert [frame for frame, text in told.items() if text] == list(seen)
    assert all(f"frame {frame} does not come back" in told[frame] for frame in seen)


def write_with(
    coder: Coder,
    path: Path,
    *,
    frames: int,
    faulty: int = 0,
    tiles: Tiles = "frame",
    verify: Verify = "sample",
) -> str:
    """Write with a coder that is put in at frame *faulty*; what went wrong."""
    shape = Shape(width=4, height=3, frames=frames, tiles=tiles)
    with os.fdopen(create(below(path))) as file:
        writer = TileWriter(
            file.fileno(), image_cards(4, 3, frames), shape, name=path.name, verify=verify
        )
        own = writer._coder
        try:
            for number, frame in enumerate(as_stored(noise(frames, 3, 4))):
                writer._coder = coder if number == faulty else own
                writer.append(frame)
        except IntegrityError as error:
            return str(error)
    return ""


@pytest.mark.parametrize("tiles", ["frame", "row"])
def test_the_same_frames_make_the_same_bytes(tmp_path: Path, tiles: Tiles) -> None:
    first = write(tmp_path / "1", noise(3, 5, 7), tiles=tiles)
    second = write(tmp_path / "2", noise(3, 5, 7), tiles=tiles)

    assert first.read_bytes() == second.read_bytes()


@pytest.mark.filterwarnings("ignore:File may have been truncated")
def test_a_file_that_is_no_cube_is_refused_by_both_readers(tmp_path: Path) -> None:
    path = write(tmp_path / "x.fits.fz", noise(3, 5, 7))
    path.write_bytes(path.read_bytes()[:5760])

    with pytest.raises(IntegrityError, match="astropy cannot read it"):
        list(astropy_frames(below(path), range(3)))
    with pytest.raises(IntegrityError, match="funpack exited"):
        list(funpack_frames(below(path), below(tmp_path / "scratch"), range(3)))
    assert not (tmp_path / "scratch").exists()


@pytest.mark.campaign
def test_a_cube_of_more_than_2_gib_is_read_by_every_reader(tmp_path: Path) -> None:
    frames, side = 1030, 1024
    tile = as_stored(noise(1, side, side))[0]
    path = tmp_path / "x.fits.fz"
    shape = Shape(width=side, height=side, frames=frames, tiles="frame")
    with os.fdopen(create(below(path))) as file:
        writer = TileWriter(file.fileno(), image_cards(side, side, frames), shape, name="x")
        for _ in range(frames):
            writer.append(tile)
        prove_written(file.fileno(), writer.finish(), path=below(path))

    some = [0, frames // 2, frames - 1]

    assert all(np.array_equal(frame, tile) for frame in astropy_frames(below(path), some))
    every, scratch = range(frames), below(tmp_path / "scratch")
    assert all(np.array_equal(frame, tile) for frame in funpack_frames(below(path), scratch, every))
    with fitsio.FITS(str(path)) as units:
        units[1].verify_checksum()
