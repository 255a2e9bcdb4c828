"""Whatever event of a night is struck, it ends as if nothing had been."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.faults.firing import Range, Shot, sample
from tests.faults.rig import Battery, Deed, Fault, needs_compiler
from tests.faults.scenes import Trial

pytestmark = needs_compiler

#: Other numbers strike other events; `python -m tests.campaigns.faults` strikes all.
_SEED = 20251106
_MOST_DRAWS = 8
_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

_WRITES = """
import os
folder = os.open(".", os.O_RDONLY)
file = os.open("a", os.O_WRONLY | os.O_CREAT)
written = os.write(file, b"0123456789")
os.fsync(file)
os.rename("a", "b", src_dir_fd=folder, dst_dir_fd=folder)
os.unlink("b", dir_fd=folder)
print(written)
"""


def _struck(tmp_path: Path, fault: Fault) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    folder = tmp_path / "here"
    folder.mkdir()
    battery = Battery(folder, tmp_path / "papers")
    done = subprocess.run(
        [sys.executable, "-c", _WRITES],
        cwd=folder,
        env=battery.armed(fault),
        capture_output=True,
        text=True,
        check=False,
    )
    return done, [str(event) for event in battery.listed()]


def test_the_shim_counts_what_changes_the_disk(tmp_path: Path) -> None:
    done, events = _struck(tmp_path, Fault(at=0))

    assert done.stdout == "10\n", done.stderr
    assert events == ["open a", "write a", "sync a", "rename b", "unlink b"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(at=2, deed=Deed.SHORT), "5\n"),
        (Fault(at=2, deed=Deed.EIO), os.strerror(errno.EIO)),
        (Fault(at=2, deed=Deed.FULL), os.strerror(errno.ENOSPC)),
        (Fault(at=4, deed=Deed.ENOSPC), os.strerror(errno.ENOSPC)),
    ],
    ids=str,
)
def test_the_shim_strikes_where_it_is_told(tmp_path: Path, fault: Fault, said: str) -> None:
    done, _ = _struck(tmp_path, fault)

    assert said in done.stdout + done.stderr


def test_the_shim_kills_before_the_event_is_done(tmp_path: Path) -> None:
    done, _ = _struck(tmp_path, Fault(at=4))

    assert done.returncode < 0
    assert (tmp_path / "here/a").read_text() == "0123456789"


class _One(Trial):
    kinds = ("archive",)


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    # In memory: nothing waits for a disk.
    with TemporaryDirectory(prefix="vampd-faults-", dir=_MEMORY) as folder:
        yield Range(_One(Path(folder)))


def test_a_night_that_is_struck_at_two_of_its_events_ends_as_one_that_is_not(
    place: Range,
) -> None:
    faults = sample(place.events, [Deed.KILL, Deed.ENOSPC], _MOST_DRAWS, random.Random(_SEED))

    # A run may have fewer events than the calm one: what struck nothing says nothing.
    shots = list(islice(filter(_has_struck, map(place.shoot, faults)), 2))

    assert [shot.is_good for shot in shots] == [True, True], [str(shot) for shot in shots]


def _has_struck(shot: Shot) -> bool:
    return shot.event != ""
