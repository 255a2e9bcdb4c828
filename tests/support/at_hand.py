"""An executor that does work in this process, when it is told to: an `Executor` for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import count
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from vampd.errors import InputError, VampdError
from vampd.ledger.barrier import class_of, code_of, words_of
from vampd.schedule.executor import Outcome

J = TypeVar("J")


class AtHand:
    """What was handed out lies here until `do_one`; then its outcome does."""

    elsewhere = None

    def __init__(self) -> None:
        self._keys = count(1)
        self._waiting: dict[int, tuple[Callable[[Any], object], Any]] = {}
        self._done: list[Outcome[object]] = []

    def submit(self, work: Callable[[J], object], job: J) -> int:
        """See `Executor`."""
        key = next(self._keys)
        self._waiting[key] = (work, job)
        return key

    def do_one(self) -> None:
        """Do what was handed out first."""
        key = next(iter(self._waiting))
        work, job = self._waiting.pop(key)
        try:
            self._done.append(Outcome(key=key, result=work(job)))
        except VampdError as error:
            path = error.path if isinstance(error, InputError) else None
            self._done.append(_failed(key, error, error.progress, path))
        except Exception as error:  # noqa: BLE001 - as a worker does
            self._done.append(_failed(key, error, None, None))

    def finished(self) -> list[Outcome[object]]:
        """See `Executor`."""
        done, self._done = self._done, []
        return done

    def cancel(self, keys: Iterable[int]) -> None:
        """See `Executor`."""
        for key in keys:
            self._waiting.pop(key, None)
            self._done = [outcome for outcome in self._done if outcome.key != key]

    def stop(self) -> None:
        """See `Executor`."""
        self._waiting.clear()
        self._done.clear()

    def pipes(self) -> Sequence[Connection]:
        """See `Executor`."""
        return ()


def _failed(key: int, error: BaseException, progress: object, path: str | None) -> Outcome[object]:
    return Outcome(
        key=key,
        result=progress,
        error_class=class_of(error),
        code=code_of(error),
        error=words_of(error),
        path=path,
    )
