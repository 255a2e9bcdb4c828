"""Values that nobody expects, for whatever the daemon is told from outside."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable, Iterable
from copy import copy
from itertools import count
from random import Random
from typing import Any

from msgspec import Struct
from msgspec.structs import fields, force_setattr, replace

from vampd.plain_text import plain_text
from vampd.records import Plan
from vampd.schedule.executor import Outcome
from vampd.schedule.workers import _answer, _understood
from vampd.states import ErrorClass

_TWO_TO_63 = 1 << 63

#: SQLite holds some of them, just so, and others not; none suits where it comes.
SCALARS: tuple[Any, ...] = (
    None,
    True,
    False,
    -1,
    0,
    7,
    _TWO_TO_63 - 1,
    _TWO_TO_63,
    -_TWO_TO_63,
    -_TWO_TO_63 - 1,
    1 << 64,
    10**40,
    0.5,
    math.nan,
    math.inf,
    -math.inf,
    1e300,
    "",
    "word",
    "\0",
    "a\udcffb",
    "\ud800",
    "\x1b[2J",
    "x" * 100_000,
    "../../etc/passwd",
    "vcam1/vcam1_05:10:00.000000000.fits",
    b"\xff\0",
)
_KEYS = ("results", "outputs", "file", "sha256", "identity", "night", "cards", "\udcff", 5, None)


class Mischief:
    """Draws them; the same *seed* draws the same."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def value(self, depth: int = 3) -> Any:
        """Anything."""
        kind = self.random.randrange(8) if depth else 0
        if kind == 5:
            return [self.value(depth - 1) for _ in range(self.random.randrange(4))]
        if kind == 6:
            keys = self.random.sample(_KEYS, self.random.randrange(4))
            return {key: self.value(depth - 1) for key in keys}
        if kind == 7:
            return tuple(self.value(depth - 1) for _ in range(3))
        return self.random.choice(SCALARS)

    def spoiled(self, value: Any, depth: int = 5) -> Any:
        """*value* with something in it left out, or in its place what does not belong there."""
        if depth and isinstance(value, dict) and value and self.random.random() < 0.8:
            key = self.random.choice(sorted(value, key=str))
            if self.random.random() < 0.2:
                return {each: value[each] for each in value if each != key}
            return value | {key: self.spoiled(value[key], depth - 1)}
        if (
            depth
            and isinstance(value, Struct)
            and not isinstance(value, Plan)
            and self.random.random() < 0.8
        ):
            return self._spoiled_record(value, depth)
        if depth and isinstance(value, list | tuple) and value and self.random.random() < 0.8:
            place = self.random.randrange(len(value))
            middle = [] if self.random.random() < 0.2 else [self.spoiled(value[place], depth - 1)]
            return type(value)([*value[:place], *middle, *value[place + 1 :]])
        return self.value()

    def _spoiled_record(self, value: Any, depth: int) -> Any:
        name = self.random.choice([field.name for field in fields(value)])
        found = copy(value)
        force_setattr(found, name, self.spoiled(getattr(value, name), depth - 1))
        return found

    def outcome(self, outcome: Outcome[Any]) -> Outcome[Any]:
        """How work might have ended instead."""
        if self.random.random() < 0.3:
            return Outcome(
                key=outcome.key,
                result=self.value(),
                error_class=self.random.choice([*ErrorClass]),
                error=plain_text(str(self.random.choice(SCALARS))),  # as workers hand them on
                path=self.random.choice([None, *(str(each) for each in SCALARS)]),
            )
        return replace(outcome, result=self.spoiled(outcome.result))


class Pool:
    """In place of worker processes: each work is done at once, and *spoil* may change how it ends.

    It is given the job and the outcome.
    """

    def __init__(self, spoil: Callable[[Any, Outcome[Any]], Outcome[Any]]) -> None:
        self._spoil = spoil
        self._ended: dict[int, Outcome[Any]] = {}
        self._keys = count(1)

    @property
    def elsewhere(self) -> None:
        return None

    def submit(self, work: Callable[[Any], object], job: Any) -> int:
        key = next(self._keys)
        outcome = _understood(key, memoryview(_answer(work, job)))
        self._ended[key] = self._spoil(job, outcome)
        return key

    def pipes(self) -> list[Any]:
        return []

    def finished(self) -> list[Outcome[Any]]:
        ended, self._ended = self._ended, {}
        return list(ended.values())

    def cancel(self, keys: Iterable[int]) -> None:
        for key in keys:
            self._ended.pop(key, None)

    def stop(self) -> None:
        self._ended.clear()


class Crowded(Pool):
    """A machine on which no more processes can be begun."""

    def submit(self, work: Callable[[Any], object], job: Any) -> int:
        del work, job
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
