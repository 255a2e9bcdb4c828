"""What a builder says of itself, and whether the daemon takes it.

What it builds must be what the daemon's own machine would build, and lie where the daemon finds it:
the same vampd to the byte, the same libraries that write files, and the very folders of the roots.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path

from msgspec import Struct

import vampd
from vampd.io.beneath import Beneath, create, read_start, remove, rename_without_replacing, status
from vampd.io.scratch import Owner, own, owned

#: In a root: the word of the daemon that is at work there, which its builders must read.
WORD_NAME = ".vampd-builders"
_MOST_BYTES = 200
#: Libraries that have a hand in the bytes of outputs.
_LIBRARIES = ("numpy", "astropy", "imagecodecs")


class Make(Struct, frozen=True, kw_only=True):
    """By what outputs are made."""

    vampd: str
    code: str  #: SHA-256 of all modules of vampd
    python: str  #: without its third number
    libraries: tuple[tuple[str, str], ...]  #: name and version


class Share(Struct, frozen=True, kw_only=True):
    """A root that builders must see."""

    root: str
    word: str  #: what stands in the file `WORD_NAME`
    inode: int  #: of that file


class Question(Struct, frozen=True, kw_only=True):
    """What builders are asked."""

    daemon: str  #: this life of the daemon; what others handed out is over
    shares: tuple[Share, ...]


class Card(Struct, frozen=True, kw_only=True):
    """What a builder answers."""

    owner: Owner
    process: str  #: this life of its process, which no other has
    make: Make
    unseen: tuple[str, ...]  #: what is wrong with roots, as it sees them
    at_work: str | None  #: the piece that it has


@cache
def own_make() -> Make:
    """By what the process that asks makes outputs."""
    return Make(
        vampd=vampd.__version__,
        code=_digest_of_code(),
        python=".".join(platform.python_version_tuple()[:2]),
        libraries=tuple((name, version(name)) for name in _LIBRARIES),
    )


def _digest_of_code() -> str:
    package = Path(vampd.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def objections(card: Card, make: Make, others: Iterable[Owner]) -> list[str]:
    """Why a builder is not taken; *others* are the daemon and the builders that are there."""
    found = [*_of_make(card.make, make), *card.unseen]
    for other in others:
        if other.host == card.owner.host and other.life != card.owner.life:
            found.append(f"another host, or container, is called {other.host} too")
            break
    return found


def _of_make(its: Make, ours: Make) -> Iterator[str]:
    if its.vampd != ours.vampd:
        yield f"it has vampd {its.vampd}, not {ours.vampd}"
    elif its.code != ours.code:
        yield f"its vampd {its.vampd} has other modules than the daemon's"
    if its.python != ours.python:
        yield f"it has Python {its.python}, not {ours.python}"
    for (name, theirs), (_, wanted) in zip(its.libraries, ours.libraries, strict=True):
        if theirs != wanted:
            yield f"it has {name} {theirs}, not {wanted}"


def leave_word(root: str, word: str) -> Share:
    """Leave the daemon's word in a root, in place of an earlier daemon's. OSError: it cannot."""
    place = Beneath(Path(root)) / WORD_NAME
    if _word(place) != word:
        scratch = Beneath(Path(root)) / owned(WORD_NAME)
        remove(scratch, missing_ok=True)
        _write(scratch, word)
        remove(place, missing_ok=True)
        rename_without_replacing(scratch, place)
    return Share(root=root, word=word, inode=status(place).st_ino)


def look_at(share: Share) -> str | None:
    """What is wrong with a root as it is seen from here; None: it is the daemon's, to be written.

    A file is made, named as outputs are, and removed.
    """
    root = Beneath(Path(share.root))
    try:
        if _word(root / WORD_NAME) != share.word:
            return f"{share.root} is not the folder that the daemon has there"
        if status(root / WORD_NAME).st_ino != share.inode:
            return f"{share.root}: files have other numbers (inodes) than for the daemon"
        _try_to_write(root)
    except OSError as error:
        return f"{share.root}: {error.strerror}"
    return None


def _try_to_write(root: Beneath) -> None:
    scratch, final = root / owned(f"{WORD_NAME}-trial"), root / owned(f"{WORD_NAME}-tried")
    for left in (scratch, final):
        remove(left, missing_ok=True)
    try:
        _write(scratch, str(own()))
        rename_without_replacing(scratch, final)
    finally:
        for left in (scratch, final):
            remove(left, missing_ok=True)


def _word(place: Beneath) -> str | None:
    try:
        return read_start(place, _MOST_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return None


def _write(where: Beneath, text: str) -> None:
    descriptor = create(where)
    try:
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
