"""Which frame IDs the nights on the disk bear: in names of files, name changes and manifests.

What no ledger remembers may still lie there, and a number is never dealt twice. A folder that
has not changed since the last look is not read again: 500 nights cost 2000 calls of `stat`.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from vampd.errors import NotPlainError, OperatorError, RetryableError
from vampd.io.beneath import (
    Beneath,
    entries,
    is_folder,
    names_in,
    night_folder,
    read_start,
    status,
)
from vampd.io.disk import MarkerState, check_marker
from vampd.io.number_runs import MOST_OF_A_NIGHT, Run, runs_of

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


class NightNumbers(Struct, frozen=True, kw_only=True):
    """What one night's folder shows."""

    folder: str
    stamp: Stamp  #: empty: look again next time
    runs: tuple[Run, ...]  #: ascending
    notes: tuple[str, ...] = ()  #: what was not read, or counts for nothing, and why

    @property
    def highest(self) -> int:
        """0: no number at all."""
        return self.runs[-1][1] if self.runs else 0

    @property
    def place(self) -> str:
        """A file of the highest run."""
        return self.runs[-1][2] if self.runs else ""


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
            if folder not in known or not _is_unchanged(night_folder(folder), known[folder])
        ]
    except PermissionError as error:
        msg = f"{error.filename}: {error.strerror}; it may bear frame IDs that must not be reused"
        raise OperatorError(msg) from error
    except OSError as error:
        msg = f"{error.filename}: {error.strerror}; it may bear frame IDs that must not be reused"
        raise RetryableError(msg) from error


def look_at_night(folder: Path, *, now_ns: int) -> NightNumbers:
    """The numbers that a night's folder shows. OSError: it cannot be read."""
    night = night_folder(folder)
    notes: list[str] = []
    looked_at = _looked_at(night, notes)
    stamp = [_stamp_of(night, path) for path in looked_at]
    newest = max((modified_ns for _, modified_ns, _ in stamp), default=0)
    is_fresh = not isinstance(newest, int) or newest > now_ns - _FRESH_NS
    runs = runs_of(_numbers_in(night, looked_at, notes))
    return NightNumbers(
        folder=str(folder), stamp=[] if is_fresh else stamp, runs=tuple(runs), notes=tuple(notes)
    )


def numbers_of_night(folder: Path) -> Iterator[tuple[int, str]]:
    """Every number that a night's folder shows, with the path of the file that shows it."""
    night = night_folder(folder)
    notes: list[str] = []
    yield from _numbers_in(night, _looked_at(night, notes), notes)


def _numbers_in(
    night: Beneath, looked_at: Sequence[Beneath], notes: list[str]
) -> Iterator[tuple[int, str]]:
    for path in looked_at:
        if path == night:
            continue
        if is_folder(path):
            for name in names_in(path):
                if (found := _CUBE.match(name)) is not None and int(found[1]):
                    yield int(found[1]), str(path / name)
        else:
            yield from _numbers_of_list(path, notes)


def _numbers_of_list(path: Beneath, notes: list[str]) -> Iterator[tuple[int, str]]:
    try:
        content = read_start(path, _MOST_BYTES)
    except NotPlainError as error:
        notes.append(f"{error}: it was not read for frame IDs")
        return
    numbers: dict[int, None] = {}
    for match in _IN_LIST.finditer(content):
        if int(match[1]):
            numbers[int(match[1])] = None
        if len(numbers) > MOST_OF_A_NIGHT:
            notes.append(
                f"{path} lists more than {MOST_OF_A_NIGHT} frame IDs, which no night has:"
                " none of them counts"
            )
            return
    for number in numbers:
        yield number, str(path)


def _looked_at(night: Beneath, notes: list[str]) -> list[Beneath]:
    """The night's folder, its folders of outputs, and its lists."""
    paths = [night]
    for name in names_in(night):
        if _MANIFEST.fullmatch(name):
            paths.append(night / name)
        elif _OUTPUTS.fullmatch(name):
            mode = status(night / name).st_mode
            if stat.S_ISDIR(mode):
                lists = filter(_NAME_CHANGES.fullmatch, names_in(night / name))
                paths += [night / name, *(night / f"{name}/{each}" for each in lists)]
            elif stat.S_ISLNK(mode):
                notes.append(f"{night / name} is a link: nobody looks there for frame IDs")
    return paths


def _stamp_of(night: Beneath, path: Beneath) -> list[str | int]:
    found = status(path)
    return [path.relative_to(night) or ".", found.st_mtime_ns, found.st_size]


def _is_unchanged(night: Beneath, stamp: Stamp) -> bool:
    if not stamp:
        return False
    try:
        return all(_stamp_of(night, _named(night, str(entry[0]))) == entry for entry in stamp)
    except FileNotFoundError:
        return False


def _named(night: Beneath, relative: str) -> Beneath:
    return night if relative == "." else night / relative
