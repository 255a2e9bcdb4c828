"""By how much the logger's clock was ahead of UTC, where only its times are known.

Logging times are CLOCK_TAI: 37 s ahead of UTC where the kernel knows the offset, UTC where it
does not. Files of six columns are of loggers that used CLOCK_REALTIME, UTC (both: milk-org/milk,
logshmim.c; TAI since May 2023, the acquisition column since May 2022). Two things prove an offset:

- a cube taken before, after or meanwhile that has both times: acquisition times are UTC;
- DATE, UTC in whole seconds, written once the cube is over: at once while the logger goes on,
  up to some 40 s later for the last cube of a logger that was stopped.

DATE alone can refute UTC, but not tell 36 s from 37: whole seconds and an unknown delay do not
suffice. What is not proved is not taken for anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from vampd.records import RawCube
from vampd.science.times import moment_text
from vampd.time_units import SECOND_US

#: Whole seconds by which a clock can be ahead: not at all, or by what TAI is in these decades.
PLAUSIBLE_S: tuple[int, ...] = (0, *range(32, 41))

#: What an operator can say of a clock. TAI is 37 s ahead of UTC since 2017; loggers use it later.
STATEABLE_S: Mapping[str, int] = {"utc": 0, "tai": 37}

_EARLY_US = 1_050_000  # DATE is cut to whole seconds; and two clocks of one machine
_LATEST_US = 120_000_000  # a stopped logger takes 40 s, a slow disk some more
# While the logger goes on a cube is written before the next one is over, or never.
_PROMPT_US = 20_000_000
_GOES_ON_US = 5_000_000
# Logging follows acquisition at once; it may be held up for a while, and is never before it.
_LAG_BEFORE_US, _LAG_AFTER_US = 10_000, 500_000
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?")


class Clock(Struct, frozen=True, kw_only=True):
    """What is known of the clock of one cube."""

    ahead_s: int | None  #: of UTC; None: nothing proves any value
    text: str  #: why, both values in it
    is_stated: bool = False  #: by an operator; nothing proves it, and nothing refutes it


class _Witness(Struct, frozen=True, kw_only=True):
    """A cube that shows by how much the logger's clock was ahead."""

    path: str
    first_us: int  #: on the logger's clock
    last_us: int
    ahead_s: int


def written_us(date: object) -> int | None:
    """The value of DATE, microseconds since the epoch; None where it is no date and time."""
    if not isinstance(date, str) or not _DATE.fullmatch(date.strip()):
        return None
    try:
        moment = datetime.fromisoformat(date.strip()[:19]).replace(tzinfo=UTC)
    except ValueError:
        return None
    return round(moment.timestamp()) * SECOND_US


def judge_clocks(cubes: Sequence[RawCube]) -> dict[int, Clock]:
    """By raw file, the clock of every cube of a night that has no acquisition times.

    *cubes* are all of the night's, of both cameras, in any order; a cube none of whose rows
    could be read has no clock.
    """
    prompt = {witness.path: witness for witness in _prompt(cubes)}
    witnesses = sorted(
        (*_with_both_times(cubes), *prompt.values()), key=lambda one: (one.first_us, one.path)
    )
    found: dict[int, Clock] = {}
    for cube in cubes:
        span = _span_us(cube)
        if cube.has_acquisition or span is None:
            continue
        if cube.path in prompt:
            proved = Clock(ahead_s=0, text=_said(cube, span))
        else:
            proved = _judge(cube, span, witnesses)
        found[cube.raw_file] = _with_word(cube, span, proved)
    return found


def on_utc(
    cubes: Sequence[RawCube], *, others: Sequence[RawCube] = ()
) -> tuple[list[RawCube], dict[int, Clock]]:
    """The *cubes* with their times on UTC, without those whose clock nothing proves; and why.

    *others* are further cubes of the night, which may prove something. A cube with acquisition
    times is left as it is.
    """
    clocks = judge_clocks([*cubes, *others])
    proved: list[RawCube] = []
    for cube in cubes:
        clock = clocks.get(cube.raw_file)
        if clock is None or clock.ahead_s == 0:
            proved.append(cube)
        elif clock.ahead_s is not None:
            times_us = np.where(
                cube.acquired_us > 0, cube.acquired_us - clock.ahead_s * SECOND_US, 0
            )
            proved.append(replace(cube, acquired_us=times_us))
    own = {cube.raw_file for cube in cubes}
    return proved, {number: clock for number, clock in clocks.items() if number in own}


def _with_both_times(cubes: Sequence[RawCube]) -> Iterator[_Witness]:
    for cube in cubes:
        span = _span_us(cube)
        if not cube.has_acquisition or cube.lag_us is None or span is None:
            continue
        ahead_s, rest_us = divmod(cube.lag_us + _LAG_BEFORE_US, SECOND_US)
        if ahead_s in PLAUSIBLE_S and rest_us <= _LAG_BEFORE_US + _LAG_AFTER_US:
            first_us, last_us = (time_us + cube.lag_us for time_us in span)
            yield _Witness(path=cube.path, first_us=first_us, last_us=last_us, ahead_s=ahead_s)


