"""Programs under fire: the shim is compiled once, and told at which event it strikes, and how."""

from __future__ import annotations

import atexit
import os
import shutil
import struct
import subprocess
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest
from msgspec import Struct

_SHIM = Path(__file__).with_name("shim.c")
_BOARD = struct.Struct("=qq")

needs_compiler = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")


class Deed(StrEnum):
    """What happens at an event; shim.c knows the same words."""

    KILL = "kill"  #: the process that is at it is killed
    EIO = "eio"  #: it fails once
    ENOSPC = "enospc"  #: no space, once
    FULL = "full"  #: no space, from then on
    SHORT = "short"  #: half of it is written


class Fault(Struct, frozen=True, kw_only=True):
    """What is struck: the event number *at*, counted from 1 over all processes; 0: none is."""

    at: int
    deed: Deed = Deed.KILL

    def __str__(self) -> str:
        return f"{self.deed} at {self.at}"


CALM = Fault(at=0)


class Event(Struct, frozen=True, kw_only=True):
    """One line of the shim's list."""

    number: int
    process: int
    what: str
    path: str

    def __str__(self) -> str:
        return f"{self.what} {self.path}"


class Battery:
    """The shim, and the board on which all processes count; for what happens below one folder."""

    def __init__(self, below: Path, papers: Path) -> None:
        self._below = below
        papers.mkdir(exist_ok=True)
        self._board = papers / "board"
        self._list = papers / "events"

    def armed(self, fault: Fault) -> Mapping[str, str]:
        """An environment in which *fault* waits, with the count at nought."""
        self._board.write_bytes(_BOARD.pack(0, 0))
        self._list.unlink(missing_ok=True)
        return os.environ | {
            "LD_PRELOAD": str(compiled_shim()),
            "FAULTS_BELOW": str(self._below),
            "FAULTS_BOARD": str(self._board),
            "FAULTS_AT": str(fault.at),
            "FAULTS_DO": fault.deed,
            "FAULTS_LOG": str(self._list),
        }

    @property
    def events(self) -> int:
        """How many there were since it was armed."""
        return self._counts()[0]

    @property
    def has_struck(self) -> bool:
        return self._counts()[1] != 0

    def listed(self) -> list[Event]:
        """All events since it was armed, in their order."""
        lines = self._list.read_text(errors="replace").splitlines()
        words = sorted((line.split("\t") for line in lines), key=lambda line: int(line[0]))
        return [
            Event(
                number=int(number),
                process=int(process),
                what=what,
                path=path.removeprefix(f"{self._below}/"),
            )
            for number, process, what, path, _ in words
        ]

    def _counts(self) -> tuple[int, int]:
        events, struck = _BOARD.unpack(self._board.read_bytes())
        return events, struck


@cache
def compiled_shim() -> Path:
    """The shim as a library, compiled once a process."""
    folder = mkdtemp(prefix="vampd-shim-")
    atexit.register(shutil.rmtree, folder)
    library = Path(folder) / "shim.so"
    subprocess.run(
        ["gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, _SHIM, "-ldl"],
        check=True,
        timeout=60,
    )
    return library
