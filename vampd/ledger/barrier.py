"""The barrier around each piece of the daemon's work.

The daemon carries every night of every camera in one loop. Nothing that one file, night, worker's
result, far machine or caller holds may end that loop: what goes wrong with it becomes its own
trouble, with a name, and the loop goes on to the next.

Here everything is caught, and on purpose: a value that nobody has seen yet raises an error that
nobody has named yet. What was begun in the ledger is rolled back. What is caught is not forgotten:
the log has the traceback, the caller of `attempt` gets the words to fail, quarantine or hold with,
and what belongs to nobody stands in the table `trouble`, which `vampd check` and the alerts read.

One thing passes: that the ledger itself, or its disk, fails. Then there is nothing left to record
trouble in, and the daemon ends as it must; systemd begins it again.
"""

from __future__ import annotations

import errno
import logging
import traceback
from collections.abc import Callable
from contextlib import nullcontext

from msgspec import Struct

from vampd.back_off import pause_us
from vampd.errors import RetryableError, VampdError
from vampd.ledger.connection import Ledger, is_broken
from vampd.plain_text import plain_text
from vampd.states import ErrorClass, ErrorCode

log = logging.getLogger(__name__)

_FIRST_REST_SECONDS = 5.0
_LONGEST_REST_SECONDS = 300.0
_BEARABLE = 2  # failures in succession: the same again is not a coincidence
_MOST_TOLD = 1000

#: This machine is short of something; the same work may be done once it is not.
_SHORTAGES = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM),
        errno.EAGAIN,  # no more processes
    }
)
#: What the system's error numbers mean where a file of this machine is concerned.
_CODES = {
    errno.ENOSPC: ErrorCode.FULL_HERE,
    errno.EDQUOT: ErrorCode.FULL_HERE,
    errno.EACCES: ErrorCode.RIGHTS_HERE,
    errno.EPERM: ErrorCode.RIGHTS_HERE,
    errno.EROFS: ErrorCode.RIGHTS_HERE,
}


class Trouble(Struct, frozen=True, kw_only=True):
    """What went wrong with a piece of work."""

    words: str
    error_class: ErrorClass
    may_pass: bool  #: a disk that stumbles, memory that is short: no word about the piece of work


class _Failing(Struct, kw_only=True):
    """Work that comes again and again, and went wrong."""

    times: int
    rests_until_ns: int
    words: str


