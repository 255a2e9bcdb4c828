"""Whatever is told of one night, the loop goes on, and the other night becomes safe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.raw_cubes import COMMON_CARDS, timing_bytes, write_raw_cube
from tests.schedule.hostile import Mischief, Pool
from tests.schedule.made import FakeClock, opened
from tests.schedule.made import settings as config_in
from vampd.ledger import nights
from vampd.ledger.connection import Ledger, Row
from vampd.schedule.engine import Engine
from vampd.schedule.orders import Orders
from vampd.schedule.roster import CHORES
from vampd.schedule.workers import Outcome, Workers
from vampd.science.cubes import DECIDING_CARDS
from vampd.states import Kind, NightStatus
from vampd.watch.rounds import Rounds

GOOD, BAD = "20251104", "20251105"
STEMS = ("vcam1_05:10:00.000000000", "vcam1_06:10:00.000000000")

ODD = "vcam1_07:10:00.000000000"

_HOUR_US = 3_600_000_000
_DAY_BEGINS_US = {GOOD: 1_762_214_400_000_000, BAD: 1_762_300_800_000_000}

_ODD_US = _DAY_BEGINS_US[BAD] + 7 * _HOUR_US

Spoil = Callable[[Any, Outcome], Outcome]


class Site:
    """A good night and a bad one, and the daemon's loop without its processes."""

    def __init__(self, folder: Path, ledger: Ledger, clock: FakeClock, spoil: Spoil) -> None:
        self.folder = folder
        self.ledger = ledger
        self.clock = clock
        config = config_in(folder)
        self.rounds = Rounds(ledger, clock, config)
        workers = cast("Workers", Pool(spoil))
        self.engine = Engine(ledger, config, self.rounds, workers, CHORES)
        self.orders = Orders(ledger, config, self.engine.cancel)

    def night(self, date: str) -> Row:
        return nights.find_night(self.ledger, Kind.ARCHIVE, date)

    def go_round(self) -> None:
        """One turn of the daemon's loop, in which a minute passes."""
        self.clock.pass_seconds(60)
        self.rounds.go()
        self.engine.take_back()
        self.engine.hand_out()

    def go_until_safe(self, date: str = GOOD) -> None:
        for _ in range(90):
            self.go_round()
            if self.night(date)["status"] == NightStatus.SAFE:
                return
        pytest.fail(f"{date} is {self.night(date)['status']}: {self.night(date)['cause']}")


def write_night(folder: Path, date: str, *, extra: tuple[str, ...] = COMMON_CARDS) -> None:
    for stem in STEMS:
        hour_us = int(stem[7]) * _HOUR_US
        write_raw_cube(
            folder / "archive" / date,
            [np.full((4, 6), number, np.uint16) for number in range(3)],
            stem=stem,
            first_us=_DAY_BEGINS_US[date] + hour_us,
            extra=extra,
        )


@contextmanager
def site(spoil: Spoil = lambda _, outcome: outcome) -> Iterator[Site]:
    with TemporaryDirectory(prefix="vampd-hostile-") as name:
        folder, clock = Path(name), FakeClock()
        config_in(folder)
        for date in (GOOD, BAD):
            write_night(folder, date)
        with closing(opened(folder / "state", clock)) as ledger:
            yield Site(folder, ledger, clock, spoil)


def of_bad(job: Any) -> bool:
    return f"/{BAD}" in repr(job)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1 << 32))
def test_whatever_workers_say_of_one_night_the_other_becomes_safe(seed: int) -> None:
    mischief = Mischief(seed)

    def spoil(job: Any, outcome: Outcome) -> Outcome:
        spoils = of_bad(job) and mischief.random.random() < 0.5
        return mischief.outcome(outcome) if spoils else outcome

    with site(spoil) as found:
        found.go_until_safe()
        for _ in range(10):
            found.go_round()

        bad = found.night(BAD)
        if bad["status"] in {NightStatus.HELD, NightStatus.FAILED}:
            assert bad["cause"]


_WORDS_IN_CARDS = (
    "9223372036854775808",
    "-9223372036854775809",
    "1" * 60,
    "1E999",
    "-1E999",
    "1E-999",
    "-0.0",
    "-1",
    "0",
    "1D308",
    "NaN",
    "INF",
    "T",
    "F",
    "",
    "'       '",
    "'a''b'",
    "'unended",
    "(1, 2)",
    "0x7F",
    "1_000",
    "'" + "y" * 66 + "'",
)


@settings(max_examples=10, deadline=None)
@given(
    st.dictionaries(st.sampled_from(DECIDING_CARDS), st.sampled_from(_WORDS_IN_CARDS), min_size=1)
)
def test_whatever_stands_in_one_cubes_cards_every_night_becomes_safe(cards: dict[str, str]) -> None:
    """A cube may be quarantined for it; its neighbours and their night go on."""
    extra = [card for card in COMMON_CARDS if card[:8].rstrip() not in cards]
    extra += [f"{keyword:<8}= {word}" for keyword, word in cards.items()]
    with site() as found:
        frames = [np.full((4, 6), number, np.uint16) for number in range(3)]
        odd = write_raw_cube(found.folder / "archive" / BAD, frames, stem=ODD, extra=extra)
        odd.with_suffix(".txt").write_bytes(timing_bytes(3, first_us=_ODD_US))

        found.go_until_safe(GOOD)
        found.go_until_safe(BAD)
