"""`vampd status --format`: what the earlier pipeline's scripts read, they read here as well."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from tests.support.ledger_site import NOW_US, Site
from vampd.errors import UsageError
from vampd.states import Kind, Stage

_HEADER = (
    "scexao5_path,utc_date,processed,processed_timestamp,transferred_to_scexao6,"
    "transferred_timestamp,safe_on_scexao6,safe_timestamp"
)
_DONE_AT = "2025-11-06T15:00:00"
_ALL_DONE = f"True,{_DONE_AT},True,{_DONE_AT},True,{_DONE_AT}"
_TO_VERIFY = f"True,{_DONE_AT},True,{_DONE_AT},False,"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A safe night, one that is sent and not verified, one that is being built, a new one."""
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    for date, status, upto in (
        ("20251103", "safe", None),
        ("20251104", "waiting", Stage.VERIFY),
        ("20251105", "running", Stage.TRANSFER),
    ):
        night = site.night(date, status)
        site.stages(night, Kind.ARCHIVE, upto)
    site.task(3, Stage.BUILD, "running", "2.1")
    site.execute(
        "update task set finished_us = ? where state = 'done'", NOW_US - 3_600_000_000 + 999_999
    )
    site.night("20251106", "collecting", kind=Kind.ENGINEERING)
    return site


def _read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_csv_says_what_is_processed_transferred_and_safe(site: Site) -> None:
    text = site.said("status", "--format", "csv")

    assert text.splitlines()[:3] == [
        _HEADER,
        f"{site.folder}/archive/20251103,2025-11-03,{_ALL_DONE}",
        f"{site.folder}/archive/20251104,2025-11-04,{_TO_VERIFY}",
    ]
    rows = _read(text)
    assert [row["processed"] for row in rows] == ["True", "True", "False", "False"]
    assert [row["transferred_to_scexao6"] for row in rows] == ["True", "True", "False", "False"]
    assert [row["processed_timestamp"] for row in rows][2:] == ["", ""]


def test_yes_and_no_are_never_blank_so_that_pandas_reads_them_as_bool(site: Site) -> None:
    """`table.query("not processed")` of the old scripts fails on a column with blanks."""
    rows = _read(site.said("status", "--format", "csv"))

    for column in ("processed", "transferred_to_scexao6", "safe_on_scexao6"):
        assert {row[column] for row in rows} <= {"True", "False"}


def test_every_line_has_eight_fields_at_awks_commas(site: Site) -> None:
    text = site.said("status", "--format", "csv")

    assert {line.count(",") for line in text.splitlines()} == {7}
    assert '"' not in text


def test_kind_and_date_choose_the_table_that_is_replaced(site: Site) -> None:
    rows = _read(site.said("status", "--format", "csv", "--kind", "engineering"))
    one = _read(site.said("status", "20251104", "--format", "csv"))

    assert [row["scexao5_path"] for row in rows] == [f"{site.folder}/engineering/20251106"]
    assert [row["utc_date"] for row in one] == ["2025-11-04"]


def test_the_table_stands_in_columns_and_leaves_unknown_times_blank(site: Site) -> None:
    site.execute("update task set finished_us = null where stage = 'build' and night = 2")

    lines = site.said("status", "--format", "table").splitlines()

    starts = [lines[0].index(name) for name in _HEADER.split(",")]
    cells = [
        lines[2][start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)
    ]
    assert cells == [
        f"{site.folder}/archive/20251104",
        "2025-11-04",
        "True",
        "",
        "True",
        _DONE_AT,
        "False",
        "",
    ]


def test_an_adopted_night_repeats_the_old_tables_word_but_for_safe(site: Site) -> None:
    night = site.night("20250603", "held")
    site.insert(
        "adoption",
        night=night,
        state="adopted",
        signs="vgen2",
        proved="[]",
        unproved="[]",
        changed_us=NOW_US,
        changed_by="uid 0",
    )
    site.insert(
        "legacy_row",
        source="ARCHIVE_LOG.csv",
        folder="/mnt/fuuu/ARCHIVED_DATA/20250603",
        night=night,
        processed=1,
        transferred=1,
        transferred_at="2025-06-26T21:54:55",
        safe=1,
        safe_at="2025-11-14T20:38:15",
        read_us=NOW_US,
    )

    (row,) = _read(site.said("status", "20250603", "--format", "csv"))

    assert list(row.values())[2:] == ["True", "", "True", "2025-06-26T21:54:55", "False", ""]


def test_a_folder_that_no_such_table_can_hold_is_refused(site: Site) -> None:
    site.execute("update night set folder = '/mnt/a,b/20251103' where date = '20251103'")

    with pytest.raises(UsageError, match="comma"):
        site.said("status", "--format", "csv")
