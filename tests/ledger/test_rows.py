"""Records made of the ledger's rows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import vampd
from tests.support.fake_ledger import a_night, a_task, claimed, opened
from vampd.ledger import tasks
from vampd.ledger.rows import record_of
from vampd.states import ErrorClass, Stage, TaskState

PACKAGE = Path(vampd.__file__).parent


def test_a_record_has_the_columns_of_its_row_and_members_of_enums_for_words(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    number = a_task(ledger, a_night(ledger).id, Stage.BUILD, "1.2")
    fresh = tasks.get_task(ledger, number)
    tasks.fail(ledger, claimed(ledger, number), ErrorClass.INTEGRITY, "another digest")

    failed = tasks.get_task(ledger, number)

    assert (fresh.stage, fresh.state, fresh.error_class) == (Stage.BUILD, TaskState.PENDING, None)
    assert (failed.unit, failed.attempts, failed.error) == ("1.2", 1, "another digest")
    assert failed.state is TaskState.FAILED
    assert failed.error_class is ErrorClass.INTEGRITY


def test_a_record_is_asked_by_attribute_alone(tmp_path: Path) -> None:
    night = a_night(opened(tmp_path))

    with pytest.raises(TypeError):
        night["date"]  # type: ignore[index]


def test_the_database_s_own_rows_have_a_name_in_the_ledger_alone() -> None:
    modules = [path for path in PACKAGE.rglob("*.py") if "ledger" not in path.parts]

    naming = [
        path.name
        for path in modules
        if re.search(r"vampd\.ledger\.connection import .*\bRow\b|sqlite3\.Row", path.read_text())
    ]

    assert modules
    assert naming == []


def test_a_row_that_lacks_a_column_makes_no_record(tmp_path: Path) -> None:
    row = opened(tmp_path).row("select 1 as id")
    assert row is not None

    with pytest.raises(IndexError):
        record_of(tasks.Task, row)
