"""Which steps of the reduction are to be done for a night: what there is in, runs out. Pure.

A step is done for a unit (the night, a target, a segment) when it ended well for the very files and
the very command that there are now. What is missing, or older than its files, is done again; all
else stays.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from vampd.receive.settings import Step
from vampd.receive.states import StepState

_SEGMENT_PAUSE_S = 300.0


class Cube(Struct, frozen=True, kw_only=True):
    """A received output. *target* and *start_s* are of its header, where a step needs them."""

    path: str  #: relative to the night
    sha256: str
    target: str = ""
    start_s: float = 0.0  #: Unix seconds


class Done(Struct, frozen=True, kw_only=True):
    """What the ledger knows of a step for a unit."""

    number: int
    state: StepState
    inputs: str
    attempts: int = 0
    due_us: int = 0


class Run(Struct, frozen=True, kw_only=True):
    """A step that is to be done for a unit. *number*: its row, where it has one already."""

    step: Step
    unit: str
    inputs: str
    cubes: tuple[Cube, ...]
    number: int | None = None
    is_new: bool = False  #: it was never done for these files


def units_of(per: str, cubes: Sequence[Cube]) -> dict[str, list[Cube]]:
    """*cubes*, by the name of the unit that each belongs to."""
    if per == "night":
        return {"": list(cubes)} if cubes else {}
    if per == "target":
        found: dict[str, list[Cube]] = {}
        for cube in cubes:
            found.setdefault(cube.target or "unknown", []).append(cube)
        return found
    return _segments(cubes)


def _segments(cubes: Sequence[Cube]) -> dict[str, list[Cube]]:
    """Cubes of one target that follow one another without a long pause, numbered by target."""
    found: dict[str, list[Cube]] = {}
    numbers: dict[str, int] = {}
    last: Cube | None = None
    name = ""
    for cube in sorted(cubes, key=lambda cube: (cube.start_s, cube.path)):
        target = cube.target or "unknown"
        if (
            last is None
            or last.target != cube.target
            or cube.start_s - last.start_s > _SEGMENT_PAUSE_S
        ):
            numbers[target] = numbers.get(target, 0) + 1
            name = f"{target}-{numbers[target]:03d}"
        found.setdefault(name, []).append(cube)
        last = cube
    return found


def inputs_of(step: Step, cubes: Sequence[Cube]) -> str:
    """What a step's result depends on, in one digest."""
    told = [step.command, sorted((cube.path, cube.sha256) for cube in cubes)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def due_runs(
    steps: Sequence[Step],
    kind: str,
    cubes: Sequence[Cube],
    known: Mapping[tuple[str, str], Done],
    now_us: int,
) -> list[Run]:
    """What may be begun now of a night's steps: a step waits until the one before it is done."""
    for step in steps:
        if kind not in step.kinds:
            continue
        open_runs = [
            (run, known.get((step.name, run.unit)))
            for unit, some in sorted(units_of(step.per, cubes).items())
            for run in [_run(step, unit, some, known)]
            if not _is_done(run, known)
        ]
        if open_runs:
            return [run for run, done in open_runs if _may_begin(run, done, now_us)]
    return []


def _run(
    step: Step, unit: str, cubes: Sequence[Cube], known: Mapping[tuple[str, str], Done]
) -> Run:
    done = known.get((step.name, unit))
    inputs = inputs_of(step, cubes)
    return Run(
        step=step,
        unit=unit,
        inputs=inputs,
        cubes=tuple(cubes),
        number=None if done is None else done.number,
        is_new=done is None or done.inputs != inputs,
    )


def _is_done(run: Run, known: Mapping[tuple[str, str], Done]) -> bool:
    done = known.get((run.step.name, run.unit))
    return done is not None and done.state is StepState.DONE and not run.is_new


def _may_begin(run: Run, done: Done | None, now_us: int) -> bool:
    if done is None:
        return True
    if done.state is StepState.RUNNING:
        return False
    return run.is_new or (done.state is StepState.PENDING and done.due_us <= now_us)


def words(command: Sequence[str], values: Mapping[str, str], files: Sequence[str]) -> list[str]:
    """The words of *command* for a unit: each {name} filled in, {files} become many words."""
    filled: list[str] = []
    for word in command:
        if word == "{files}":
            filled += files
            continue
        filled.append(_filled(word, values))
    return filled


def _filled(word: str, values: Mapping[str, str]) -> str:
    """*word* with every {name} replaced; what is put in is not looked at again."""
    return re.sub(r"[{]([a-z]+)[}]", lambda found: values.get(found[1], found[0]), word)


def is_passing(step: Step, code: int | None) -> bool:
    """Whether a step that ended so may end well another time; None: it was cut, or its deadline."""
    return code is None or code < 0 or code in step.retry_exits


class Throttle:
    """Lets so many files a minute be given to steps; 0 is no limit. One run is never split."""

    def __init__(self) -> None:
        self._free_us = 0

    def may_begin(self, now_us: int) -> bool:
        """Whether what was given before is long enough ago."""
        return now_us >= self._free_us

    def given(self, files: int, files_per_minute: float, now_us: int) -> None:
        """*files* were given now."""
        if files_per_minute:
            self._free_us = now_us + round(files / files_per_minute * 60e6)
