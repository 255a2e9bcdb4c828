"""Header cards: the dictionary's formats, our own cards, and nothing else touched."""

from __future__ import annotations

import pytest

from vampd.records import CardReport, CardValue
from vampd.science.cards import output_cards, parse_card
from vampd.science.times import CubeTimes, cube_times
from vampd.states import FlcState

TIMES = cube_times(1_762_405_898_880_865, 1_762_405_899_278_838)


def card(text: str) -> str:
    return text.ljust(80)


def formatted(
    raw: list[str],
    *,
    flc_state: FlcState = FlcState.NONE,
    frame_id: str | None = None,
    times: CubeTimes = TIMES,
) -> tuple[list[str], list[CardReport]]:
    return output_cards(
        [card(text) for text in raw],
        frames=100,
        times=times,
        synchronised=True,
        flc_state=flc_state,
        frame_id=frame_id,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AZIMUTH =    158.9088578071541 / [deg] where", 158.9088578071541),
        ("NAXIS3  =                  200", 200),
        ("EXTTRIG =                    T / trigger", True),
        ("EXTTRIG =                    F", False),
        ("OBJECT  = 'AB Aur  '           / the 'star'", "AB Aur"),
        ("OBJECT  = 'O''Neill / x'", "O'Neill / x"),
        ("OBJECT  = ''", ""),
        ("GAIN    =              1.03D-01", 0.103),
        ("EXPTIME =                     / nothing", None),
        ("EXPTIME =                  nan", None),
        ("EXPTIME = some words", None),
        ("U_FLC   = 'NA", None),
    ],
)
def test_values_are_read_as_the_standard_says(text: str, expected: CardValue) -> None:
    assert parse_card(card(text)) == (text[:8].rstrip(), expected)


def test_commentary_cards_have_no_value() -> None:
    assert parse_card(card("COMMENT = 'not a value'")) == ("COMMENT", None)
    assert parse_card(card("")) == ("", None)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("AZIMUTH =    158.9088578071541", "AZIMUTH =            158.90886"),
        ("AZIMUTH =    158.9088578071541 / [deg]", "AZIMUTH =            158.90886 / [deg]"),
        ("CD1_2   =  6.55633610090989E-10", "CD1_2   =           0.00000000"),
        ("D_TTGAIN=   100.93319284911357", "D_TTGAIN=            100.93319"),
        ("PRD-RNG2=                 30.0", "PRD-RNG2=                   30"),
        ("X_SRCFLX=               3.1415", "X_SRCFLX=                  3.1"),
        ("GAIN    =             1.03D-01", "GAIN    =                0.103"),
        ("CD1_1   = 123456789012345.5", "CD1_1   = 123456789012345.50000000"),
        ("X_POLAR = 'abcdefghijklmnopqrst' / what", "X_POLAR = 'abcdefghijklmnop'   / what"),
        ("X_POLAR = 'short   '", "X_POLAR = 'short   '"),
        ("OBJECT  = 'a name of more than thirty characters'", None),
        ("DATA-TYP= 'OBJECT'", None),
        ("EXTTRIG =                    T", None),
        ("BITPIX  =                   16", None),
        ("BSCALE  =                    1", None),
        ("BZERO   =                32768", None),
        ("UNKNOWN =    158.9088578071541", None),
        ("COMMENT   AZIMUTH = 1.23456789", None),
        ("HIERARCH ESO AZIMUTH = 1.23456789", None),
        ("", None),
    ],
)
def test_cards_are_formatted_as_the_dictionary_says(raw: str, expected: str | None) -> None:
    cards, reports = formatted([raw])

    assert cards[0] == card(raw if expected is None else expected)
    assert reports == []


@pytest.mark.parametrize(
    "raw",
    [
        "AZIMUTH = 'north'",
        "AZIMUTH =                    T",
        "AZIMUTH =              1.0E400",
        "AZIMUTH =              1.0E300",
        "AZIMUTH =",
        "PRD-RNG2=                 30.5",
        "EXTTRIG = 'T'",
        "OBJECT  =                   42",
    ],
)
def test_cards_that_do_not_suit_are_left_and_reported(raw: str) -> None:
    cards, reports = formatted([raw])

    assert cards[0] == card(raw)
    assert len(reports) == 1
    assert reports[0].keyword == raw[:8].rstrip()
    assert reports[0].card == raw
    assert reports[0].what.endswith("left as it is")