class Barrier:
    """Does work that must not end the loop. For the daemon's one thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._failing: dict[str, _Failing] = {}
        self._told: set[tuple[str, str]] = set()

    def attempt(
        self, work: str, do: Callable[[], object], *, writes: bool = True
    ) -> Trouble | None:
        """Do it; return what went wrong, with all that it wrote to the ledger undone.

        Within a transaction that is open, its own part alone is undone, if it *writes*. *work*
        names it in the log: `journalctl` shows the traceback the first time.
        """
        was_open = self._ledger.connection.in_transaction
        try:
            with self._ledger.part() if was_open and writes else nullcontext():
                do()
        except Exception as error:
            if not was_open:
                self._ledger.undo()
            if is_broken(error):
                raise
            return self._told_of(work, error)
        return None

    def regularly(
        self, work: str, do: Callable[[], object], give_up: Callable[[str], bool] | None = None
    ) -> bool:
        """Do what comes again with every turn of the loop; return whether it was done.

        1. What went wrong rests, twice as long each time, and is not done meanwhile.
        2. Where it goes wrong twice in succession, and not for want of something here, *give_up*
           is told the words, to hold a night for them, say. It returns whether it did that.
        3. What nobody took so stands in the table `trouble`, until it is done.
        """
        if self.rests(work):
            return False
        trouble = self.attempt(work, do)
        if trouble is None:
            self.forget(work)
            return True
        times = self.rest(work, trouble)
        taken: list[bool] = []
        if give_up is not None and times >= _BEARABLE and not trouble.may_pass:
            self.attempt(f"{work}: giving it up", lambda: taken.append(give_up(trouble.words)))
        self.note(work, None if any(taken) else trouble.words)
        return False

    @property
    def resting(self) -> frozenset[str]:
        """All work that went wrong a short while ago."""
        return frozenset(work for work in self._failing if self.rests(work))

    def rests(self, work: str) -> bool:
        """Whether it went wrong a short while ago."""
        failing = self._failing.get(work)
        return failing is not None and self._now_ns() < failing.rests_until_ns

    def rest(self, work: str, trouble: Trouble) -> int:
        """Let it rest; return how often in succession it went wrong."""
        before = self._failing.get(work)
        times = 1 if before is None else before.times + 1
        rest_us = pause_us(_FIRST_REST_SECONDS, _LONGEST_REST_SECONDS, failures=times - 1)
        until_ns = self._now_ns() + rest_us * 1000
        self._failing[work] = _Failing(times=times, rests_until_ns=until_ns, words=trouble.words)
        return times

    def words_of(self, work: str) -> str | None:
        """What went wrong with work that was not done since; None: nothing."""
        failing = self._failing.get(work)
        return None if failing is None else failing.words

    def forget_all(self) -> None:
        """Another daemon's troubles are found again, if they still are."""
        self._failing.clear()
        self._ledger.execute("delete from trouble")

    def forget(self, work: str) -> None:
        """It was done."""
        if self._failing.pop(work, None) is not None:
            log.info("%s: it is well again", work)
            self.note(work, None)

    def note(self, work: str, words: str | None) -> None:
        """Keep in the table `trouble` what is wrong; None: nothing, or it stands elsewhere."""
        now_us = self._ledger.now_us()
        if words is None:
            self._ledger.execute("delete from trouble where work = ?", [work])
            return
        self._ledger.execute(
            "insert into trouble (work, words, since_us, last_us)"
            " values (:work, :words, :now, :now)"
            " on conflict (work) do update set words = :words, last_us = :now",
            {"work": work, "words": words, "now": now_us},
        )

    def _now_ns(self) -> int:
        return self._ledger.clock.monotonic_ns()

    def _told_of(self, work: str, error: Exception) -> Trouble:
        words = words_of(error)
        if (work, words) in self._told:
            log.warning("%s: again: %s", work, words)
        else:
            if len(self._told) >= _MOST_TOLD:
                self._told.clear()
            self._told.add((work, words))
            log.error("%s: %s", work, words, exc_info=error)
        return Trouble(
            words=words,
            error_class=class_of(error),
            may_pass=isinstance(error, OSError | MemoryError | RetryableError),
        )


def words_of(error: BaseException) -> str:
    """What an error says; of one that nobody foresaw also its kind, and where it was raised."""
    try:
        text = plain_text(str(error))
    except Exception as other:  # noqa: BLE001 - an error that cannot even say what it is
        text = f"no words, for its own text raises {type(other).__name__}"
    if isinstance(error, VampdError) or class_of(error) is ErrorClass.RESOURCE:
        return text or type(error).__name__
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    where = f" ({frames[-1].name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text}{where}"


def code_of(error: BaseException) -> ErrorCode | None:
    """What more is known of an error: its code, or what the system said of this machine."""
    if isinstance(error, VampdError) and error.code is not None:
        return error.code
    if class_of(error) not in {ErrorClass.RESOURCE, ErrorClass.DETERMINISTIC}:
        return None
    cause = error if isinstance(error, OSError) else error.__cause__
    return _CODES.get(cause.errno or 0) if isinstance(cause, OSError) else None


def class_of(error: BaseException) -> ErrorClass:
    """Who must act; what nobody foresaw goes wrong in the same way again."""
    if isinstance(error, VampdError):
        return error.error_class
    is_short = isinstance(error, OSError) and error.errno in _SHORTAGES
    if is_short or isinstance(error, MemoryError):
        return ErrorClass.RESOURCE
    return ErrorClass.DETERMINISTIC
