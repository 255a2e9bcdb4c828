"""Copies of the ledger: of one moment, whole, in order, and few; what is damaged is refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.fake_ledger import DAY_US, NOW_US, FakeClock, a_night, opened
from vampd.errors import IntegrityError, RetryableError
from vampd.ledger import copy_files
from vampd.ledger.connection import Ledger, ledger_path
from vampd.ledger.copy_files import copies_in, make_copy, take_out


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    (tmp_path / "state").mkdir()
    return opened(tmp_path / "state")


def _nights(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("select date from night order by date")]


def test_a_copy_holds_what_was_committed_and_what_the_log_has_not_given_the_file_yet(
    tmp_path: Path, ledger: Ledger
) -> None:
    a_night(ledger, "20251106")
    ledger.execute("begin immediate")
    a_night(ledger, "20251107")

    made = make_copy(ledger.path, tmp_path / "copies", keep=2, now_us=NOW_US)
    ledger.execute("commit")
    event = take_out(tmp_path / "copies" / made.name, tmp_path / "out")

    assert _nights(tmp_path / "out") == ["20251106"]
    assert event == made.event == 1


def test_who_writes_goes_on_while_a_copy_is_made(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy_files, "_PAGES", 1)
    dates = iter(range(20251107, 20251130))

    def write(*_: object) -> None:
        if (date := next(dates, None)) is not None:
            a_night(ledger, str(date))

    class Writing(sqlite3.Connection):
        def backup(self, target: sqlite3.Connection, **words: object) -> None:
            super().backup(target, progress=write, **words)  # type: ignore[arg-type]

    def connect(path: Path, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"file:{path}?mode={mode}", uri=True, isolation_level=None, factory=Writing
        )

    monkeypatch.setattr(copy_files, "_opened", connect)
    a_night(ledger, "20251106")

    made = make_copy(ledger.path, tmp_path / "copies", keep=2, now_us=NOW_US)
    take_out(tmp_path / "copies" / made.name, tmp_path / "out")

    assert _nights(tmp_path / "out") == ["20251106"]
    assert len(_nights(ledger_path(tmp_path / "state"))) > 5


def test_so_many_copies_stay_and_one_made_under_a_wrong_date_is_no_newest(
    tmp_path: Path, ledger: Ledger
) -> None:
    folder = tmp_path / "copies"
    for day in (0, 1, 2000, 2, 3):
        make_copy(ledger.path, folder, keep=3, now_us=NOW_US + day * DAY_US)

    days = [(copy.made_us - NOW_US) // DAY_US for copy in copies_in(folder, NOW_US + 3 * DAY_US)]
    assert days == [3, 2, 1]
    assert sorted(path.name for path in folder.iterdir() if "part" in path.name) == []


def test_what_a_killed_one_left_goes_and_copies_are_their_owner_s_alone(
    tmp_path: Path, ledger: Ledger
) -> None:
    folder = tmp_path / "copies"
    folder.mkdir(mode=0o700)
    (folder / "ledger-copy.part").write_bytes(b"half")
    (folder / "ledger-copy.packed").write_bytes(b"half")

    made = make_copy(ledger.path, folder, keep=2, now_us=NOW_US)

    assert [path.name for path in folder.iterdir()] == [made.name]
    assert (folder / made.name).stat().st_mode & 0o777 == 0o600


def test_a_damaged_ledger_is_not_copied_and_no_older_copy_goes(
    tmp_path: Path, ledger: Ledger
) -> None:
    folder = tmp_path / "copies"
    made = make_copy(ledger.path, folder, keep=2, now_us=NOW_US)
    for date in range(20251101, 20251130):
        a_night(ledger, str(date))
    path = ledger.path
    ledger.close()
    content = bytearray(path.read_bytes())
    for place in range(8 * 4096, len(content), 4096):
        content[place : place + 64] = b"x" * 64
    path.write_bytes(content)

    with pytest.raises(IntegrityError, match=r"damaged.*rebuild-db"):
        make_copy(path, folder, keep=2, now_us=NOW_US + DAY_US)

    assert [each.name for each in folder.iterdir()] == [made.name]


def test_without_space_for_it_no_copy_is_begun(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy_files, "free_bytes", lambda _: 1 << 20)

    with pytest.raises(RetryableError, match="too little space"):
        make_copy(ledger.path, tmp_path / "copies", keep=2, now_us=NOW_US)

    assert list((tmp_path / "copies").iterdir()) == []


@pytest.mark.parametrize("damage", ["bit", "end", "name"])
def test_a_damaged_copy_is_not_taken_out(tmp_path: Path, ledger: Ledger, damage: str) -> None:
    made = make_copy(ledger.path, tmp_path / "copies", keep=2, now_us=NOW_US)
    path = tmp_path / "copies" / made.name
    content = bytearray(path.read_bytes())
    if damage == "bit":
        content[len(content) // 2] ^= 1
    path.write_bytes(content[:-9] if damage == "end" else content)
    if damage == "name":
        path = path.rename(path.with_name(path.name.replace(made.sha256, "0" * 64)))

    with pytest.raises(IntegrityError, match=path.name):
        take_out(path, tmp_path / "out")


def test_two_copies_of_one_moment_are_the_same_bytes(tmp_path: Path, ledger: Ledger) -> None:
    first = make_copy(ledger.path, tmp_path / "a", keep=2, now_us=NOW_US)
    second = make_copy(ledger.path, tmp_path / "b", keep=2, now_us=NOW_US)

    assert first == second


def test_the_clock_of_a_copy_is_in_its_name(tmp_path: Path, ledger: Ledger) -> None:
    made = make_copy(ledger.path, tmp_path, keep=2, now_us=FakeClock().now_us())

    assert made.name.startswith("ledger-20251106T160000Z-")
