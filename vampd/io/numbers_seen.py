"""Which frame IDs the nights on the disk bear: in names of files, name changes and manifests.

What no ledger remembers may still lie there, and a number is never dealt twice. A folder that
has not changed since the last look is not read again: 500 nights cost 2000 calls of `stat`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vampd.errors import OperatorError, RetryableError
from vampd.io.disk import MarkerState, check_marker

_DATE = re.compile(r"[0-9]{8}")
_CUBE = re.compile(r"VMPA([0-9]{8})\.")
_OUTPUTS = re.compile(r"vgen2(\..*)?")  # what a restore set aside as vgen2.incumbent is one too
_NAME_CHANGES = re.compile(r"name_changes(\.[0-9]+)?\.txt")
_MANIFEST = re.compile(r"manifest_.*\.csv")
_IN_LIST = re.compile(rb"\bVMPA([0-9]{8})\b")

_MOST_BYTES = 1 << 26
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
            entry.path
            for entry in os.scandir(root)
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
    except OSError as error:
        msg = f"{error.filename}: {error.strerror}; it may bear frame IDs that must not be reused"
        raise RetryableError(msg) from error


def look_at_night(folder: Path, *, now_ns: int) -> NightNumbers:
    """The highest number that a night's folder shows. OSError: it cannot be read."""
    stamp = [_stamp_of(folder, path) for path in _looked_at(folder)]
    newest = max((modified_ns for _, modified_ns, _ in stamp), default=0)
    is_fresh = not isinstance(newest, int) or newest > now_ns - _FRESH_NS
    highest, place = max(numbers_of_night(folder), default=(0, ""))
    return NightNumbers(
        folder=str(folder), stamp=[] if is_fresh else stamp, highest=highest, place=place
    )


def numbers_of_night(folder: Path) -> Iterator[tuple[int, str]]:
    """Every number that a night's folder shows, with the path of the file that shows it."""
    for path in _looked_at(folder):
        if not path.is_dir():
            with path.open("rb") as file:
                content = file.read(_MOST_BYTES)
            for match in _IN_LIST.finditer(content):
                yield int(match[1]), str(path)
        elif path != folder:
            for name in os.listdir(path):  # noqa: PTH208 - names are all that is wanted of 10^4
                if (found := _CUBE.match(name)) is not None:
                    yield int(found[1]), str(path / name)


def _looked_at(folder: Path) -> list[Path]:
    """The night's folder, its folders of outputs, and its lists."""
    paths = [folder]
    for name in sorted(os.listdir(folder)):  # noqa: PTH208
        if _MANIFEST.fullmatch(name):
            paths.append(folder / name)
        elif _OUTPUTS.fullmatch(name) and (folder / name).is_dir():
            paths += [folder / name, *_lists_in(folder / name)]
    return paths


def _lists_in(outputs: Path) -> Sequence[Path]:
    names = sorted(filter(_NAME_CHANGES.fullmatch, os.listdir(outputs)))  # noqa: PTH208
    return [outputs / name for name in names]


def _stamp_of(folder: Path, path: Path) -> list[str | int]:
    found = path.stat()
    return [str(path.relative_to(folder)), found.st_mtime_ns, found.st_size]


def _is_unchanged(folder: Path, stamp: Stamp) -> bool:
    if not stamp:
        return False
    try:
        return all(_stamp_of(folder, folder / str(entry[0])) == entry for entry in stamp)
    except FileNotFoundError:
        return False
