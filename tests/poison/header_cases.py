"""Headers as a whole, and files that are shorter, longer or larger than they say."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator

from tests.poison.card_cases import many
from tests.poison.case import Case, Refused, Taken
from tests.poison.place import HEIGHT, WIDTH, Make, Place, joined
from tests.support.raw_cubes import header_bytes, image_cards


def headers() -> Iterator[Case]:
    """Headers as a whole."""

    def header(content: bytes) -> Make:
        return lambda place: place.write(header=content)

    def altered(old: bytes, new: bytes) -> Make:
        return lambda place: place.write(header=header_bytes(place.cards()).replace(old, new, 1))

    yield Case(name="no END", make=altered(b"END ", b"AND "), expected=Refused("END"))
    yield Case(name="END far away", make=many("COMMENT far", 2500), expected=Refused("no END card"))
    yield Case(
        name="an END of small letters", make=altered(b"END ", b"end "), expected=Refused("END")
    )
    yield Case(name="NULs behind END", make=_nul_padding, expected=Taken())
    yield Case(name="text behind END", make=_text_padding, expected=Taken())
    yield Case(name="all NULs", make=header(bytes(2880)), expected=Refused("not a FITS file"))
    yield Case(name="all 0xff", make=header(b"\xff" * 2880), expected=Refused("not a FITS file"))
    yield Case(name="a text file", make=header(b"hello\n"), expected=Refused("FITS|END"))
    yield Case(
        name="UTF-16", make=header("SIMPLE  = T".encode("utf-16")), expected=Refused("FITS|END")
    )
    yield Case(
        name="a byte order mark",
        make=lambda place: place.write(header=b"\xef\xbb\xbf" + header_bytes(place.cards())[:-3]),
        expected=Refused("not a FITS file"),
    )
    yield Case(name="gzip under a name of FITS", make=_gzipped, expected=Refused("not a FITS file"))
    yield Case(
        name="a PNG", make=header(b"\x89PNG\r\n\x1a\n" * 400), expected=Refused("not a FITS")
    )
    yield Case(name="one line break a card", make=_line_breaks, expected=Refused("FITS|card|END"))
    yield Case(name="cards in another order", make=_shuffled, expected=Refused("card|NAXIS"))
    yield Case(name="NAXIS3 before NAXIS1", make=_swapped_axes, expected=Refused("card"))
    yield Case(name="an extension behind", make=_with_extension, expected=Refused("too long"))
    yield Case(name="an extension alone", make=_extension_alone, expected=Refused("not a FITS"))


def _nul_padding(place: Place) -> None:
    header = header_bytes(place.cards())
    end = header.rindex(b"END ") + 3
    place.write(header=header[:end] + bytes(len(header) - end))


def _text_padding(place: Place) -> None:
    header = header_bytes(place.cards())
    end = header.rindex(b"END ") + 8
    place.write(header=(header[:end] + b" left-over text").ljust(len(header)))


def _gzipped(place: Place) -> None:
    place.write()
    place.cube.write_bytes(gzip.compress(place.cube.read_bytes()).ljust(2880, b"\0"))


def _line_breaks(place: Place) -> None:
    place.write(header="\n".join(place.cards()).encode().ljust(5760))


def _shuffled(place: Place) -> None:
    cards = place.cards()
    place.write(header=header_bytes([cards[0], *reversed(cards[1:])]))


def _swapped_axes(place: Place) -> None:
    cards = place.cards()
    cards[3], cards[5] = cards[5], cards[3]
    place.write(header=header_bytes(cards))


def _with_extension(place: Place) -> None:
    place.write()
    extension = [f"{card:<80}" for card in ("XTENSION= 'IMAGE   '", "BITPIX  = 8", "NAXIS   = 0")]
    with place.cube.open("ab") as file:
        file.write(header_bytes(extension))


def _extension_alone(place: Place) -> None:
    cards = [each.encode() for each in place.cards()]
    place.write(header=joined([b"XTENSION= 'IMAGE   '".ljust(80), *cards[1:]]))


def sizes() -> Iterator[Case]:
    """Files that are shorter, longer or larger than they say."""

    def cut(size_bytes: int) -> Make:
        def make(place: Place) -> None:
            place.write()
            os.truncate(place.cube, size_bytes)

        return make

    for size_bytes, reason in (
        (0, "END|ends after 0"),
        (1, "END|ends after 0"),
        (79, "END|ends after 0"),
        (2879, "END|ends after 0"),
        (2880, "truncated"),
        (2881, "truncated"),
        (5759, "truncated"),
        (5761, "too long"),
        (8640, "too long"),
    ):
        yield Case(name=f"{size_bytes} bytes", make=cut(size_bytes), expected=Refused(reason))
    yield Case(name="1 TiB of holes", make=cut(1 << 40), expected=Refused("too long"))
    yield Case(name="a cube of holes", make=_sparse(200), expected=Refused("3 rows for 200 frames"))
    yield Case(
        name="pixels that are not there", make=_declares(10**6), expected=Refused("truncated")
    )
    yield Case(
        name="frames of 65536 x 65536",
        make=_declares(1, 65536, 65536),
        expected=Refused("a frame of"),
    )
    yield Case(
        name="2147483647 frames",
        make=_declares((1 << 31) - 1, 4096, 4096),
        expected=Refused("a cube of at most"),
    )
    yield Case(name="a single frame of two axes", make=_two_axes, expected=Taken(1))


def _sparse(frames: int) -> Make:
    def make(place: Place) -> None:
        header = header_bytes(image_cards(1024, 1024, frames, place.extra))
        place.write(header=header, pixels=b"")
        size_bytes = 2 * 1024 * 1024 * frames
        os.truncate(place.cube, len(header) + size_bytes + -size_bytes % 2880)

    return make


def _declares(frames: int, width: int = WIDTH, height: int = HEIGHT) -> Make:
    return lambda place: place.write(
        header=header_bytes(image_cards(width, height, frames, place.extra))
    )


def _two_axes(place: Place) -> None:
    header = header_bytes(image_cards(WIDTH, HEIGHT, 1, place.extra, axes=2))
    place.write(header=header, pixels=place.pixels(1), rows=place.rows(1))
