"""Judge what an issuer of frame IDs answered, before any of it is used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from vampd.errors import AmbiguousError
from vampd.io.number_runs import MOST_OF_A_NIGHT
from vampd.ledger.counter import Known, bearer
from vampd.ledger.frame_ids import frame_id_number, frame_id_text


def judge(
    lines: Sequence[str], *, count: int, known: Known, written_off: Collection[int]
) -> list[int]:
    """The numbers in a reply to a question for *count* of them, ascending; fewer are allowed.

    A line is `VMPAnnnnnnnn` or plain digits; empty ones do not count. Every number must be above
    the highest one that is known, by not too much, and borne by nothing. AmbiguousError:
    something is wrong with one of them, so none is to be used; the message names it.
    """
    words = [line.strip() for line in lines if line.strip()]
    numbers = sorted(_number(word) for word in words)
    if len(numbers) > count:
        msg = f"{len(numbers)} frame IDs came, and {count} were asked for"
        raise AmbiguousError(msg)
    number, times = Counter(numbers).most_common(1)[0] if numbers else (0, 0)
    if times > 1:
        msg = f"{frame_id_text(number)} came {times} times in one reply"
        raise AmbiguousError(msg)
    for number in numbers:
        wrong = _why_not(number, known)
        if number in written_off:
            wrong = "which an operator wrote off before"
        if wrong is not None:
            msg = f"{frame_id_text(number)} came, {wrong}"
            raise AmbiguousError(msg)
    return numbers


def _why_not(number: int, known: Known) -> str | None:
    """What speaks against a number, if anything does."""
    top = f"{frame_id_text(known.top.number)} in {known.top.place}"
    if number <= known.top.number:
        return f"which is not above {top}"
    borne = bearer(known.claims, number)
    if borne is not None:
        return f"which is used already: {borne.place}"
    if known.top.number and number - known.top.number > MOST_OF_A_NIGHT:
        return f"which is {number - known.top.number} above {top}; is that a frame ID at all?"
    return None


def _number(word: str) -> int:
    number = frame_id_number(word)
    if number is None:
        msg = f"{word!r} came, which is no frame ID of VAMPIRES"
        raise AmbiguousError(msg)
    return number
