"""What a name in a root or in a night says, decided without touching the disk.

    ROOT/YYYYMMDD/vcam1/vcam1_HH:MM:SS.nnnnnnnnn.fits                  one cube
    ROOT/YYYYMMDD/vcam1/vcam1_HH:MM:SS.nnnnnnnnn.txt                   its timing
    ROOT/YYYYMMDD/vcam1/vcam1_HH:MM:SS.nnnnnnnnn.fits.<pid>.<tid>.tmp  being written

Whatever does not match to the letter is somebody else's and is never opened: CFITSIO
reads '!', '[' and '(' in a name as syntax, and a newline in a name would split a list.
"""

from __future__ import annotations

import re
from datetime import date
from enum import StrEnum

from msgspec import Struct


class Role(StrEnum):
    """What a file in a night's folder is for."""

    CUBE = "cube"  #: frames of one camera, under their final name
    TIMING = "timing"  #: the times of a cube's frames
    TEMPORARY = "temporary"  #: a cube that the logger is writing, or was when it died
    OTHER = "other"  #: not the cameras': listed, never opened


class Named(Struct, frozen=True, kw_only=True):
    """What a path says about its file. *stem* joins a cube with its timing."""

    role: Role
    camera: int | None
    stem: str | None


_NOBODY = Named(role=Role.OTHER, camera=None, stem=None)

_DATE = re.compile(r"[0-9]{8}")

# The folder's digit is repeated in the name. A leap second (60) is a time like any other.
_CAMERA_FILE = re.compile(
    r"vcam(?P<camera>[12])/"
    r"(?P<stem>vcam(?P=camera)_(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)\.[0-9]{9})"
    r"(?:(?P<cube>\.fits)|(?P<timing>\.txt)|\.fits\.[0-9]+\.[0-9]+\.tmp)"
)

_MANIFEST = re.compile(r"manifest_[0-9A-Za-z_]+(?:\.[0-9]+)?\.csv")  # a batch has its number


_OUR_FOLDERS = frozenset({"vgen2", ".vampd"})


def night_date(name: str) -> date | None:
    """The date of a night's folder: exactly eight digits that form a real date, else None."""
    if not _DATE.fullmatch(name):
        return None
    try:
        return date(int(name[:4]), int(name[4:6]), int(name[6:]))
    except ValueError:
        return None


def classify(relative_path: str) -> Named:
    """What the file at *relative_path*, relative to its night, is for."""
    match = _CAMERA_FILE.fullmatch(relative_path)
    if match is None:
        return _NOBODY
    if match["cube"]:
        role = Role.CUBE
    elif match["timing"]:
        role = Role.TIMING
    else:
        role = Role.TEMPORARY
    return Named(role=role, camera=int(match["camera"]), stem=match["stem"])


def named_us(stem: str) -> int:
    """The time of day in the *stem* of one of the cameras' files, microseconds."""
    hours, minutes, seconds = stem.partition("_")[2].split(":")
    return (int(hours) * 60 + int(minutes)) * 60_000_000 + round(float(seconds) * 1_000_000)


def is_ours(name: str) -> bool:
    """Whether *name*, at a night's top level, is what vampd itself puts there.

    Neither listed nor looked into, so that our own work never counts as a change.
    """
    return name in _OUR_FOLDERS or _MANIFEST.fullmatch(name) is not None


def printable(name: str) -> str:
    r"""*name* as text that fits on one line of a log and into the ledger.

    Different names stay different: a backslash is doubled, and control characters and
    bytes that are no UTF-8 become escapes such as ``\n`` and ``\udcff``.
    """
    if name.isprintable() and "\\" not in name:
        return name
    return "".join(_printable_character(character) for character in name)


def _printable_character(character: str) -> str:
    if character.isprintable() and character != "\\":
        return character
    return character.encode("unicode_escape").decode("ascii")
