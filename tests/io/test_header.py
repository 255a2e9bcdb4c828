from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.raw_cubes import card_text, header_bytes, image_cards, write_raw_cube
from tests.support.trees import below
from vampd.errors import InputError
from vampd.io.header import check_size, read_header

FRAMES = np.zeros((3, 5, 7), dtype=np.uint16)


def with_card(keyword: str, card: str) -> list[str]:
    cards = image_cards(7, 5, 3)
    return [card_text(card) if text[:8].rstrip() == keyword else text for text in cards]


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_cubes_shape_size_and_cards_are_read(tmp_path: Path) -> None:
    path = write_raw_cube(tmp_path, FRAMES)

    header = read_header(below(path))

    assert (header.width, header.height, header.frames) == (7, 5, 3)
    assert header.frame_bytes == 70
    assert header.expected_size_bytes == path.stat().st_size == 5760
    assert list(header.cards) == image_cards(7, 5, 3)
    check_size(header, path.stat().st_size, path="x")


def test_a_cube_of_two_axes_has_one_frame(tmp_path: Path) -> None:
    header = read_header(below(write_raw_cube(tmp_path, FRAMES[:1], axes=2)))

    assert (header.width, header.height, header.frames) == (7, 5, 1)


def test_a_descriptor_is_read_wherever_its_position_is(tmp_path: Path) -> None:
    descriptor = os.open(write_raw_cube(tmp_path, FRAMES), os.O_RDONLY)
    os.lseek(descriptor, 1000, os.SEEK_SET)

    try:
        assert read_header(descriptor, path="vcam1/x.fits").frames == 3
    finally:
        os.close(descriptor)


def test_end_may_be_the_last_card_of_a_block(tmp_path: Path) -> None:
    extra = [f"COMMENT {number}" for number in range(35 - 8)]
    cards = image_cards(7, 5, 3, extra)

    header = read_header(below(written(tmp_path / "x.fits", header_bytes(cards))))

    assert len(header.cards) == 35
    assert header.data_offset == 2880


def test_of_two_cards_of_one_keyword_the_first_counts(tmp_path: Path) -> None:
    cards = [*image_cards(7, 5, 3), card_text("NAXIS3  = 99")]

    assert read_header(below(written(tmp_path / "x.fits", header_bytes(cards)))).frames == 3


@pytest.mark.parametrize(
    ("keyword", "card", "says"),
    [
        ("SIMPLE", "SIMPLE  =                    F", "SIMPLE is F; expected T"),
        ("BITPIX", "BITPIX  =                  -32", "BITPIX is -32; expected 16"),
        ("BITPIX", "COMMENT gone", "BITPIX is missing"),
        ("NAXIS", "NAXIS   =            999999999", "NAXIS is 999999999; expected a whole number"),
        ("NAXIS", "NAXIS   =                    0", "from 2 to 3"),
        ("NAXIS1", "NAXIS1  =                   -7", "NAXIS1 is -7"),
        ("NAXIS1", "NAXIS1  =                  7.0", "NAXIS1 is 7.0"),
        ("NAXIS1", "NAXIS1  =                   +7", "NAXIS1 is +7"),
        ("NAXIS1", "NAXIS1  =                  007", "NAXIS1 is 007"),
        ("NAXIS2", "NAXIS2  =                    0", "from 1 to 65536"),
        ("NAXIS3", "NAXIS3  = " + "9" * 40, "NAXIS3 is 999999"),
        ("NAXIS3", "NAXIS3  =           2147483649", "from 1 to 2147483648"),
        ("NAXIS3", "NAXIS3  = 'three'", "NAXIS3 is 'three'"),
        ("NAXIS3", "NAXIS3  =", "NAXIS3 is empty"),
        ("BZERO", "BZERO   =                    0", "BZERO is 0; expected 32768"),
        ("BZERO", "COMMENT gone", "BZERO is missing"),
        ("BSCALE", "BSCALE  =                  2.0", "BSCALE is 2.0; expected 1"),
    ],
)
def test_a_card_that_no_raw_cube_has_is_refused_by_name(
    tmp_path: Path, keyword: str, card: str, says: str
) -> None:
    path = written(tmp_path / "x.fits", header_bytes(with_card(keyword, card)))

    with pytest.raises(InputError) as caught:
        read_header(below(path), path="vcam1/x.fits")

    assert says in str(caught.value)
    assert str(caught.value).startswith("vcam1/x.fits: ")
    assert caught.value.path == "vcam1/x.fits"


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ((4096, 4096, 2_000_000_000), "a cube of at most 4398046511104 bytes"),
        ((4096, 4097, 1), "NAXIS2 is 4097; expected a frame of at most 33554432 bytes"),
    ],
)
def test_a_cube_or_frame_of_absurd_size_is_refused(
    tmp_path: Path, shape: tuple[int, int, int], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        read_header(below(written(tmp_path / "x.fits", header_bytes(image_cards(*shape)))))


def test_mandatory_cards_in_another_order_are_refused(tmp_path: Path) -> None:
    cards = image_cards(7, 5, 3)
    cards.insert(3, card_text("COMMENT in between"))

    with pytest.raises(InputError, match="card 4 is COMMENT; expected NAXIS1"):
        read_header(below(written(tmp_path / "x.fits", header_bytes(cards))))


def test_bzero_and_bscale_may_be_written_as_reals(tmp_path: Path) -> None:
    cards = with_card("BZERO", "BZERO   =              3.2768E4 / offset")

    assert read_header(below(written(tmp_path / "x.fits", header_bytes(cards)))).frames == 3


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (header_bytes(image_cards(7, 5, 3)[:4]), "card 5 is missing; expected NAXIS2"),
        (b"", "ends after 0 whole header blocks"),
        (b"SIMPLE  =                    T", "ends after 0 whole header blocks"),
        (header_bytes(image_cards(7, 5, 3))[:-1], "ends after 0 whole header blocks"),
        (header_bytes([card_text("XTENSION= 'IMAGE   '")]), "not a FITS file"),
        (b"\x1f\x8b" + bytes(2880), "not a FITS file"),
        ("".join(image_cards(7, 5, 3)).ljust(2880).encode(), "ends after 1 whole header blocks"),
        (header_bytes(image_cards(7, 5, 3)).replace(b"END ", b"ENDE"), "ends after 1 whole"),
        (header_bytes(image_cards(7, 5, 3)).replace(b"END ", b"end "), "ends after 1 whole"),
        (b"SIMPLE  =".ljust(2880 * 65), "no END card within 64 header blocks"),
    ],
)
def test_what_is_no_header_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_header(below(written(tmp_path / "x.fits", content)))


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"COMMENT 30\xb0 C", "COMMENT 30? C"),
        ("OBJECT  = 'M\u00f6ller'".encode(), "OBJECT  = 'M??ller'"),
        (b"OBJECT  = 'a\tb'", "OBJECT  = 'a b'"),
        (b"OBJECT  = 'ab'\0\0\0", "OBJECT  = 'ab'"),
        (b"OBJECT\0\0= 'ab'", "OBJECT  = 'ab'"),
        (b"COMMENT \x07\x7f\xff\r", "COMMENT ????"),
        (bytes(80), ""),
    ],
)
def test_bytes_that_fits_forbids_are_shown_as_others_and_told(
    tmp_path: Path, raw: bytes, shown: str
) -> None:
    clean = image_cards(7, 5, 3)
    content = header_bytes([*clean, "X" * 80, card_text("LAST    = 1")])
    path = written(tmp_path / "x.fits", content.replace(b"X" * 80, raw.ljust(80)))

    header = read_header(below(path))

    assert list(header.cards) == [*clean, card_text(shown), card_text("LAST    = 1")]
    assert header.altered == {len(clean)}
    assert not header.ends_oddly
    assert header.data_offset == 2880


