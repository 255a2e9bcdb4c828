"""Judge what an issuer of frame IDs answered, before any of it is used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from vampd.errors import AmbiguousError
from vampd.ledger.numbers import Seen, frame_id_number, frame_id_text


def judge(
    lines: Sequence[str], *, count: int, seen: Seen, written_off: Collection[int]
) -> list[int]:
    """The numbers in a reply to a question for *count* of them, ascending; fewer are allowed.

    A line is `VMPAnnnnnnnn` or plain digits; empty ones do not count. Every number must be above
    *seen*, the highest one known. AmbiguousError: something is wrong with one of them, so
    none is to be used; the message names it.
    """
    words = [line.strip() for line in lines if line.strip()]
    numbers = [_number(word) for word in words]
    if len(numbers) > count:
        msg = f"{len(numbers)} frame IDs came, and {count} were asked for"
        raise AmbiguousError(msg)
    number, times = Counter(numbers).most_common(1)[0] if numbers else (0, 0)
    if times > 1:
        msg = f"{frame_id_text(number)} came {times} times in one reply"
        raise AmbiguousError(msg)
    lowest = min(numbers, default=seen.number + 1)
    if lowest <= seen.number:
        msg = (
            f"{frame_id_text(lowest)} came, which is not above {frame_id_text(seen.number)}"
            f" in {seen.place}"
        )
        raise AmbiguousError(msg)
    for number in numbers:
        if number in written_off:
            msg = f"{frame_id_text(number)} came, which an operator wrote off before"
            raise AmbiguousError(msg)
    return sorted(numbers)


def _number(word: str) -> int:
    number = frame_id_number(word)
    if number is None:
        msg = f"{word!r} came, which is no frame ID of VAMPIRES"
        raise AmbiguousError(msg)
    return number
