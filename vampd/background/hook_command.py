"""Running one of the site's own commands for a night."""

from __future__ import annotations

from collections import deque
from typing import Any

from vampd.errors import RetryableError
from vampd.io.process import printable, run

_LINES = 100
_LINE_BYTES = 500


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Run the command of *job* to its end, or until its deadline.

    Returns its exit status (None: it was ended), an error where that is one, and the last that it
    said: of its output, then of its errors. OperatorError: there is no such program.
    """
    lines: deque[bytes] = deque(maxlen=_LINES)
    try:
        done = run(
            job["command"],
            deadline_seconds=job["deadline_seconds"],
            on_line=lambda line: lines.append(line[:_LINE_BYTES]),
        )
    except RetryableError as error:  # the deadline; nothing of what it did is known
        return {"code": None, "error": str(error), "output": _output(lines, "")}
    why = None if done.code == 0 else f"{job['command'][0]} exited {done.code}"
    return {"code": done.code, "error": why, "output": _output(lines, done.stderr_tail)}


def _output(lines: deque[bytes], errors: str) -> str:
    said = printable(b"\n".join(lines))
    return "\n".join(part for part in (said, errors) if part)
