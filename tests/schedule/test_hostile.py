"""Whatever is told of one night, the loop goes on, and the other night becomes safe."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.schedule.hostile import Mischief, Pool
from tests.support.fake_ledger import FakeClock, opened
from tests.support.fake_ledger import settings as config_in
from tests.support.raw_cubes import COMMON_CARDS, timing_bytes, write_raw_cube
from vampd.background.table import BACKGROUND_JOBS
from vampd.io.callers import Caller
from vampd.ledger import files, nights, tasks
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.ledger.rows import fetch_all
from vampd.orders.night import Orders
from vampd.orders.socket import _answer
from vampd.records import FileIdentity
from vampd.schedule.engine import Engine
from vampd.schedule.executor import Outcome
from vampd.science.cubes import DECIDING_CARDS
from vampd.states import FileState, Kind, NightStatus
from vampd.views.conditions import conditions
from vampd.views.limits import limits
from vampd.watch.scan_cycle import ScanCycle

GOOD, BAD = "20251104", "20251105"
STEMS = ("vcam1_05:10:00.000000000", "vcam1_06:10:00.000000000")

ODD = "vcam1_07:10:00.000000000"

_HOUR_US = 3_600_000_000
_DAY_BEGINS_US = {GOOD: 1_762_214_400_000_000, BAD: 1_762_300_800_000_000}

_ODD_US = _DAY_BEGINS_US[BAD] + 7 * _HOUR_US

#: Before 1970, before and after what 64 bits of nanoseconds hold, and after the year 2400.
_SECONDS = (-5, 0, 9_223_372_037, 14_000_000_000)

_ORDERS = (
    "close",
    "hold",
    "release",
    "retry",
    "quarantine",
    "import_legacy",
    "reclaim_all",
    "mail",
)
_ARGUMENTS = {
    "kind": "archive",
    "date": GOOD,
    "dry_run": False,
    "why": "to see",
    "path": "vcam1/a.fits",
    "action": "add",
    "nights": [{"kind": "archive", "date": GOOD}],
    "files": [{"path": "vgen2/a", "size_bytes": 5, "modified_ns": 7, "frame_id": None}],
    "frame_ids": {"1": "vgen2/a"},
    "night": {"kind": "archive", "date": BAD, "folder": "/data/20251105", "adopt": False},
}

Spoil = Callable[[Any, Outcome[Any]], Outcome[Any]]


class Site:
    """A good night and a bad one, and the daemon's loop without its processes."""

    def __init__(self, folder: Path, ledger: Ledger, clock: FakeClock, spoil: Spoil) -> None:
        self.folder = folder
        self.ledger = ledger
        self.clock = clock
        self._spoil = spoil
        self.config = config = config_in(folder)
        self.scan_cycle = ScanCycle(ledger, clock, config)
        self.engine = Engine(ledger, config, self.scan_cycle, Pool(spoil), BACKGROUND_JOBS)
        self.orders = Orders(ledger, config, self.engine.cancel)

    def begun_again(self) -> Site:
        """The same, as a daemon that begins now finds it."""
        tasks.reap(self.ledger, "its worker died with the daemon")
        return Site(self.folder, self.ledger, self.clock, self._spoil)

    def night(self, date: str) -> Night:
        return nights.find_night(self.ledger, Kind.ARCHIVE, date)

    def go_round(self) -> None:
        """One turn of the daemon's loop, in which a minute passes."""
        self.clock.pass_seconds(60)
        self.scan_cycle.go()
        self.engine.collect()
        self.engine.hand_out()

    def go_until_safe(self, date: str = GOOD) -> None:
        for _ in range(90):
            self.go_round()
            if self.night(date).status == NightStatus.SAFE:
                return
        pytest.fail(f"{date} is {self.night(date).status}: {self.night(date).cause}")


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
    """Whether it is work of the bad night; a job of the good one may name the other as well."""
    return f"/{BAD}" in repr(getattr(job, "place", None) or job)


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 1 << 32))
def test_whatever_workers_say_of_one_night_the_other_becomes_safe(seed: int) -> None:
    mischief = Mischief(seed)

    def spoil(job: Any, outcome: Outcome[Any]) -> Outcome[Any]:
        spoils = of_bad(job) and mischief.random.random() < 0.5
        return mischief.outcome(outcome) if spoils else outcome

    with site(spoil) as found:
        found.go_until_safe()
        for _ in range(10):
            found.go_round()

        bad = found.night(BAD)
        if bad.status in {NightStatus.HELD, NightStatus.FAILED}:
            assert bad.cause


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


@settings(max_examples=3, deadline=None)
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


