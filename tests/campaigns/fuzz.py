"""Search for bytes that a reader of foreign bytes neither takes nor refuses.

    python -m tests.campaigns.fuzz TARGET --minutes N

TARGET: header, timing, settings, socket, sidecar, papers or remote; see `tests/fuzz/targets.py`.
With atheris (`pip install -e '.[fuzz]'`) the search follows the code's ways; without it, bytes are
changed blindly, and the first line says so. A finding is kept in `tests/fuzz/corpus/TARGET`, which
the tests read for ever after; exits with 1 then.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import os
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import ModuleType

from tests.fuzz.deadline import TooLongError, at_most

_CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"
_MOST_BYTES = 1 << 16
_TARGETS = ("header", "timing", "settings", "socket", "sidecar", "papers", "remote")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=_TARGETS)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--blind", action="store_true", help="without atheris, where there is one")
    asked = parser.parse_args()
    os.nice(19 - os.nice(0))
    kept = _CORPUS / asked.target
    kept.mkdir(parents=True, exist_ok=True)
    before = set(kept.iterdir())
    seconds = 60 * asked.minutes
    atheris = None if asked.blind else _atheris()
    if atheris is None:
        return _search_blindly(asked.target, seconds, kept)
    status = _search(atheris, asked.target, seconds, kept)
    found = set(kept.iterdir()) - before
    print(f"{asked.target}: {asked.minutes:g} minutes with atheris, {len(found)} findings")
    if status and not found:
        print(f"atheris ended with {status}, and kept nothing: no search, or no end of one")
    return 1 if found or status else 0


def _atheris() -> ModuleType | None:
    try:
        return importlib.import_module("atheris")
    except ImportError:
        print("atheris is not installed: bytes are changed blindly", flush=True)
        return None


def _search(atheris: ModuleType, target: str, seconds: float, kept: Path) -> int:
    """Let atheris search, in a process of its own: it ends that. Returns how it ended, 0: well."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        _search_here(atheris, target, seconds, kept)
    except BaseException:  # noqa: BLE001 - the child goes nowhere from here
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(1)  # atheris has ended the process, unless something went wrong


def _search_here(atheris: ModuleType, target: str, seconds: float, kept: Path) -> None:
    with atheris.instrument_imports(include=["vampd"]):
        targets = importlib.import_module("tests.fuzz.targets")
    with tempfile.TemporaryDirectory(prefix="vampd-fuzz-") as folder:
        for number, content in enumerate(_seeds(target)):
            (Path(folder) / str(number)).write_bytes(content)
        words = [
            sys.argv[0],
            f"-max_total_time={round(seconds)}",
            f"-timeout={round(targets.SECONDS)}",
            f"-max_len={_MOST_BYTES}",
            f"-artifact_prefix={kept}/",
            "-print_final_stats=1",
            folder,
        ]

        def tried(content: bytes) -> None:
            targets.TARGETS[target](content)

        atheris.Setup(words, tried)
        atheris.Fuzz()


def _seeds(target: str) -> list[bytes]:
    return list(importlib.import_module("tests.fuzz.seeds").seeds(target))


def _search_blindly(target: str, seconds: float, kept: Path) -> int:
    targets = importlib.import_module("tests.fuzz.targets")
    changed = importlib.import_module("tests.fuzz.mutator").changed
    seed = int.from_bytes(os.urandom(4))
    chance, known = random.Random(seed), _seeds(target)
    deadline = time.monotonic() + seconds
    tries, found = 0, {}
    while time.monotonic() < deadline:
        content = changed(chance, known)
        tries += 1
        try:
            with at_most(targets.SECONDS):
                targets.TARGETS[target](content)
        except (Exception, TooLongError) as error:  # noqa: BLE001 - whatever it is, it is a finding
            where = traceback.extract_tb(error.__traceback__)[-1]
            key = f"{type(error).__name__} in {where.filename}:{where.lineno}"
            if key not in found:
                found[key] = content
                print(f"  {key}: {error}"[:300], flush=True)
                (kept / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)
    print(f"{target}: {seconds / 60:g} minutes, {tries} tries, {len(found)} findings (seed {seed})")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
