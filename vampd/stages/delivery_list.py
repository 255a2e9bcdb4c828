"""The list of digests that travels ahead of the files of a delivery: its text and its name. Pure.

Lines of coreutils' sha256sum, for paths relative to the night. A list is named by the digest of its
own content, so that it proves itself, no two lists share a name, and the same one, sent twice, is
one file. Whoever moves the files on knows by it what belongs to the night, before it is there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

from vampd.errors import IntegrityError
from vampd.io.listed_files import ListedFile
from vampd.layout import DELIVERY_LIST
from vampd.stages.manifest import checksums_text

_NAME = re.compile(rf"{re.escape(DELIVERY_LIST)}([0-9a-f]{{64}})\.sha256")
_LINE = re.compile(r"([0-9a-f]{64})  ([\x20-\x7e]+)")


def list_of(files: Sequence[ListedFile]) -> tuple[ListedFile, bytes]:
    """The list of *files*, as a file of the night, and its content."""
    content = checksums_text(files)
    digest = hashlib.sha256(content).hexdigest()
    path = f"{DELIVERY_LIST}{digest}.sha256"
    return ListedFile(path=path, size_bytes=len(content), sha256=digest), content


def is_list(path: str) -> bool:
    """Whether *path*, relative to a night, is the name of a list."""
    return _NAME.fullmatch(path) is not None


def digest_in_name(path: str) -> str:
    """The SHA-256 by which the list *path* is named."""
    named = _NAME.fullmatch(path)
    assert named is not None, path
    return named[1]


def read_list(path: str, content: bytes) -> Mapping[str, str]:
    """The digests that the list *path* tells, by the paths of the files.

    IntegrityError: its content is not the one that it is named by, or is no such list.
    """
    named = _NAME.fullmatch(path)
    found = hashlib.sha256(content).hexdigest()
    if named is None or named[1] != found:
        msg = f"{path}: its content has the digest {found}, and is named by another one"
        raise IntegrityError(msg)
    digests = {}
    for number, line in enumerate(content.decode("ascii", "replace").splitlines(), start=1):
        match = _LINE.fullmatch(line)
        if match is None or not _is_inside(match[2]):
            msg = f"{path}: line {number} is no digest and path inside a night: {line[:200]!r}"
            raise IntegrityError(msg)
        digests[match[2]] = match[1]
    return digests


def _is_inside(path: str) -> bool:
    return all(name not in {"", ".", ".."} for name in path.split("/"))
