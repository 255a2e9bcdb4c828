"""Which frame IDs the nights on the disk bear: in names of files, name changes and manifests.

What no ledger remembers may still lie there, and a number is never dealt twice. A folder that
has not changed since the last look is not read again: 500 nights cost 2000 calls of `stat`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vampd.errors import NotPlainError, OperatorError, RetryableError
from vampd.io.beneath import (
    Beneath,
    entries,
    is_file,
    is_folder,
    names_in,
    night_folder,
    read_start,
    status,
)
from vampd.io.disk import MarkerState, check_marker

_DATE = re.compile(r"[0-9]{8}")
_CUBE = re.compile(r"VMPA([0-9]{8})\.")
_OUTPUTS = re.compile(r"vgen2(\..*)?")  # what a restore set aside as vgen2.incumbent is one too
_NAME_CHANGES = re.compile(r"name_changes(\.[0-9]+)?\.txt")
_MANIFEST = re.compile(r"manifest_.*\.csv")
_IN_LIST = re.compile(rb"\bVMPA([0-9]{8})\b")

_MOST_BYTES = 1 << 26
#: The night's own folder, where a place is named relative to it.
TOP = "."
#: A folder may change again within one tick of its file system's clock: what changed so
#: lately is looked at again next time.
_FRESH_NS = 3_000_000_000

Stamp = list[list[str | int]]
"""[path relative to the night, modified_ns, size_bytes] of everything that was looked at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NightNumbers:
    """What one night's folder shows."""

    folder: str
    stamp: Stamp  #: empty: look again next time
    highest: int  #: 0: no number at all
    place: str  #: the file that shows it


def look_at_root(
    root: Path, marker: str | None, known: Mapping[str, Stamp], *, now_ns: int
) -> list[NightNumbers]:
    """The numbers of every night in *root* that is not as *known*, which has stamps by folder.

    RetryableError: the root is not the disk that bears *marker*, or cannot be read now.
    OperatorError: this user may not read something.
    """
    if marker is None or check_marker(root, marker) is not MarkerState.OK:
        msg = f"{root} is not mounted: nobody knows which frame IDs its nights bear"
        raise RetryableError(msg)
    try:
        folders = sorted(
            str(root / entry.name)
            for entry in entries(Beneath(root))
            if _DATE.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
        )
        return [
            look_at_night(Path(folder), now_ns=now_ns)
            for folder in folders
            if folder not in known or not _is_unchanged(Path(folder), known[folder])
        ]
    except PermissionError as error:
        msg = f"{error.filename}: {error.strerror}; it may bear frame IDs that must not be reused"
        raise OperatorError(msg) from error
    except NotPlainError as error:
        msg = f"{error}; frame IDs that must not be reused may lie there"
        raise OperatorError(msg) from error
    except OSError as error:
        msg = f"{error.filename}: {error.strerror}; it may bear frame IDs that must not be reused"
        raise RetryableError(msg) from error


def look_at_night(folder: Path, *, now_ns: int) -> NightNumbers:
    """The highest number that a night's folder shows. OSError: it cannot be read."""
    night = night_folder(folder)
    stamp = [_stamp_of(night, place) for place in _looked_at(night)]
    newest = max((modified_ns for _, modified_ns, _ in stamp), default=0)
    is_fresh = not isinstance(newest, int) or newest > now_ns - _FRESH_NS
    highest, place = max(numbers_of_night(folder), default=(0, ""))
    return NightNumbers(
        folder=str(folder), stamp=[] if is_fresh else stamp, highest=highest, place=place
    )


def numbers_of_night(folder: Path) -> Iterator[tuple[int, str]]:
    """Every number that a night's folder shows, with the path of the file that shows it.

    OSError: something in it cannot be read; a link or a pipe, for one, in the place of a list.
    """
    night = night_folder(folder)
    for place in _looked_at(night):
        if not is_folder(place):
            content = read_start(place, _MOST_BYTES)
            for match in _IN_LIST.finditer(content):
                yield int(match[1]), str(place)
        elif place != night:
            for name in names_in(place):
                if (found := _CUBE.match(name)) is not None:
                    yield int(found[1]), str(place / name)


def _looked_at(night: Beneath) -> list[Beneath]:
    """The night's folder, its folders of outputs, and its lists."""
    places = [night]
    for name in names_in(night):
        if _MANIFEST.fullmatch(name):
            places.append(night / name)
        elif _OUTPUTS.fullmatch(name) and not is_file(night / name):
            places += [night / name, *_lists_in(night / name)]
    return places


def _lists_in(outputs: Beneath) -> Sequence[Beneath]:
    return [outputs / name for name in filter(_NAME_CHANGES.fullmatch, names_in(outputs))]


def _stamp_of(night: Beneath, place: Beneath) -> list[str | int]:
    found = status(place)
    return [place.relative_to(night) or TOP, found.st_mtime_ns, found.st_size]


def _is_unchanged(folder: Path, stamp: Stamp) -> bool:
    if not stamp:
        return False
    night = night_folder(folder)
    try:
        return all(_stamp_of(night, _place(night, str(entry[0]))) == entry for entry in stamp)
    except FileNotFoundError:
        return False


def _place(night: Beneath, relative: str) -> Beneath:
    return night if relative == TOP else night / relative
