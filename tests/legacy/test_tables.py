"""The earlier pipeline's tables are read as pandas, awk and editors left them."""

from __future__ import annotations

import pytest

from vampd.legacy.tables import Said, parse_table

_HEADER = (
    "scexao5_path,utc_date,processed,processed_timestamp,transferred_to_scexao6,"
    "transferred_timestamp,safe_on_scexao6,safe_timestamp"
)
_NIGHT = "/mnt/fuuu/ARCHIVED_DATA/20251106"
_NOT_YET = Said(done=False, at="")


def _one(cells: str, header: str = _HEADER) -> tuple[Said, Said, Said]:
    table = parse_table(f"{header}\n{cells}\n", "ARCHIVE_LOG.csv")
    (row,) = table.rows
    assert row.folder == _NIGHT
    return row.processed, row.transferred, row.safe


def test_true_without_a_time_is_true_at_an_unknown_time() -> None:
    said = _one(f"{_NIGHT},2025-11-06,True,,True,,True,2025-11-14T20:15:09")

    assert said == (
        Said(done=True, at=""),
        Said(done=True, at=""),
        Said(done=True, at="2025-11-14T20:15:09"),
    )


@pytest.mark.parametrize("nothing", ["", "nan", "NaN", "None", "NaT"])
def test_what_pandas_writes_for_nothing_is_nothing(nothing: str) -> None:
    cells = f"{_NIGHT},2025-11-06,False,{nothing},False,{nothing},False,{nothing}"

    assert _one(cells) == (_NOT_YET, _NOT_YET, _NOT_YET)


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        (f",{_HEADER}", f"7,{_NIGHT},2025-11-06,True,,False,,False,"),
        (f"Unnamed: 0,{_HEADER}", f"7,{_NIGHT},2025-11-06,True,,False,,False,"),
        (_HEADER, f"{_NIGHT},2025-11-06,TRUE,,false,,0,"),
        (_HEADER, f"{_NIGHT},2025-11-06,1.0,,0.0,,False"),
        (_HEADER, f"{_NIGHT}/,2025-11-06,True,,False,,False,"),
        (f"\ufeff{_HEADER}", f"{_NIGHT},2025-11-06,True,,False,,False,\r"),
        (f"{_HEADER}\n\n{_HEADER}", f"{_NIGHT},2025-11-06,True,,False,,False,\n,,,,,,,"),
    ],
    ids=["index", "named index", "case", "floats", "slash", "byte order mark", "header twice"],
)
def test_each_hand_that_wrote_the_table_is_read(header: str, cells: str) -> None:
    processed, transferred, safe = _one(cells, header)

    assert processed.done is True
    assert (transferred.done, safe.done) == (False, False)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (f"{_NIGHT},2025-11-07,True,,False,,False,", "utc_date is 2025-11-07"),
        ("/mnt/fuuu/lost,2025-11-06,True,,False,,False,", "no night's folder"),
        ("lost,2025-11-06,True,,False,,False,", "no folder's path"),
        (f"{_NIGHT},2025-11-06,perhaps,,False,,False,", "neither True nor False for processed"),
        (f"{_NIGHT},2025-11-06,True,,False,,True,", "safe, but never transferred"),
        (f"{_NIGHT},2025-11-06,False,,True,,False,", "transferred, but never processed"),
    ],
)
def test_what_makes_no_sense_is_named_with_its_line(line: str, problem: str) -> None:
    good = "/mnt/fuuu/ARCHIVED_DATA/20251001,2025-10-01,True,,True,,True,"

    table = parse_table(f"{_HEADER}\n{good}\n{line}\n", "ARCHIVE_LOG.csv")

    assert any("ARCHIVE_LOG.csv, line 3" in text and problem in text for text in table.problems)
    assert any(row.folder.endswith("20251001") for row in table.rows)


def test_of_two_lines_about_a_night_the_last_counts_and_both_are_named() -> None:
    lines = [
        f"{_NIGHT},2025-11-06,False,,False,,False,",
        f"{_NIGHT},2025-11-06,True,2025-11-07T01:51:53,False,,False,",
    ]

    table = parse_table("\n".join([_HEADER, *lines]), "ARCHIVE_LOG.csv")

    assert [row.processed.done for row in table.rows] == [True]
    assert ["line 2" in problem and "line 3" in problem for problem in table.problems] == [True]


def test_what_is_marked_for_deletion_is_read_with_its_time() -> None:
    text = f"scexao5_path,delete_after\n{_NIGHT}/vgen2,2025-11-15T20:15:09.123456+00:00\n"

    (mark,) = parse_table(text, "MARKED_FOR_DELETION.csv").deletions

    assert (mark.folder, mark.delete_after) == (
        f"{_NIGHT}/vgen2",
        "2025-11-15T20:15:09.123456+00:00",
    )


@pytest.mark.parametrize("text", ["", "\n", "a,b\n1,2\n", "scexao5_path\n/x\n"])
def test_another_file_is_refused_as_a_whole(text: str) -> None:
    table = parse_table(text, "x.csv")

    assert table.rows == ()
    assert "not such a table" in table.problems[0]
