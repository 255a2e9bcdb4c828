"""Which offset between the cameras each part of a night is paired with.

Most parts leave but one possible, and are paired with it. Where one leaves several, or has few
frames, the parts of its readout mode that leave but one decide: those shortly before it, or if they
are too few, also those after it. A part of few frames asks those of the next two minutes, and is
paired as they all say, however few they are: its frames belong to different pulses by the rarest
chance. A part that leaves several possible asks the next ones as far as need be. Where there are
none in the night, all parts vote together, and what they decide can change until it is over.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence

from msgspec import Struct

from vampd.science.pairing import MATCHES_TO_JUDGE, Hypothesis, choose, shared_offset
from vampd.science.pieces import NEVER_US
from vampd.science.remembered import Memory

_TELLING = 64  # parts that leave but one offset possible; of more, the last ones count
_RIVALS = 2  # so many times more frames than those that speak against it must support an offset
_REACH_US = 108
_HORIZON_US = 120_000_000


class Voice(Struct, frozen=True, kw_only=True):
    """What a part of the night says of the offset."""

    tolerance_us: int
    begins_us: int
    until_us: int  #: it rests on nothing that begins later
    found: tuple[Hypothesis, ...]  #: the offsets that it leaves possible, the best one first


class Choice(Struct, frozen=True, kw_only=True):
    """The offset with which a part of the night is paired; None: with none."""

    hypothesis: Hypothesis | None
    until_us: int


def choices(voices: Sequence[Voice], memory: Memory) -> Iterator[Choice]:
    """The choice of each part of a night, in their order."""
    telling: defaultdict[int, list[int]] = defaultdict(list)
    for place, voice in enumerate(voices):
        if len(voice.found) == 1:
            telling[voice.tolerance_us].append(place)
    of_all: dict[int, int] | None = None
    for place, voice in enumerate(voices):
        if not voice.found or _is_plain(voice):
            best = voice.found[0] if voice.found else None
            yield Choice(hypothesis=best, until_us=voice.until_us)
            continue
        horizon_us = voice.begins_us + _HORIZON_US if len(voice.found) == 1 else NEVER_US
        told = _told(voices, telling[voice.tolerance_us], place, memory, horizon_us)
        if told is None:
            of_all = shared_offsets(voices) if of_all is None else of_all
            told = of_all[voice.tolerance_us], NEVER_US
        yield Choice(hypothesis=choose(voice.found, told[0]), until_us=told[1])


def _is_plain(voice: Voice) -> bool:
    """Whether no other part can change what it says: it is sure, or nothing else is possible."""
    (first, *others) = voice.found
    most_us = abs(first.offset_us) + 2 * voice.tolerance_us
    return not others and (first.matches >= MATCHES_TO_JUDGE or first.period_us // 2 >= most_us)


def _told(
    voices: Sequence[Voice],
    telling: Sequence[int],
    place: int,
    memory: Memory,
    horizon_us: int,
) -> tuple[int, int] | None:
    """The offset that those tell which leave but one possible, and until when that may change.

    Of those that begin after a horizon none is asked. None where there is no horizon, and all of
    them, from those before a part to the end of the night, are too few.
    """
    voice = voices[place]
    since_us = memory.since_us(voice.begins_us)
    known = [one for one in telling if one <= place and voices[one].begins_us >= since_us]
    known = known[-_TELLING:]
    until_us = voice.until_us
    offset_us = _agreed([voices[one].found[0] for one in known])
    for later in telling[bisect_right(telling, place) :]:
        if offset_us is not None or voices[later].begins_us > horizon_us:
            break
        known.append(later)
        until_us = max(until_us, voices[later].until_us)
        offset_us = _agreed([voices[one].found[0] for one in known])
    if offset_us is None and horizon_us < NEVER_US:
        offset_us = shared_offset([voices[one].found for one in known])
        until_us = max(until_us, horizon_us)
    return None if offset_us is None else (offset_us, until_us)


def _agreed(votes: Sequence[Hypothesis]) -> int | None:
    """The offset that enough frames support, and few speak against."""
    if sum(vote.matches for vote in votes) < MATCHES_TO_JUDGE:
        return None
    offset_us = shared_offset([(vote,) for vote in votes])
    assert offset_us is not None, votes
    near = sum(vote.matches for vote in votes if abs(vote.offset_us - offset_us) <= _REACH_US)
    against = sum(vote.matches for vote in votes) - near
    return offset_us if near >= max(MATCHES_TO_JUDGE, _RIVALS * against) else None


def shared_offsets(voices: Sequence[Voice]) -> dict[int, int]:
    """The offset that all parts of one tolerance share; others count where they cannot tell."""
    runs: defaultdict[int, list[tuple[Hypothesis, ...]]] = defaultdict(list)
    for voice in voices:
        runs[voice.tolerance_us].append(voice.found)
    shared: dict[int, int] = {}
    for tolerance_us, own in runs.items():
        others = [run for other, found in runs.items() if other != tolerance_us for run in found]
        offset_us = shared_offset(own, hint_us=shared_offset(others))
        if offset_us is not None:
            shared[tolerance_us] = offset_us
    return shared