def _prompt(cubes: Sequence[RawCube]) -> Iterator[_Witness]:
    """Cubes without acquisition times that can only be on UTC.

    The logger went on to the next one, so that DATE was written soon; on a clock ahead of UTC
    it would have been written half a minute late.
    """
    spans = [
        (cube.camera, *span, index)
        for index, cube in enumerate(cubes)
        if not cube.has_acquisition and (span := _span_us(cube)) is not None
    ]
    for (camera, first_us, last_us, index), following in pairwise(sorted(spans)):
        next_camera, next_first_us, next_last_us, _ = following
        written_us = cubes[index].written_us
        if camera != next_camera or written_us is None:
            continue
        goes_on = last_us < next_first_us <= last_us + _GOES_ON_US
        is_soon = next_last_us <= last_us + _PROMPT_US
        if goes_on and is_soon and -_EARLY_US <= written_us - last_us <= _PROMPT_US // 2:
            path = cubes[index].path
            yield _Witness(path=path, first_us=first_us, last_us=last_us, ahead_s=0)


def _judge(cube: RawCube, span: tuple[int, int], witnesses: Sequence[_Witness]) -> Clock:
    """The clock of a cube, by its own DATE and by the nearest witnesses before and after it."""
    near = _nearest(span, witnesses)
    said = _said(cube, span)
    shown = {witness.ahead_s for witness in near}
    told = "; ".join(
        f"{witness.path} shows a clock {ahead_text(witness.ahead_s)}" for witness in near
    )
    if not near:
        return _alone(cube, span, said)
    possible = {ahead_s for ahead_s in shown if _is_possible(cube, span, ahead_s)}
    if len(possible) != 1:
        return Clock(ahead_s=None, text=f"{said}, but {told}")
    (ahead_s,) = possible
    if len(shown) > 1 and cube.written_us is None:
        return Clock(ahead_s=None, text=f"{said}, and {told}")
    if len(near) == 1 and not _overlaps(span, near[0]) and not _is_sure(cube, span, ahead_s):
        return Clock(ahead_s=None, text=f"{said}; {told}, and nothing says since or until when")
    return Clock(ahead_s=ahead_s, text=f"{said}; {told}")


def _with_word(cube: RawCube, span: tuple[int, int], clock: Clock) -> Clock:
    """An operator's word counts where nothing proves the clock, and DATE allows for it."""
    word = cube.stated_clock
    if word is None or word.ahead_s == clock.ahead_s:
        return clock
    told = f"{clock.text}; {word.words} said that the clock was {ahead_text(word.ahead_s)}"
    if clock.ahead_s is not None:
        proved = f"it is proved to have been {ahead_text(clock.ahead_s)}"
        return replace(clock, text=f"{told}, but {proved}")
    if not _is_possible(cube, span, word.ahead_s):
        return Clock(ahead_s=None, text=f"{told}, which DATE refutes")
    return Clock(ahead_s=word.ahead_s, text=told, is_stated=True)


def _alone(cube: RawCube, span: tuple[int, int], said: str) -> Clock:
    """The clock of a cube beside which nothing has both times."""
    if cube.is_old and (cube.written_us is None or _is_possible(cube, span, 0)):
        return Clock(ahead_s=0, text=f"{said}; loggers that wrote six columns were on UTC")
    possible = [ahead_s for ahead_s in PLAUSIBLE_S if _is_possible(cube, span, ahead_s)]
    if cube.written_us is not None and possible == [0] and not cube.is_old:
        return Clock(ahead_s=0, text=said)
    return Clock(ahead_s=None, text=f"{said}, and no cube of the night has both times")


def _nearest(span: tuple[int, int], witnesses: Sequence[_Witness]) -> list[_Witness]:
    """One that was taken meanwhile; else the last one before, and the first one after."""
    for witness in witnesses:
        if _overlaps(span, witness):
            return [witness]
    before = [witness for witness in witnesses if witness.last_us < span[0]]
    after = [witness for witness in witnesses if witness.first_us > span[1]]
    return [
        *([max(before, key=lambda one: one.last_us)] if before else []),
        *([min(after, key=lambda one: one.first_us)] if after else []),
    ]


def _overlaps(span: tuple[int, int], witness: _Witness) -> bool:
    return witness.first_us <= span[1] and witness.last_us >= span[0]


def _is_possible(cube: RawCube, span: tuple[int, int], ahead_s: int) -> bool:
    """Whether DATE allows for such a clock: written after the cube's end, and not too late."""
    if cube.written_us is None:
        return True
    late_us = cube.written_us - span[1] + ahead_s * SECOND_US
    return -_EARLY_US <= late_us <= _LATEST_US


def _is_sure(cube: RawCube, span: tuple[int, int], ahead_s: int) -> bool:
    """Whether a witness on one side alone suffices: the kernel may have learnt, or forgotten, TAI.

    A cube on UTC can be told from one that was written late on TAI only by its DATE.
    """
    if ahead_s == 0:
        return True
    if cube.written_us is None:
        return False
    late_us = cube.written_us - span[1] + ahead_s * SECOND_US
    return late_us <= _PROMPT_US or not _is_possible(cube, span, 0)


def _span_us(cube: RawCube) -> tuple[int, int] | None:
    known = cube.acquired_us[cube.acquired_us > 0]
    return (int(known.min()), int(known.max())) if len(known) else None


def _said(cube: RawCube, span: tuple[int, int]) -> str:
    date = "DATE is missing" if cube.written_us is None else f"DATE is {_whole(cube.written_us)}"
    return f"the logger timed its last frame at {moment_text(span[1])}, {date}"


def _whole(time_us: int) -> str:
    return moment_text(time_us)[:19]


def ahead_text(seconds: int) -> str:
    """How far a clock was ahead, in words."""
    return f"{seconds} s ahead of UTC" if seconds else "on UTC"
