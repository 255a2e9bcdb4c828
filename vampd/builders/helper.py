"""`python -m vampd.builders.helper`: does pieces of work, each in a process of its own.

It is a process apart from Dask's worker, so that a piece can be killed. It reads pieces from
standard input, answers on standard output, and ends with whoever began it.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import BinaryIO, cast

from vampd.builders.line import framed, read_message
from vampd.builders.messages import Load
from vampd.schedule.executor import Outcome
from vampd.schedule.fork_server import end_fork_server
from vampd.schedule.workers import Workers


def main() -> int:
    """Do what comes, until nobody is there to ask."""
    asked = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    workers: Workers | None = None
    try:
        while True:
            load = pickle.loads(cast("bytes", read_message(cast("BinaryIO", asked))))  # noqa: S301
            workers = workers or Workers(nice=load.nice)
            answers.write(framed(_done(workers, load, asked)))
            answers.flush()
    except (EOFError, OSError):
        return 0
    finally:
        if workers is not None:
            workers.stop()
        end_fork_server()


def _done(workers: Workers, load: Load, asked: object) -> Outcome[object]:
    """Do a piece, and wait for its end. EOFError: whoever asked has ended."""
    workers.submit(cast("Callable[[object], object]", load.work), load.job)
    while True:
        outcomes = workers.finished()
        if outcomes:
            return outcomes[0]
        if asked in wait([*workers.pipes(), cast("int", asked)]):
            raise EOFError  # nothing is asked before the answer


if __name__ == "__main__":
    sys.exit(main())
