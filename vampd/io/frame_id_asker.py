"""Ask for frame IDs, and write down what comes before anything else is done with it.

    python -m vampd.io.frame_id_asker PARENT JOB

A process of its own, which outlives whoever started it: what was asked for cannot be given back,
so an answer that comes while the daemon is dead must not be lost. JOB is JSON: see `AskerJob`;
PARENT is the number of the process that starts it.

1. It dies with its parent, until it has written into the night's paper that it asks.
2. It runs the issuer's program once, and writes each line of the answer as it comes.
3. It writes how that ended. Without that line, and without its process, nobody knows.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from vampd.errors import VampdError
from vampd.io import number_papers
from vampd.io.beneath import Beneath, night_folder
from vampd.io.frame_id_program import Reply, ask

_PR_SET_PDEATHSIG = 1
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_WRITE_SECONDS = 30.0  # a disk that is full for a moment
_WRITE_PAUSE_SECONDS = 0.5
_MOST_ERROR_BYTES = 4000


class AskerJob(Struct, frozen=True, kw_only=True):
    """What the process needs to know."""

    folder: str  #: the night's folder, absolute
    request: int  #: when it was asked: by this the night's paper knows it
    batch: int
    count: int
    issuer: str
    command: list[str]
    deadline_seconds: float


def start(job: AskerJob) -> str:
    """Ask, and wait for the end; the night's paper says whether it was asked, and how that ended.

    Returns what went wrong with the process. Whoever is killed while waiting does not end it.
    """
    words = [
        sys.executable,
        "-m",
        "vampd.io.frame_id_asker",
        str(os.getpid()),
        json.dumps(asdict(job)),
    ]
    try:
        asker = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        return f"whoever should ask could not be started: {error}"
    assert asker.stderr is not None
    with asker.stderr:
        said = asker.stderr.read(_MOST_ERROR_BYTES)  # closed as soon as it asks
    with suppress(subprocess.TimeoutExpired):  # then it is still at it
        asker.wait(timeout=job.deadline_seconds + 2 * _WRITE_SECONDS)
    code = asker.returncode
    return said.decode(errors="replace").strip() or f"exit status {code}" if code else ""


def main(arguments: Sequence[str]) -> int:
    """Do it; 0 when the paper says how it ended, 1 when nothing was asked."""
    parent, job = int(arguments[0]), AskerJob(**json.loads(arguments[1]))
    night = night_folder(job.folder)
    _die_with_parent(parent, signal.SIGKILL)
    names = ("request", "batch", "count", "issuer")
    about = {name: getattr(job, name) for name in names}
    try:
        number_papers.append(night, [{"do": "ask", **about, **_identity()}])
    except (VampdError, OSError) as error:
        print(f"{night}: {error}", file=sys.stderr)  # noqa: T201 - a program's way to speak
        return 1
    _die_with_parent(parent, None)
    _be_silent()
    reply = _ask(job, night)
    end = {"do": "end", "request": job.request, "ending": reply.ending.value}
    _write_surely(night, {**end, "error": reply.error, "lines": list(reply.lines)})
    return 0


def _ask(job: AskerJob, night: Beneath) -> Reply:
    """Run the issuer's program; its lines are on paper before it has ended, unless they cannot."""
    with number_papers.opened(night) as paper:

        def keep(line: str) -> None:
            with suppress(OSError):  # what cannot be written now is written when it has ended
                came = {"do": "came", "request": job.request, "text": line}
                paper.add([came], durably=False)

        return ask(
            job.command,
            name=job.issuer,
            count=job.count,
            deadline_seconds=job.deadline_seconds,
            keep=keep,
        )


def is_asking(line: Mapping[str, Any]) -> bool:
    """Whether the process that wrote this line, `do` being "ask", still lives."""
    try:
        return _identity(line["pid"]) == {name: line[name] for name in ("pid", "began", "boot")}
    except (OSError, KeyError, ValueError):
        return False


def _identity(pid: int | None = None) -> dict[str, Any]:
    """What tells a process from any other, before and after: its number comes again."""
    number = os.getpid() if pid is None else pid
    words = Path(f"/proc/{number}/stat").read_text().rpartition(") ")[2].split()
    state, began = words[0], int(words[19])
    if state in {"Z", "X"}:
        msg = f"process {number} has ended"
        raise ValueError(msg)
    return {"pid": number, "began": began, "boot": _BOOT.read_text().strip()}


def _die_with_parent(parent: int, with_signal: signal.Signals | None) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, with_signal or 0, 0, 0, 0)
    if with_signal is not None and os.getppid() != parent:  # it died before we asked for that
        os._exit(1)


def _be_silent() -> None:
    """Nobody may be there any more to read what is said."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)


def _write_surely(night: Beneath, line: Mapping[str, Any]) -> None:
    """Write, and try again for a while: this is had only once."""
    until = time.monotonic() + _WRITE_SECONDS
    while True:
        try:
            number_papers.append(night, [line])
        except (VampdError, OSError):
            if time.monotonic() > until:
                raise
            time.sleep(_WRITE_PAUSE_SECONDS)
        else:
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