def test_files_of_impossible_times_sizes_and_names_keep_no_night_from_safe() -> None:
    with site() as found:
        folder = found.folder / "archive" / BAD
        for path, seconds in zip(sorted((folder / "vcam1").iterdir()), _SECONDS, strict=True):
            os.utime(path, (seconds, seconds))
        with (folder / "a hole.dat").open("wb") as hole:
            hole.truncate(1 << 43)
        for name in (b"\xff\xfe.fits", b"line\nbreak", b"\x1b[2J", b"x" * 255):
            Path(os.fsdecode(os.fsencode(folder / "vcam1") + b"/" + name)).write_bytes(b"")

        found.go_until_safe(GOOD)
        found.go_until_safe(BAD)

        rows = files.files_of(found.ledger, found.night(BAD).id).values()
        assert sum(row.state == FileState.WHOLE for row in rows) == 4
        assert sum(row.state == FileState.IGNORED for row in rows) == 5


@given(
    inode=st.integers(-(1 << 65), 1 << 65),
    size_bytes=st.integers(0, 1 << 65),
    modified_ns=st.integers(-(1 << 80), 1 << 80),
)
def test_every_identity_can_be_stored_and_is_the_same_when_it_is_read_back(
    inode: int, size_bytes: int, modified_ns: int
) -> None:
    who = FileIdentity(inode=inode, size_bytes=size_bytes, modified_ns=modified_ns)

    with closing(sqlite3.connect(":memory:")) as store:
        values = [who.inode, who.size_bytes, who.modified_ns]
        stored = store.execute("select ?, ?, ?", values).fetchone()

    again = FileIdentity(inode=stored[0], size_bytes=stored[1], modified_ns=stored[2])
    assert again == who


def answered(orders: Orders, line: bytes) -> dict[str, Any]:
    """What a caller who says *line* is told."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(line + b"\n")
        caller = Caller(ours, 0)
        assert caller.listen(1 << 20)
        answer: dict[str, Any] = json.loads(_answer(caller, orders.carry_out))
    return answer


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1 << 32))
def test_whatever_a_caller_asks_is_answered_and_both_nights_are_still_there(seed: int) -> None:
    mischief = Mischief(seed)
    with TemporaryDirectory(prefix="vampd-hostile-") as name:
        folder = Path(name)
        config = config_in(folder)
        with closing(opened(folder / "state")) as ledger:
            for date in (GOOD, BAD):
                nights.sight_night(ledger, Kind.ARCHIVE, date, folder / "archive" / date)
            orders = Orders(ledger, config)
            for _ in range(20):
                told = {"order": mischief.random.choice(_ORDERS), "arguments": _ARGUMENTS}
                line = json.dumps(mischief.spoiled(told), default=str, skipkeys=True).encode()
                answer = answered(orders, line)
                assert answer.keys() in ({"error", "kind"}, {"lines", "changed"})

            rows = fetch_all(
                Night, ledger, "select * from night where kind = 'archive' order by date"
            )
            assert {GOOD, BAD} <= {row.date for row in rows}
            assert not ledger.connection.in_transaction


_HOSTILE_ROWS = (
    "update night set last_change_us = 9223372036854775807, seen_us = -9223372036854775808",
    "update raw_file set modified_ns = 9223372036854775807, inode = -1",
    "update raw_file set path = path || char(0) || cast(x'ff' as text)",
    "update raw_file set stem = null",
    'update cube set cards = \'{"EXPTIME": 1e999, "PRD-RNG2": 9223372036854775808}\'',
    "update cube set cards = '{'",
    "update cube set rejected = '[]'",
    "update cube set acquired = x'00'",
    "update cube set frames = 9223372036854775807",
    "update task set unit = 'no unit ' || id, due_us = 9223372036854775807",
    "update task set error = 'x', error_class = null",
    "update night set folder_stamps = '{'",
    "update night set folder = 'nowhere'",
)


@pytest.mark.parametrize("statement", _HOSTILE_ROWS)
def test_a_daemon_that_begins_on_a_ledger_with_hostile_rows_carries_a_good_night(
    statement: str,
) -> None:
    with site() as found:
        for _ in range(33):  # by then both are closed, and begun
            found.go_round()
        bad = found.night(BAD).id
        column = "id" if statement.startswith("update night") else "night"
        of_bad_night = f"{column} = {bad}"
        if statement.startswith("update cube"):
            of_bad_night = f"raw_file in (select id from raw_file where night = {bad})"
        changed = found.ledger.execute(f"{statement} where {of_bad_night}").rowcount

        again = found.begun_again()
        again.go_until_safe(GOOD)
        for _ in range(10):
            again.go_round()

        assert changed
        assert conditions(found.ledger.connection, limits(again.config), found.clock.now_us())
