"""Cards that say where the pixels are, cards that everything needs, and odd ones."""

from __future__ import annotations

from collections.abc import Iterator

from tests.poison.case import Case, Refused, Taken
from tests.poison.place import Make, Place
from tests.support.raw_cubes import header_bytes


def changed(keyword: str, card: str | bytes | None) -> Make:
    return lambda place: place.write_with(keyword, card)


_NAXIS = "a whole number from"


def shape_cards() -> Iterator[Case]:
    """Cards that say where the pixels are."""
    for keyword, values, reason in (
        ("SIMPLE", ("F", "'T'", "1"), "SIMPLE|not a FITS file"),
        ("BITPIX", ("8", "-16", "32", "-32", "64", "-64", "0", "16.0", "'16'"), "BITPIX"),
        ("NAXIS", ("0", "1", "4", "999", "-3", "3.0", "'3'", ""), "NAXIS"),
        ("NAXIS1", ("0", "-6", "65537", "999999999999999999999", "6.0", "NaN", "'6'"), "NAXIS1"),
        ("NAXIS2", ("0", "-4", "65537", "4E0", "+4", "004", "T"), "NAXIS2"),
        ("NAXIS3", ("0", "-3", "2147483649", "9223372036854775808", "3 4", "inf"), "NAXIS3"),
        ("BZERO", ("0", "-32768", "32768.5", "NaN", "inf", "'32768'", "1E400"), "BZERO"),
        ("BSCALE", ("2", "0", "-1", "NaN", "1E999"), "BSCALE"),
    ):
        for value in values:
            yield Case(
                name=f"{keyword} = {value or 'nothing'}",
                make=changed(keyword, f"{keyword:<8}= {value:>20}"),
                expected=Refused(reason),
            )
        if keyword != "BSCALE":
            yield Case(
                name=f"no {keyword}",
                make=changed(keyword, None),
                expected=Refused(reason + "|card "),
            )
    yield Case(name="no BSCALE", make=changed("BSCALE", None), expected=Taken())
    for value in ("1.0", "1E0", "1.0D0"):
        card = f"BSCALE  = {value:>20}"
        yield Case(name=f"BSCALE = {value}", make=changed("BSCALE", card), expected=Taken())
    for value in ("32768.0", "3.2768E4", "32768."):
        card = f"BZERO   = {value:>20}"
        yield Case(name=f"BZERO = {value}", make=changed("BZERO", card), expected=Taken())


def value_cards() -> Iterator[Case]:
    """The exposure time, which everything needs."""
    for value in ("0", "-0.1", "NaN", "inf", "-inf", "'0.01'", "T", "", "1E999", "0.01.0", "0x1p3"):
        yield Case(
            name=f"EXPTIME = {value or 'nothing'}",
            make=changed("EXPTIME", f"EXPTIME = {value:>20}"),
            expected=Refused("EXPTIME"),
        )
    yield Case(
        name="no EXPTIME", make=changed("EXPTIME", None), expected=Refused("EXPTIME is missing")
    )
    for value in ("1E-3", "+0.0099", ".0099", "9.9D-3", "1"):
        card = f"EXPTIME = {value:>20}"
        yield Case(name=f"EXPTIME = {value}", make=changed("EXPTIME", card), expected=Taken())
    for value, camera in (
        ("'VCAM2 - OrcaQ'", "another camera"),
        ("'VCAM2 - OrcaQ' / x", "comment"),
    ):
        card = f"DETECTOR= {value}"
        yield Case(
            name=f"DETECTOR of {camera}",
            make=changed("DETECTOR", card),
            expected=Refused("DETECTOR"),
        )


