"""What is to be sent, and what may be done about files that have the names already. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import chain, count

from msgspec import Struct

from vampd.io.listed_files import ListedFile
from vampd.remote.answers import FileDigest
from vampd.remote.store import ABSENT

_NO_FILE = frozenset({"Is a directory", "Too many levels of symbolic links", "Invalid argument"})


_EVIDENCE = re.compile(r"(?P<path>.+)\.sha256-(?P<sha256>[0-9a-f]{64})(?:\.[0-9]+)?")


class Landing(Struct, frozen=True, kw_only=True):
    """The decision about every file of a transfer, made before anything is touched."""

    lying: tuple[ListedFile, ...]  #: right already, under their final names
    to_send: tuple[ListedFile, ...]
    tags: Mapping[str, str]  #: by path of *to_send*: what is appended to the name that is freed
    conflicts: Mapping[str, str]  #: path -> what lies there, which vampd did not put there


def decide(
    files: Sequence[ListedFile], there: Mapping[str, FileDigest], own: Collection[str]
) -> Landing:
    """Decide about *files*, of which *there* says what lies under their final names.

    Nothing there: it is sent. The same digest: there is nothing to do. Something else: where the
    path is among *own*, vampd put a file there that is no longer what was sent (a disk that
    rots), or is an older version; it is set aside as evidence, and the file sent again. Where
    not, it is somebody else's, and never touched.
    """
    lying: list[ListedFile] = []
    to_send: list[ListedFile] = []
    tags: dict[str, str] = {}
    conflicts: dict[str, str] = {}
    for file in files:
        path, answer = file.path, there[file.path]
        if answer.sha256 == file.sha256:
            lying.append(file)
        elif answer.why in ABSENT:
            to_send.append(file)
            tags[path] = ""
        elif path in own and answer.why not in _NO_FILE:
            to_send.append(file)
            tags[path] = tag_of(answer.sha256)
        else:
            conflicts[path] = answer.sha256 or answer.why or "unknown"
    return Landing(lying=tuple(lying), to_send=tuple(to_send), tags=tags, conflicts=conflicts)


def free_tags(tags: Mapping[str, str], taken: Collection[str]) -> dict[str, str]:
    """*tags*, numbered where the name that one would make is *taken* by earlier evidence."""
    free = {}
    for path, tag in tags.items():
        candidates = chain([tag], (f"{tag}.{number}" for number in count(2)))
        free[path] = tag and next(each for each in candidates if f"{path}.{each}" not in taken)
    return free


def is_older_version(name: str, own: Mapping[str, str]) -> bool:
    """Whether the evidence *name* holds what vampd itself published last, by *own* digests."""
    match = _EVIDENCE.fullmatch(name)
    return match is not None and own.get(match["path"]) == match["sha256"]


def tag_of(sha256: str | None) -> str:
    """What distinguishes a file that is set aside: its digest, where it can be read."""
    return f"sha256-{sha256}" if sha256 else "unreadable"
