"""Other users of the machine, for real: the service's, a member of its group, and a stranger."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from msgspec import Struct, field

CHECKOUT = Path(__file__).resolve().parents[2]

needs_users = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="only root acts as other users, by setpriv",
)

#: Where everybody finds the packages, whichever interpreter it is.
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "PYTHONPATH": os.pathsep.join([str(CHECKOUT), sysconfig.get_path("platlib")]),
}


class User(Struct, frozen=True, kw_only=True):
    """Somebody by number, with or without further groups. The machine may know a name for it."""

    uid: int
    gid: int
    groups: tuple[int, ...] = field(default=())

    def words(self, *words: str) -> list[str]:
        """*words* as a command of this user's."""
        groups = ["--groups", ",".join(map(str, self.groups))] if self.groups else []
        return [
            "setpriv",
            f"--reuid={self.uid}",
            f"--regid={self.gid}",
            *(groups or ["--clear-groups"]),
            *words,
        ]

    def run(self, *words: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Let this user do it; what came of it."""
        return subprocess.run(
            self.words(*words),
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds,
            cwd=CHECKOUT,
            env=ENVIRONMENT,
        )


SERVICE = User(uid=1, gid=1)
MEMBER = User(uid=5, gid=60, groups=(SERVICE.gid,))
STRANGER = User(uid=65534, gid=65534)


@cache
def python() -> str:
    """An interpreter that every user may start, and start again, with our packages."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        # By a shell: setpriv itself starts even what the user may not.
        words = ("sh", "-c", '"$0" -c "import vampd, numpy, astropy"', candidate)
        if STRANGER.run(*words).returncode == 0:
            return candidate
    pytest.skip("no interpreter here that other users may start, with vampd's packages")


@contextmanager
def folder_for_all() -> Iterator[Path]:
    """A folder that every user may enter; those of pytest are root's alone."""
    folder = Path(tempfile.mkdtemp(prefix="vampd-users-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