_ODD_CARDS: dict[str, str | bytes] = {
    "a huge integer": "BIGINT  = 9223372036854775808",
    "an integer of 60 digits": f"BIGGER  = {'9' * 60}",
    "a huge exponent": "BIGEXP  = 1E999999999",
    "a card of NaN": "WINDDIR = NaN",
    "a card of infinity": "WINDSPD = -inf",
    "a text that does not end": "OBJECT  = 'a star",
    "a text of quotes": "OBJECT  = ''''''''''''",
    "a text of 68": f"OBJECT  = '{'x' * 68}'",
    "a byte beyond ASCII": b"OBJECT  = 'caf\xe9    '",
    "UTF-8": "OBJECT  = 'Hōkūle`a'".encode(),
    "a TAB": b"OBJECT  = 'a\tstar  '",
    "a NUL": b"OBJECT  = 'star\x00\x00\x00\x00'",
    "an escape sequence": b"OBJECT  = '\x1b[2J\x1b]0;x\x07'",
    "a DEL": b"OBJECT  = '\x7f'",
    "line ends": b"OBJECT  = 'a\r\nb'",
    "markup": "OBJECT  = '<script>alert(1)</script>'",
    "a formula": "OBJECT  = '=cmd|/c calc'",
    "a path": "OBJECT  = '../../../../etc/passwd'",
    "a command": "OBJECT  = '$(touch x); `id` | sh'",
    "a statement": "OBJECT  = '''); drop table night; --'",
    "a format": "OBJECT  = '%s%n{0.__class__}'",
    "a keyword in small letters": "object2 = 'x'",
    "a keyword with a blank": "MY KEY  = 'x'",
    "a keyword of signs": "$%&?!   = 'x'",
    "a keyword at the second place": " SECOND = 'x'",
    "no keyword": "        = 'x'",
    "no equals sign": "NOEQUALS  'x'",
    "an equals sign too late": "LATEEQ   ='x'",
    "CONTINUE alone": "CONTINUE  'and so on&'",
    "CONTINUE with a number": "CONTINUE  = 5",
    "HIERARCH": "HIERARCH ESO DET OUT1 GAIN = 2.5 / a card of others",
    "HISTORY without text": "HISTORY",
    "COMMENT with quotes": "COMMENT = 'not a value'",
    "a complex number": "COMPLEX = (1.0, -2.0)",
    "a word": "WORD    = yes",
    "a logical of small letters": "LOGICAL = t",
    "a date of nonsense": "DATE-OBS= '0000-99-99T99:99:99'",
    "EXTEND": "EXTEND  =                    T",
    "PCOUNT and no use": "PCOUNT  =                    0",
    "CHECKSUM that is wrong": "CHECKSUM= 'AAAAAAAAAAAAAAAA'",
    "DATASUM that is wrong": "DATASUM = '12345'",
    "ZIMAGE": "ZIMAGE  =                    T",
    "ZCMPTYPE": "ZCMPTYPE= 'GZIP_1'",
    "XTENSION in the primary": "XTENSION= 'BINTABLE'",
    "TFORM1": "TFORM1  = '1PB(0)'",
    "BLANK": "BLANK   =               -32768",
    "FRAMEID of another": "FRAMEID = 'VMPA99999999'",
    "U_FLCST of no state": "U_FLCST = 'PERHAPS'",
    "a card of blanks": "",
    "END without END's blanks": "ENDING  = 1",
}


def odd_cards() -> Iterator[Case]:
    """Cards that are wrong in themselves and say nothing about pixels: the cube is good."""
    for number, (name, card) in enumerate(_ODD_CARDS.items()):
        yield Case(name=name, make=changed(f"ODD{number}", card), expected=Taken())
    for keyword in ("OBJECT", "EXPTIME", "NAXIS3", "BITPIX"):
        yield Case(name=f"{keyword} twice", make=_twice(keyword), expected=Taken())
    yield Case(name="the same card 500 times", make=many("HISTORY x"), expected=Taken())
    yield Case(name="2000 keywords", make=many("K{:<7}= 1", 2000), expected=Taken())


def _twice(keyword: str) -> Make:
    other = {"NAXIS3": "7", "BITPIX": "8"}.get(keyword, "0.5")

    def make(place: Place) -> None:
        place.write(header=header_bytes(place.cards(f"{f'{keyword:<8}= {other:>20}':<80}")))

    return make


def many(card: str, count: int = 500) -> Make:
    def make(place: Place) -> None:
        more = [f"{card.format(number):<80}" for number in range(count)]
        place.write(header=header_bytes(place.cards(*more)))

    return make