@pytest.mark.parametrize(
    "raw",
    [
        "AZIMUTH =                  NaN",
        "PRD-RNG2=                  inf",
        "GAIN    = some words",
        "GAIN    = 5.0 seconds",
        "GAIN    = t",
        "GAIN    = 1.5.2",
        "GAIN    = 0x1F",
        "GAIN    = 1.5E",
        "OBJECT  = 'no end",
        "OBJECT  = 'O'Neill'",
        "OBJECT  = '''",
        "OBJECT  = 'a' remark",
        "gain    =                 1.50",
        "GAIN(1) =                 1.50",
        "A.B     =                 1.50",
        "UT OBS  = '05:10:00'",
        " GAIN   =                 1.50",
        "A=5",
        "GA?N    =                 1.50",
        "CONTINUE  'of nothing'",
        "CONTINUE",
        "HIERARCH ESO DET = NaN",
        "HIERARCH = 5",
        "HIERARCH without a value",
        "X       has no value",
        "X       =5",
        "X        = 5",
        "NAXIS4  =                    5",
        "NAXIS03 =                    5",
        "EXTEND  = 'yes'",
        "EXTNAME =                    5",
        "EXTNAME =",
        "EXTNAME  says nothing",
        "EXTVER  = 'two'",
        "BLANK   =                  1.5",
        "PCOUNT  =                    5",
        "PCOUNT  =                    F",
        "GCOUNT  =                    3",
        "GCOUNT  =                    T",
        "GROUPS  =                    T",
    ],
)
def test_a_card_that_readers_refuse_or_misread_is_left_out_and_told(raw: str) -> None:
    cards, reports = formatted(["DATE    = 'x       '", raw, "SERIAL  = 7"])

    assert [text[:8] for text in cards[:2]] == ["DATE    ", "SERIAL  "]
    assert [report.card for report in reports] == [raw.strip()]
    assert "left out of the outputs" in reports[0].what
    assert reports[0].what.startswith(reports[0].keyword)


@pytest.mark.parametrize(
    "raw",
    [
        "X       = 9223372036854775808",
        "X       = 1E400",
        "X       = (1.0, -2E5)",
        "X       = -.5",
        "X       = 007 / agent",
        "X       = T",
        "X       =",
        "X       = / no value",
        "X       = 'a'/c",
        "X       = 'ends in & but nothing follows &'",
        "X       = 'It''s'",
        "X       = 'KEY.SUB: 1.5'",
        "-_9     = 1",
        "HIERARCH ESO DET1.READ speed= 'fast' / words",
        "HISTORY = NaN",
        "COMMENT 'no end",
        "        = 5",
        "EXTNAME = 'a cube'",
        "EXTVER  = 2",
        "BLANK   = -5",
        "PCOUNT  = 0",
        "GCOUNT  = 1",
        "GROUPS  = F",
        "INHERIT = T",
    ],
)
def test_a_card_that_the_standard_knows_is_kept_as_it_is(raw: str) -> None:
    cards, reports = formatted([raw])

    assert cards[0] == card(raw)
    assert reports == []


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("X       =            1.50e-07", "X       =            1.50E-07"),
        ("X       = -3d4/ gain 1e5", "X       = -3D4/ gain 1e5"),
    ],
)
def test_a_small_exponent_becomes_a_capital_and_is_told(raw: str, expected: str) -> None:
    cards, reports = formatted([raw])

    assert cards[0] == card(expected)
    assert [report.keyword for report in reports] == ["X"]


def test_a_card_some_of_whose_bytes_are_forbidden_is_kept_and_told() -> None:
    cards, reports = output_cards(
        [card("OBJECT  = 'M?ller  '"), card("COMMENT fine"), card("?BJECT  = 'x'")],
        frames=1,
        times=TIMES,
        synchronised=False,
        flc_state=FlcState.NONE,
        frame_id=None,
        altered={0, 2},
    )

    assert cards[:2] == [card("OBJECT  = 'M?ller  '"), card("COMMENT fine")]
    assert [report.keyword for report in reports] == ["OBJECT", "?BJECT"]
    assert "bytes that FITS forbids" in reports[0].what
    assert "left out" in reports[1].what


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (["X       = 'a&'", "CONTINUE  'b&' / c", "CONTINUE  'd'"], 3),
        (["X       = 'a&'", "CONTINUE  'b'", "CONTINUE  'd'"], 2),
        (["X       = 'a'", "CONTINUE  'b'"], 1),
        (["X       = 'a&'", "CONTINUE  b", "CONTINUE  'd'"], 1),
        (["X       = 'a&'", "COMMENT", "CONTINUE  'd'"], 2),
        (["X       = 'a&'''", "CONTINUE  'd'"], 1),
        (["X       = 5 / 'a&'", "CONTINUE  'd'"], 1),
        (["gain    = 'a&'", "CONTINUE  'b'"], 0),
        (["CHECKSUM= 'a&'", "CONTINUE  'b'"], 0),
        (["HIERARCH ESO X = 'a&'", "CONTINUE  'b'"], 2),
    ],
)
def test_what_continues_a_text_shares_its_fate(raw: list[str], kept: int) -> None:
    cards, _ = formatted([*raw, "Y       = 5"])

    assert cards[: kept + 1] == [card(text) for text in [*raw[:kept], "Y       = 5"]]


def test_what_continues_a_text_that_is_ours_now_is_left_out() -> None:
    cards, _ = formatted(["U_FLC   = 'a&'", "CONTINUE  'b'", "Y       = 5"])

    assert cards[:2] == [card("U_FLC   = 'NA      '"), card("Y       = 5")]


