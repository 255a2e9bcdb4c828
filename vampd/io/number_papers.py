"""What is written of frame IDs beside the nights, before anything may bear one.

`.vampd/frame_ids.jsonl` in a night's folder, a line for each thing that happened: what was asked
for, what came, how it ended, what an operator said, and which number was bound to which content.
Lines are only ever added, and durable when `append` returns. A line holds a digest of itself: one
that was torn by a power cut costs itself, for nothing was done yet upon its word.

`.vampd-frame-ids` in a root: the highest number that vampd reserved so far.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vampd.errors import IntegrityError
from vampd.io import beneath
from vampd.io.beneath import Beneath

FOLDER = ".vampd"
PAPER = f"{FOLDER}/frame_ids.jsonl"
MARK = ".vampd-frame-ids"

_CHECK = "check"
_CHECK_DIGITS = 8
_MOST_BYTES = 1 << 28
_MARK = re.compile(rb"VMPA([0-9]{8})\n")
_MARK_NOTE = "# The highest frame ID that vampd reserved on this host; leave it here.\n"

Line = Mapping[str, Any]
"""One thing that happened; `do` says what."""


def append(night: Beneath, lines: Iterable[Line]) -> None:
    """Add *lines* to the night's paper, in one piece, durably. OSError: it cannot be written."""
    with opened(night) as paper:
        paper.add(lines, durably=True)


class Paper:
    """A night's paper, to be written upon."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def add(self, lines: Iterable[Line], *, durably: bool) -> None:
        """Add *lines* in one piece; not *durably*, they outlive processes, but no power cut."""
        content = b"".join(map(_sealed, lines))
        if not content:
            return
        size_bytes = os.fstat(self._descriptor).st_size
        if size_bytes and os.pread(self._descriptor, 1, size_bytes - 1) != b"\n":
            content = b"\n" + content  # what a power cut tore stays a line of its own
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        if durably:
            os.fsync(self._descriptor)


@contextmanager
def opened(night: Beneath) -> Iterator[Paper]:
    """The night's paper, made where there is none."""
    beneath.create_folder(night / FOLDER)
    try:
        os.close(beneath.create(night / PAPER))
    except FileExistsError:
        pass
    else:
        beneath.sync_folder(night / FOLDER)
    descriptor = beneath.open_file(night / PAPER, os.O_RDWR | os.O_APPEND)
    try:
        yield Paper(descriptor)
    finally:
        os.close(descriptor)


def read(night: Beneath) -> list[dict[str, Any]]:
    """Every whole line of the night's paper, in order; none where there is no paper.

    IntegrityError: one was changed after it was written.
    """
    try:
        content = beneath.read_start(night / PAPER, _MOST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = []
    for number, text in enumerate(content.split(b"\n"), start=1):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if not isinstance(line, dict) or line.pop(_CHECK, None) != _digest(line):
            msg = f"{night / PAPER}, line {number}: not as it was written: {text[:80]!r}"
            raise IntegrityError(msg)
        found.append(line)
    return found


def write_mark(root: Path, number: int) -> None:
    """Let *root* bear *number* as the highest; one that is higher stays. OSError: it cannot."""
    if number <= read_mark(root):
        return
    mark, scratch = Beneath(root, (MARK,)), Beneath(root, (f"{MARK}.scratch",))
    beneath.remove(scratch, missing_ok=True)
    with os.fdopen(beneath.create(scratch), "wb") as file:
        file.write(f"VMPA{number:08d}\n{_MARK_NOTE}".encode())
        file.flush()
        os.fsync(file.fileno())
    beneath.replace(scratch, mark)
    beneath.sync_folder(Beneath(root))


def read_mark(root: Path) -> int:
    """The highest number that *root* bears the mark of; 0: it bears none.

    IntegrityError: its mark cannot be understood. OSError: it cannot be read.
    """
    where = Beneath(root, (MARK,))
    try:
        content = beneath.read_start(where, 1 << 12)
    except FileNotFoundError:
        return 0
    match = _MARK.match(content)
    if match is None:
        msg = f"{where}: {content[:40]!r} is no frame ID, as vampd writes it there"
        raise IntegrityError(msg)
    return int(match[1])


def _sealed(line: Line) -> bytes:
    return json.dumps({**line, _CHECK: _digest(line)}).encode() + b"\n"


def _digest(line: Line) -> str:
    text = json.dumps(line, sort_keys=True).encode()
    return hashlib.sha256(text).hexdigest()[:_CHECK_DIGITS]
