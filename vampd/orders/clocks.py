"""An operator's word on the clock that timed a cube, where nothing proves it."""

from __future__ import annotations

from msgspec.structs import replace

from vampd.errors import OperatorError, UsageError
from vampd.ledger import clock_words, cubes, files, nights
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night, RawFile
from vampd.records import RawCube, StatedClock
from vampd.science.clocks import STATEABLE_S, ahead_text, judge_clocks
from vampd.stages.raw_cubes import raw_cube


def state_clock(ledger: Ledger, night: Night, row: RawFile, name: str, why: str | None) -> str:
    """Keep that the cube of the file *row* was timed on the clock *name*; returns that in words.

    OperatorError: the cube has times of its own that are UTC, or something proves another clock;
    both values are named. UsageError: no such clock, or no reason.
    """
    if name not in STATEABLE_S or not why:
        msg = f"--clock is one of {', '.join(STATEABLE_S)}, and needs --why TEXT"
        raise UsageError(msg)
    cube = next((each for each in files.twins(ledger, row) if each.role == "cube"), None)
    facts = None if cube is None else cubes.cube_of(ledger, cube.id)
    if cube is None or facts is None:
        msg = f"{nights.label(night)}: {row.path}: no times of such a cube could be read"
        raise OperatorError(msg)
    word = StatedClock(ahead_s=STATEABLE_S[name], words=ledger.actor)
    _refuse_proved(ledger, night, replace(raw_cube(facts), stated_clock=word))
    clock_words.state(ledger, cube, word.ahead_s, why)
    return f"its times are taken as those of a clock {ahead_text(word.ahead_s)}"


def _refuse_proved(ledger: Ledger, night: Night, cube: RawCube) -> None:
    name, word = f"{nights.label(night)}: {cube.path}", cube.stated_clock
    assert word is not None
    if cube.has_acquisition:
        msg = f"{name} has acquisition times, which are on UTC: its logger's clock is not asked for"
        raise OperatorError(msg)
    rows = (*cubes.cubes_of(ledger, night.id), *cubes.earlier_cubes_of(ledger, night.id))
    others = [raw_cube(row) for row in rows if row.raw_file != cube.raw_file]
    found = judge_clocks([cube, *others]).get(cube.raw_file)
    if found is None or found.ahead_s != word.ahead_s:
        why = "none of its rows has a time" if found is None else found.text
        msg = f"{name} was not timed on a clock {ahead_text(word.ahead_s)}: {why}"
        raise OperatorError(msg)
