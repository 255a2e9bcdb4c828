"""Ask a program for frame IDs: once, with a deadline, and with a plain word on how it ended.

What is asked for cannot be given back, and must not be asked for again unless it is certain
that nothing was dealt. So the program's exit status says which it was:

    0    the IDs are on standard output, one a line
    75   nothing was dealt; it may be tried again later (EX_TEMPFAIL of sysexits.h)
    78   nothing was dealt, and nothing will be until somebody acts (EX_CONFIG)
    any other, a signal, a deadline: nobody knows
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from enum import Enum

from msgspec import Struct

from vampd.errors import OperatorError, ResourceError, VampdError
from vampd.io.process import printable, run

NOTHING_YET = 75  #: exit status: nothing was dealt, try later
NOTHING_AT_ALL = 78  #: exit status: nothing was dealt, somebody must act

_LONGEST_LINE = 200
_MOST_LINES = 3  #: times the number of IDs that were asked for; more is a fault


class Ending(Enum):
    """How a question ended."""

    ANSWERED = "answered"  #: the lines are the answer
    NOTHING_YET = "nothing yet"  #: certainly nothing was dealt; it may be later
    NOTHING_AT_ALL = "nothing at all"  #: certainly nothing was dealt; a person must act
    UNCLEAR = "unclear"  #: something may have been dealt


class Reply(Struct, frozen=True, kw_only=True):
    """What came of one question."""

    ending: Ending
    lines: tuple[str, ...] = ()  #: what was printed, whatever the ending
    error: str = ""  #: why it is no answer


def ask(
    command: Sequence[str],
    *,
    name: str,
    count: int,
    deadline_seconds: float,
    keep: Callable[[str], None] = lambda _: None,
) -> Reply:
    """Run *command* once and take what it prints for frame IDs; never raises VampdError.

    *name* is what messages call it. Each line goes to *keep* as it comes.
    """
    if shutil.which(command[0]) is None:
        error = f"{command[0]} is not installed here, or may not be run"
        return Reply(ending=Ending.NOTHING_AT_ALL, error=error)
    lines: list[str] = []

    def take(line: bytes) -> None:
        if len(lines) > _MOST_LINES * count + 10:
            msg = f"{name} printed more than {len(lines)} lines, and {count} were asked for"
            raise OperatorError(msg)
        lines.append(printable(line[:_LONGEST_LINE]))
        keep(lines[-1])

    try:
        finished = run(command, deadline_seconds=deadline_seconds, on_line=take)
    except ResourceError as error:  # it was not started
        return Reply(ending=Ending.NOTHING_YET, error=str(error))
    except VampdError as error:
        return Reply(ending=Ending.UNCLEAR, lines=tuple(lines), error=str(error))
    ending = _ENDINGS.get(finished.code, Ending.UNCLEAR)
    said = f"{name} exited {finished.code}:\n{finished.stderr_tail}".rstrip(":\n")
    if ending is not Ending.ANSWERED and ending is not Ending.UNCLEAR and lines:
        said = f"{said}\nand yet it printed {len(lines)} lines"
        ending = Ending.UNCLEAR
    return Reply(ending=ending, lines=tuple(lines), error="" if ending is Ending.ANSWERED else said)


_ENDINGS = {
    0: Ending.ANSWERED,
    NOTHING_YET: Ending.NOTHING_YET,
    NOTHING_AT_ALL: Ending.NOTHING_AT_ALL,
}
