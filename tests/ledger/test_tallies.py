"""The counts that screens show are those of the rows, whatever happened to the rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fake_ledger import a_night, opened
from vampd.ledger.connection import Ledger
from vampd.ledger.reading import reading
from vampd.states import FileState, OutputState, Stage, TaskState
from vampd.views.activity import far_verified_us, progress
from vampd.views.summaries import nights, summarise

_CHECKOUT = Path(__file__).parent.parent.parent

_COUNTED = """
select night, 'raw_file', role, 0, state, count(*), sum(size_bytes), 0
from raw_file group by night, role, state
union all
select night, 'output', '', batch, state, count(*),
    sum(coalesce(size_bytes, 0) + coalesce(timing_size_bytes, 0)), sum(2 * frames * width * height)
from output group by night, batch, state
union all
select night, 'task', stage, batch, state, count(*), 0, 0
from task group by night, stage, batch, state
order by 1, 2, 3, 4, 5
"""
_TALLIED = (
    "select night, subject, part, batch, state, items, size_bytes, pixel_bytes from tally"
    " where items != 0 or size_bytes != 0 or pixel_bytes != 0 order by 1, 2, 3, 4, 5"
)

_STATES = {
    "raw_file": [str(state) for state in FileState],
    "output": [str(state) for state in OutputState],
    "task": [str(state) for state in TaskState],
}

_CHANGES = st.lists(
    st.one_of(
        st.tuples(
            st.just("add"),
            st.sampled_from(list(_STATES)),
            st.integers(1, 2),
            st.integers(0, 5),
            st.sampled_from(["cube", "timing"]),
        ),
        st.tuples(
            st.just("move"),
            st.sampled_from(list(_STATES)),
            st.integers(0, 30),
            st.integers(0, 5),
            st.integers(0, 10**10),
        ),
        st.tuples(
            st.just("drop"),
            st.sampled_from(["output", "task"]),
            st.integers(0, 30),
            st.just(0),
            st.just(0),
        ),
    ),
    max_size=40,
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(opened(tmp_path)) as ledger:
        yield ledger


def counted(ledger: Ledger) -> list[tuple[object, ...]]:
    return [tuple(row) for row in ledger.rows(_COUNTED)]


def tallied(ledger: Ledger) -> list[tuple[object, ...]]:
    return [tuple(row) for row in ledger.rows(_TALLIED)]


def add(ledger: Ledger, table: str, number: int, batch: int, state: int, role: str) -> None:
    """One more row of *table*, in a state that *state* chooses."""
    stamp = {"night": batch, "state": _STATES[table][state % len(_STATES[table])], "changed_us": 0}
    if table == "task":
        columns: dict[str, object] = {"batch": batch, "stage": Stage.BUILD, "unit": str(number)}
    elif table == "raw_file":
        columns = {"path": str(number), "role": role, "inode": 1, "size_bytes": number}
        columns |= {"modified_ns": 1, "seen_us": 1}
    else:
        columns = {"batch": batch, "ordinal": number, "cube": 1, "camera": 1, "synchronised": 0}
        columns |= {"flc_state": "", "name": str(number), "frames": number + 1, "width": 8}
        columns |= {"height": 4, "first_us": 1, "last_us": 2, "header_file": 1, "content_key": ""}
    ledger.insert(table, **columns, **stamp, changed_by="test")


@settings(max_examples=25, deadline=None)
@given(changes=_CHANGES)
def test_tallies_are_the_counts_of_the_rows_after_any_changes(
    changes: list[tuple[str, str, int, int, object]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with closing(opened(tmp_path_factory.mktemp("ledger"))) as ledger:
        ledger.execute("pragma synchronous = off")
        ledger.execute("pragma foreign_keys = off")
        a_night(ledger)
        a_night(ledger, "20251107")
        for number, (what, table, which, state, more) in enumerate(changes):
            name = _STATES[table][state % len(_STATES[table])]
            if what == "add":
                add(ledger, table, number, which, state, str(more))
            elif what == "drop":
                ledger.execute(f"delete from {table} where id = ?", [which])
            elif table == "task":
                ledger.update("task", which, state=name)
            else:
                ledger.update(table, which, state=name, size_bytes=more)

        assert tallied(ledger) == counted(ledger)


def test_a_ledger_that_had_no_tallies_gets_them_with_the_migration() -> None:
    ledger = sqlite3.connect(":memory:")
    scripts = sorted((_CHECKOUT / "migrations").glob("*.sql"))
    earlier = [path for path in scripts if path.name < "0009"]
    for path in earlier:
        ledger.executescript(path.read_text())
    ledger.executescript(
        "insert into night (id, kind, date, folder, status, seen_us, last_change_us, changed_us,"
        " changed_by) values (1, 'archive', '20251106', '/a', 'ready', 1, 1, 1, 'x');"
        "insert into raw_file (night, path, role, inode, size_bytes, modified_ns, state, seen_us,"
        " changed_us, changed_by) values (1, 'a', 'cube', 1, 70, 1, 'whole', 1, 1, 'x');"
        "insert into task (night, stage, unit, state, changed_us, changed_by) values"
        " (1, 'build', '1.1', 'done', 1, 'x'), (1, 'build', '1.2', 'pending', 1, 'x');"
    )

    ledger.executescript((_CHECKOUT / "migrations/0009_tallies.sql").read_text())

    assert ledger.execute(_TALLIED).fetchall() == ledger.execute(_COUNTED).fetchall()
    assert len(ledger.execute(_TALLIED).fetchall()) == 3


def test_events_of_work_that_was_forgotten_still_say_which_it_was(ledger: Ledger) -> None:
    a_night(ledger)
    add(ledger, "task", 7, 1, 0, "")

    ledger.execute("delete from task")

    events = ledger.rows("select became, about from event where subject = 'task' order by id")
    assert [tuple(event) for event in events] == [("pending", "build 7"), ("forgotten", "build 7")]


def test_to_sum_up_a_night_takes_no_longer_the_more_files_it_has(
    ledger: Ledger, tmp_path: Path
) -> None:
    def steps() -> int:
        """What SQLite's machine does to sum all nights up, in steps of ten."""
        count = 0

        def step() -> int:
            nonlocal count
            count += 1
            return 0

        with reading(tmp_path) as reader:
            reader.set_progress_handler(step, 10)
            summaries = summarise(reader, nights(reader))
            far_verified_us(reader)
            progress(reader, summaries, now_us=1)
        assert summaries[0].raw_files > 0
        return count

    ledger.execute("pragma foreign_keys = off")
    a_night(ledger)
    few = 0
    with ledger.transaction():
        for number in range(3000):
            for table in ("raw_file", "output", "task"):
                add(ledger, table, number, 1, 0, "cube")
            if number == 10:
                ledger.connection.execute("commit")
                few = steps()
                ledger.connection.execute("begin")

    assert steps() <= few + 2
