"""Pictures of cubes, as files: of a known night, of a known output, from nowhere else.

Nothing of an address reaches the disk: the folder and the output's name are the ledger's.
"""

from __future__ import annotations

from msgspec import Struct

from vampd.errors import OperatorError
from vampd.io.beneath import night_folder, read_start
from vampd.layout import LARGE_PICTURE, SMALL_PICTURE
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.views.exposures import exposure
from vampd.views.quick_looks import PICTURES, looked_at

_MOST_BYTES = 8 << 20  # a larger one is none of ours
_PNG = b"\x89PNG\r\n\x1a\n"


class CubePicture(Struct, frozen=True, kw_only=True):
    """A picture, and what changes whenever it is made anew."""

    content: bytes
    version: str


def cube_picture(ledger: Reader, night: Night, name: str, what: str, size: int) -> CubePicture:
    """The picture *what* of an output. OperatorError: there is none."""
    msg = f"{night} {name}: no picture {what} of {size} pixels"
    shot = exposure(ledger, night.id, name)
    look = None if shot is None else looked_at(ledger, shot.exposure.output)
    if look is None or what not in PICTURES or size not in {SMALL_PICTURE, LARGE_PICTURE}:
        raise OperatorError(msg)
    where = night_folder(night.folder) / look.picture(what, size)
    try:
        content = read_start(where, _MOST_BYTES)
    except (OSError, ValueError) as error:
        msg = f"{msg}: {where} cannot be read"
        raise OperatorError(msg) from error
    if not content.startswith(_PNG):
        msg = f"{where}: not a picture of ours"
        raise OperatorError(msg)
    return CubePicture(content=content, version=str(look.made_us))