def test_of_cards_that_say_how_to_read_the_file_the_first_counts_and_it_is_told() -> None:
    structure = [
        "SIMPLE  =                    T",
        "BITPIX  =                   16",
        "NAXIS   =                    3",
        "NAXIS1  =                    4",
        "NAXIS2  =                    3",
        "NAXIS3  =                  100",
        "BZERO   =                32768",
        "EXTNAME = 'one'",
    ]
    again = [f"{text[:10]}                   99" for text in structure]

    cards, reports = formatted([*structure, *again, "Y       = 5"])

    assert cards[:9] == [card(text) for text in [*structure, "Y       = 5"]]
    assert [report.keyword for report in reports] == [text[:8].rstrip() for text in structure]


def test_a_third_axis_stands_behind_the_second_wherever_it_stood() -> None:
    cards, _ = formatted(
        [
            "NAXIS   =                    2",
            "NAXIS1  =                    4",
            "NAXIS2  =                    3",
            "DATE    = 'x'",
            "NAXIS3  =                    7",
            "Y       = 5",
        ]
    )

    assert [text[:30].strip() for text in cards[:6]] == [
        "NAXIS   =                    3",
        "NAXIS1  =                    4",
        "NAXIS2  =                    3",
        "NAXIS3  =                  100",
        "DATE    = 'x'",
        "Y       = 5",
    ]


def test_cards_of_the_structure_are_written_in_fixed_format() -> None:
    cards, reports = formatted(["SIMPLE  = T / FITS", "NAXIS1  = 32"])

    assert cards[:2] == [
        card("SIMPLE  =                    T / FITS"),
        card("NAXIS1  =                   32"),
    ]
    assert reports == []


def test_a_continued_string_is_never_cut() -> None:
    raw = ["X_POLAR = 'abcdefghijklmnopqrst&'", "CONTINUE  'uvw'"]

    cards, reports = formatted(raw)

    assert cards[:2] == [card(text) for text in raw]
    assert len(reports) == 1


def test_our_cards_are_set_where_they_stand_and_appended_where_they_are_missing() -> None:
    cards, _ = formatted(
        [
            "NAXIS   =                    3 / number of axes",
            "NAXIS3  =                  400",
            "U_FLC   = 'NA      '           / state",
            "MJD     =    60985.21642453532",
            "OBJECT  = 'x       '",
        ],
        flc_state=FlcState.B,
    )

    assert cards[0] == card("NAXIS   =                    3 / number of axes")
    assert cards[1] == card("NAXIS3  =                  100")
    assert cards[2] == card("U_FLC   = 'B       '           / state")
    assert cards[3] == card("MJD     =       60985.21642454")
    assert card("U_SYNC  =                    T") in cards[5:]
    assert card("UT-STR  = '05:11:38.880865'") in cards[5:]
    assert card("DATE-OBS= '2025-11-06'") in cards[5:]


def test_a_cube_of_one_frame_gets_three_axes() -> None:
    cards, _ = formatted(
        [
            "NAXIS   =                    2",
            "NAXIS1  =                   32",
            "NAXIS2  =                   24",
            "DATE    = 'x       '",
        ]
    )

    assert [text[:30] for text in cards[:4]] == [
        "NAXIS   =                    3",
        "NAXIS1  =                   32",
        "NAXIS2  =                   24",
        "NAXIS3  =                  100",
    ]


def test_doubles_of_our_cards_and_stale_checksums_are_left_out() -> None:
    cards, _ = formatted(
        [
            "UT      = 'first   '",
            "CHECKSUM= 'abc     '",
            "UT      = 'second  '",
            "DATASUM = '12      '",
        ]
    )

    keywords = [text[:8].rstrip() for text in cards]
    assert keywords.count("UT") == 1
    assert "CHECKSUM" not in keywords
    assert "DATASUM" not in keywords


def test_frame_ids_are_touched_only_when_given() -> None:
    raw = ["FRAMEID = 'NA      '", "EXP-ID  = 'NA      '"]

    engineering, _ = formatted(raw)
    archive, _ = formatted(raw, frame_id="VMPA00425189")

    assert engineering[:2] == [card(text) for text in raw]
    assert archive[0] == card("FRAMEID = 'VMPA00425189'")
    assert archive[1] == card("EXP-ID  = 'VMPE00425189'")


def test_a_comment_gives_way_to_a_long_number() -> None:
    raw = "CD1_1   = 1E60 / a comment that has its place"

    cards, _ = formatted([raw])

    assert len(cards[0]) == 80
    assert cards[0][10:].startswith(f"{1e60:.8f}"[:60])


def test_every_card_has_eighty_characters() -> None:
    cards, _ = formatted(
        ["OBJECT  = 'x       '", "AZIMUTH = 1.5 / " + "c" * 64], frame_id="VMPA00000001"
    )

    assert {len(text) for text in cards} == {80}
