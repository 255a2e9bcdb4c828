"""Header cards: the dictionary's formats, our own cards, and nothing else touched."""

from __future__ import annotations

import pytest

from vampd.records import CardValue
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
) -> tuple[list[str], list[str]]:
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
        ("CONTINUE  'more'", None),
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
        "AZIMUTH =                  NaN",
        "AZIMUTH =              1.0E400",
        "AZIMUTH =              1.0E300",
        "AZIMUTH =",
        "PRD-RNG2=                 30.5",
        "PRD-RNG2=                  inf",
        "EXTTRIG = 'T'",
        "OBJECT  =                   42",
    ],
)
def test_cards_that_do_not_suit_are_left_and_reported(raw: str) -> None:
    cards, reports = formatted([raw])

    assert cards[0] == card(raw)
    assert len(reports) == 1
    assert reports[0].startswith(raw[:8].rstrip())


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
