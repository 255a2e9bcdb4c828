"""Somebody who deals frame IDs, and everything that may go wrong with it."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct, field


class Fault(StrEnum):
    """What goes wrong with one question; the numbers are dealt in every case but the last."""

    NONE = "none"
    TWICE = "twice"  #: two blocks are dealt, and the second is told
    SHORT = "short"  #: fewer than were asked for
    LATE = "late"  #: the answer comes after the deadline
    SLOW = "slow"  #: the answer comes once somebody lets it
    LOST = "lost"  #: the connection is closed without an answer
    TORN = "torn"  #: half an answer, then nothing
    DEAD = "dead"  #: the service dies before it answers
    ERROR = "error"  #: it deals, and then says that something went wrong
    OLD = "old"  #: numbers that were dealt before
    DUPLICATE = "duplicate"  #: a number twice
    MALFORMED = "malformed"  #: one is no frame ID
    MORE = "more"  #: one more than was asked for
    REFUSED = "refused"  #: it cannot be reached at all


def frame_id(number: int) -> str:
    return f"VMPA{number:08d}"


class Counter(Struct, kw_only=True):
    """The observatory's counter: what it dealt, and to how many questions."""

    following: int
    fault: Fault = Fault.NONE
    questions: int = 0
    dealt: list[int] = field(default_factory=list)

    def deal(self, count: int) -> list[str]:
        """Deal, and say what is told."""
        self.questions += 1
        if self.fault is Fault.TWICE:
            self._block(count)
        if self.fault is Fault.OLD:
            return [frame_id(number) for number in range(self.following - count, self.following)]
        told = [frame_id(number) for number in self._block(self._size(count))]
        if self.fault is Fault.DUPLICATE:
            told[-1] = told[0]
        if self.fault is Fault.MALFORMED:
            told[-1] = told[-1].replace("VMPA", "VMPB")
        return told

    def _size(self, count: int) -> int:
        return count + {Fault.SHORT: -1, Fault.MORE: 1}.get(self.fault, 0)

    def _block(self, count: int) -> list[int]:
        block = list(range(self.following, self.following + count))
        self.following += count
        self.dealt += block
        return block
