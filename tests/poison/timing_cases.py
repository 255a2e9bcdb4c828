"""Timing files as a whole, row by row, and times that do not belong together."""

from __future__ import annotations

import os
from collections.abc import Iterator

from tests.poison.card_cases import changed
from tests.poison.case import Case, Refused, Taken
from tests.poison.place import Make, Place


def rows() -> Iterator[Case]:
    """Timing files as a whole."""

    def replaced(change: bytes, by: bytes, count: int = -1) -> Make:
        return lambda place: place.write(rows=place.rows().replace(change, by, count))

    def content(content: bytes) -> Make:
        return lambda place: place.write(rows=content)

    yield Case(name="no timing file", make=_no_timing, expected=Refused("no timing file"))
    for name, bad in (
        ("an empty timing file", b""),
        ("a timing file of comments", b"# nothing\n# else\n"),
        ("a timing file of blank lines", b"\n\n   \n\t\n"),
    ):
        yield Case(name=name, make=content(bad), expected=Refused("0 rows for 3 frames"))
    yield Case(name="rows of NULs", make=content(bytes(300)), expected=Refused("rows for 3 frames"))
    yield Case(
        name="a timing file of 70 kB", make=content(b"#" * 70_000), expected=Refused("more than")
    )
    yield Case(
        name="a timing file of 1 GiB of holes", make=_huge_timing, expected=Refused("more than")
    )
    yield Case(name="two rows", make=_rows_kept(2), expected=Refused("2 rows for 3 frames"))
    yield Case(name="four rows", make=_rows_kept(4), expected=Refused("4 rows for 3 frames"))
    yield Case(name="line ends of DOS", make=replaced(b"\n", b"\r\n"), expected=Taken())
    yield Case(
        name="line ends of old Macs", make=replaced(b"\n", b"\r"), expected=Refused("rows for 3")
    )
    yield Case(
        name="no comments",
        make=replaced(b"# Telemetry stream timing data\n#\n", b""),
        expected=Taken(),
    )
    yield Case(
        name="comments of bytes", make=replaced(b"Telemetry", b"\xff\xfe\x00"), expected=Taken()
    )
    yield Case(name="no last line end", make=_no_last_end, expected=Taken(2))
    yield Case(name="a torn last row", make=_torn, expected=Taken(2))
    yield Case(name="blank lines between", make=replaced(b"\n", b"\n\n"), expected=Taken())
    yield Case(name="TABs between", make=replaced(b"   ", b"\t"), expected=Taken())
    yield Case(name="a byte order mark before the rows", make=_marked, expected=Taken())
    yield Case(name="six columns", make=_six_columns, expected=Taken())
    yield Case(name="eight columns", make=replaced(b"\n", b" 1\n"), expected=Taken(0))


def _no_timing(place: Place) -> None:
    place.write()
    place.timing.unlink()


def _huge_timing(place: Place) -> None:
    place.write()
    os.truncate(place.timing, 1 << 30)


def _rows_kept(count: int) -> Make:
    return lambda place: place.write(rows=place.rows(count))


def _no_last_end(place: Place) -> None:
    place.write(rows=place.rows()[:-1])


def _torn(place: Place) -> None:
    place.write(rows=place.rows()[:-30] + b"\n")


def _marked(place: Place) -> None:
    place.write(rows=b"#\xef\xbb\xbf\n" + place.rows())


def _six_columns(place: Place) -> None:
    lines = place.rows().splitlines()
    kept = [
        line if line.startswith(b"#") else b" ".join(line.split()[:4] + line.split()[5:])
        for line in lines
    ]
    place.write(rows=b"\n".join(kept) + b"\n")


def row_values() -> Iterator[Case]:
    """One acquisition time that is none: it costs its own frame."""
    for value in (
        "nan",
        "inf",
        "-1.0",
        "0",
        "0.000000",
        "1e999999999",
        "1e9",
        "9223372036854775808",
        "99999999999999999999.5",
        "-0",
        "1_762_405_800.01",
        "0x6913",
        "later",
        "'",
        "946684799.999999",
        "4102444800.000000",
    ):
        yield Case(name=f"an acquisition time of {value}", make=_time_of(value), expected=Taken(2))
    yield Case(name="a time twice", make=_time_of("{first}"), expected=Taken(2))
    yield Case(name="rows in reverse", make=_reversed, expected=Taken(0))
    yield Case(name="a logging time of nan", make=_time_of("nan", column=3), expected=Taken(2))
    yield Case(name="a stream count of nan", make=_time_of("nan", column=5), expected=Taken())
    yield Case(
        name="a stream count beyond 64 bits", make=_time_of("9" * 30, column=5), expected=Taken()
    )
    yield Case(name="no acquisition time at all", make=_no_times, expected=Taken())


def _time_of(value: str, column: int = 4) -> Make:
    def make(place: Place) -> None:
        lines = place.rows().split(b"\n")
        first, middle = (line.split() for line in lines[2:4])
        middle[column] = value.format(first=first[4].decode()).encode()
        lines[3] = b" ".join(middle)
        place.write(rows=b"\n".join(lines))

    return make


def _reversed(place: Place) -> None:
    lines = place.rows().splitlines()
    place.write(rows=b"\n".join([*lines[:2], *reversed(lines[2:])]) + b"\n")


def _no_times(place: Place) -> None:
    lines = [line.split() for line in place.rows().splitlines()]
    for words in lines[2:]:
        words[4] = b"0.000000"
    place.write(rows=b"\n".join(b" ".join(words) for words in lines) + b"\n")


def clocks() -> Iterator[Case]:
    """Times that do not belong together, and times of files that cannot be."""
    for keyword, value in (
        ("UT-STR", "'01:02:03.00'"),
        ("UT-END", "'23:59:60.99'"),
        ("MJD-STR", "60985.9"),
        ("MJD-END", "60000.0"),
    ):
        yield Case(
            name=f"{keyword} of another cube",
            make=changed(keyword, f"{keyword:<8}= {value}"),
            expected=Refused(keyword),
        )
    for keyword, value in (("UT-STR", "'25:61:99'"), ("MJD-STR", "NaN"), ("MJD-END", "1E400")):
        yield Case(
            name=f"{keyword} that is no time",
            make=changed(keyword, f"{keyword:<8}= {value}"),
            expected=Taken(),
        )
    for name, seconds in (
        ("1970", 0),
        ("before 1970", -86_400),
        ("2038", 2_147_483_648),
        ("2106", 4_294_967_296),
        ("2200", 7_258_118_400),
    ):
        yield Case(name=f"a file of {name}", make=_dated(seconds), expected=Taken())


def _dated(seconds: int) -> Make:
    def make(place: Place) -> None:
        place.write()
        os.utime(place.cube, (seconds, seconds))

    return make
