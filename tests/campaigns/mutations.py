"""Break the code in each way that `tests/mutations/breaks.py` lists: the tests must see it.

    python -m tests.campaigns.mutations [--only WORDS]...

Each break is made in a copy of the checkout, one after the other. Prints a table of promises,
breaks and tests, and whether the break was seen; exits with 1 if one was not. Its tests are done
without it first: where they fail then, they say nothing of the break.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import astropy.io.fits  # noqa: F401 - so that no child need load it
import numpy as np  # noqa: F401
import pytest

from tests.mutations.breaks import BREAKS, Break

_TOP = Path(__file__).parents[2]
_COPIED = ("vampd", "tests", "migrations", "config", "systemd", "csrc", "docs", "man")
_SECONDS = 600.0
_FAILED = 1  #: pytest's status when a test did; another one is no answer
_HANGS = -signal.SIGKILL  #: they did not end in time: no answer either


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", help="part of a break's promise or file")
    asked = parser.parse_args()
    os.nice(19 - os.nice(0))
    words = asked.only or [""]
    chosen = [one for one in BREAKS if any(word in one.promise + one.file for word in words)]
    print("| promise | break | tests | seen |\n| --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory(prefix="vampd-mutations-") as folder:
        copy = _copied(Path(folder))
        unbroken: dict[tuple[str, str], int] = {}
        for one in chosen:
            if (one.tests, one.named) not in unbroken:
                unbroken[one.tests, one.named] = _tested(copy, one)
        seen = [_is_seen(one, copy, unbroken[one.tests, one.named]) for one in chosen]
    print(f"\n{len(chosen)} breaks, {sum(seen)} seen")
    return 0 if all(seen) else 1


def _copied(folder: Path) -> Path:
    for name in _COPIED:
        shutil.copytree(_TOP / name, folder / name)  # with what was compiled: it is valid there
    for path in _TOP.iterdir():
        if path.is_file():
            shutil.copy2(path, folder)
    return folder


def _is_seen(one: Break, copy: Path, unbroken: int) -> bool:
    """Whether its tests fail with the break; *unbroken* is how they ended without it."""
    if unbroken:
        answer = f"no answer: without the break, pytest ended with {unbroken}"
    else:
        status = _tested_broken(one, copy)
        answer = {0: "NO", _FAILED: "yes"}.get(status, f"no answer: pytest ended with {status}")
    print(f"| {one.promise} | {one} | {one.tests} {one.named} | {answer} |", flush=True)
    return answer == "yes"


def _tested_broken(one: Break, copy: Path) -> int:
    """The exit status of its tests with the break, which is undone then."""
    file = copy / "vampd" / one.file
    code, before = file.read_text(), file.stat()
    assert code.count(one.old) == 1, f"{one.file} has changed: {one.old!r}"
    file.write_text(code.replace(one.old, one.new))
    try:
        return _tested(copy, one)
    finally:
        file.write_text(code)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # what was compiled is valid


def _tested(copy: Path, one: Break) -> int:
    """The exit status of the tests in the copy.

    They are done by a child that has the large libraries already, and of vampd nothing.
    """
    child = os.fork()
    if not child:
        os._exit(_child(copy, one))
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        number, status = os.waitpid(child, os.WNOHANG)
        if number:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return _HANGS


def _child(copy: Path, one: Break) -> int:
    silence = os.open(copy / "last.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    os.chdir(copy)
    sys.path[:] = [str(copy), *(path for path in sys.path if Path(path or ".") != _TOP)]
    for name in [name for name in sys.modules if name.split(".")[0] in {"tests", "vampd"}]:
        del sys.modules[name]
    os.environ |= {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    words = ["-q", "-x", "-p", "no:cacheprovider", "--timeout=120", f"tests/{one.tests}"]
    return int(pytest.main([*words, *(("-k", one.named) if one.named else ())]))


if __name__ == "__main__":
    sys.exit(main())
