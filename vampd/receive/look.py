"""What lies in the folders into which nights are delivered. A worker's part: it changes nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from vampd.io.beneath import Beneath, entries
from vampd.plain_text import plain_text
from vampd.watch.naming import night_date

_MOST_DEPTH = 8
_SORTS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder too deep in its night",
}


class SeenFile(Struct, frozen=True, kw_only=True):
    """Something in a night's folder that is no folder."""

    path: str  #: relative to the night; escaped where it is no printable text
    odd: str  #: what it is where it is no plain file with a plain name; "": it is one
    identity: str  #: inode, size and time: another one, another file
    size_bytes: int


class SeenNight(Struct, frozen=True, kw_only=True):
    """A night's folder in an inbox in which files lie."""

    kind: str
    date: str
    files: list[SeenFile]


class Looked(Struct, frozen=True, kw_only=True):
    """What was found; *problems*: why an inbox, or a night, cannot be looked at, by its folder."""

    nights: list[SeenNight]
    problems: dict[str, str]
    folders: list[str]  #: of all nights, empty ones too: files may come into them


def work(inboxes: Sequence[tuple[str, str]]) -> Looked:
    """Look into each of *inboxes*: the kind of its nights, and its folder."""
    found = Looked(nights=[], problems={}, folders=[])
    for kind, inbox in inboxes:
        folder = Beneath(Path(inbox))
        try:
            names = sorted(entry.name for entry in entries(folder))
        except OSError as error:
            found.problems[str(folder)] = _reason(error)
            continue
        for name in names:
            if night_date(name) is not None:
                _look_into(folder / name, kind, name, found)
    return found


def _look_into(night: Beneath, kind: str, date: str, found: Looked) -> None:
    found.folders.append(str(night))
    try:
        files = list(_files(night, ""))
    except OSError as error:
        found.problems[str(night)] = _reason(error)
        return
    if files:
        found.nights.append(SeenNight(kind=kind, date=date, files=files))


def _files(folder: Beneath, above: str, depth: int = 1) -> Iterator[SeenFile]:
    for name, found in sorted(_entries(folder).items()):
        path = f"{above}{name}"
        is_plain = path.isascii() and path.isprintable()
        if stat.S_ISDIR(found.st_mode) and is_plain and depth < _MOST_DEPTH:
            yield from _files(folder / name, f"{path}/", depth + 1)
            continue
        yield SeenFile(
            path=plain_text(path),
            odd=_oddity(found, is_plain=is_plain),
            identity=f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}",
            size_bytes=found.st_size,
        )


def _entries(folder: Beneath) -> dict[str, os.stat_result]:
    """What lies in *folder*, by name; without what is moved away meanwhile."""
    found = {}
    for entry in entries(folder):
        with suppress(FileNotFoundError):
            found[entry.name] = entry.stat(follow_symlinks=False)
    return found


def _oddity(found: os.stat_result, *, is_plain: bool) -> str:
    if not stat.S_ISREG(found.st_mode):
        return _SORTS.get(stat.S_IFMT(found.st_mode), "no file")
    return "" if is_plain else "a file whose name is not printable ASCII"


def _reason(error: OSError) -> str:
    return str(error.strerror or error)