@pytest.mark.parametrize(
    "end",
    [
        b"END" + b" " * 77 + bytes(80),
        b"END" + bytes(77),
        b"END\t",
        b"END" + b" " * 77 + b"SERIAL  =                    7",
        b"END     = 5",
    ],
)
def test_a_header_ends_at_end_whatever_stands_behind(tmp_path: Path, end: bytes) -> None:
    cards = image_cards(7, 5, 3)
    content = "".join(cards).encode() + end.ljust(2880 - 80 * len(cards))

    header = read_header(below(written(tmp_path / "x.fits", content)))

    assert list(header.cards) == cards
    assert header.ends_oddly
    assert header.altered == frozenset()
    assert header.data_offset == 2880


def test_blanks_behind_end_are_nothing_odd(tmp_path: Path) -> None:
    header = read_header(below(write_raw_cube(tmp_path, FRAMES)))

    assert not header.ends_oddly
    assert header.altered == frozenset()


@pytest.mark.parametrize("text", ["3.2768D4", "+32768.", "32768e0", "3276.8E+1"])
def test_a_number_may_be_written_in_any_of_the_ways_of_fits(tmp_path: Path, text: str) -> None:
    cards = with_card("BZERO", f"BZERO   = {text} / offset")

    assert read_header(below(written(tmp_path / "x.fits", header_bytes(cards)))).frames == 3


@pytest.mark.parametrize("text", ["3_2768", "32768 pixels", "'32768'", "nan", "0x8000"])
def test_what_only_some_reader_takes_for_a_number_is_none(tmp_path: Path, text: str) -> None:
    cards = with_card("BZERO", f"BZERO   = {text}")

    with pytest.raises(InputError, match="BZERO is"):
        read_header(below(written(tmp_path / "x.fits", header_bytes(cards))))


def test_a_file_without_end_costs_no_time(tmp_path: Path) -> None:
    path = tmp_path / "x.fits"
    with path.open("wb") as file:
        file.write(b"SIMPLE  =".ljust(2880 * 64))
        file.truncate(1 << 40)
    started = time.process_time()

    with pytest.raises(InputError, match="no END"):
        read_header(below(path))

    assert time.process_time() - started < 0.5


@pytest.mark.parametrize("change_bytes", [-2880, 2880, 1])
def test_a_file_of_another_size_than_its_header_demands_is_refused(
    tmp_path: Path, change_bytes: int
) -> None:
    path = write_raw_cube(tmp_path, FRAMES)
    header = read_header(below(path))

    with pytest.raises(InputError, match=r"demands 5760") as caught:
        check_size(header, path.stat().st_size + change_bytes, path="vcam1/x.fits")

    assert caught.value.path == "vcam1/x.fits"


def test_neither_a_link_nor_a_pipe_is_opened(tmp_path: Path) -> None:
    link, pipe = tmp_path / "link.fits", tmp_path / "pipe.fits"
    link.symlink_to(write_raw_cube(tmp_path, FRAMES))
    os.mkfifo(pipe)

    with pytest.raises(OSError, match="is a symbolic link"):
        read_header(below(link))
    with pytest.raises(OSError, match="is a pipe"):
        read_header(below(pipe))
