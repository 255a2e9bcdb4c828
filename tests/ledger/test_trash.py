"""What is asked of one night's trash takes no longer for all that other nights gave back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.fake_ledger import opened
from vampd.ledger import deliveries, local_copies, nights, reclaims, trash
from vampd.ledger.connection import Ledger
from vampd.ledger.local_copies import LocalFile
from vampd.states import Kind, Space

_PATH = "vgen2/VMPA00425189.fits.fz"
_FILE = LocalFile(path=_PATH, size_bytes=1, sha256="0" * 64, is_raw=False)
_OTHERS = 5_000


def forget(ledger: Ledger, night: int) -> None:
    """As a restore does; a trigger looks for the file in the trash."""
    deliveries.list_file(ledger, night, _PATH, 1, "0" * 64)
    ledger.execute("delete from deliverable where night = ?", [night])


ASKED: dict[str, Callable[[Ledger, int], object]] = {
    "what may go": lambda ledger, night: trash.candidates(ledger, night, Space.OUTPUTS),
    "what lies there": trash.in_trash,
    "what is to be put back": trash.to_put_back,
    "what is not proved": trash.unproved,
    "what was removed": trash.removed,
    "whether all raw files went": trash.raw_is_gone,
    "whether a file is listed": lambda ledger, night: local_copies.is_listed(ledger, night, _FILE),
    "forgetting a file": forget,
}


@pytest.mark.parametrize("what", ASKED)
def test_the_trash_of_other_nights_costs_one_night_nothing(tmp_path: Path, what: str) -> None:
    (tmp_path / "state").mkdir()
    with closing(opened(tmp_path / "state")) as ledger:
        mine, other = (a_night(ledger, tmp_path, date) for date in ("20251106", "20251107"))
        deliveries.list_file(ledger, mine, _PATH, 1, "0" * 64)
        before = steps_of(ledger, lambda: ASKED[what](ledger, mine))
        give_back(ledger, other)

        after = steps_of(ledger, lambda: ASKED[what](ledger, mine))

    assert after <= before + 5


def a_night(ledger: Ledger, folder: Path, date: str) -> int:
    night = folder / "archive" / date
    night.mkdir(parents=True)
    return nights.sight_night(ledger, Kind.ARCHIVE, date, night).id


def give_back(ledger: Ledger, night: int) -> None:
    run = reclaims.begin(ledger, 1, night, Space.RAW, final=False, why="its time has come")
    with ledger.transaction():
        ledger.connection.executemany(
            "insert into trash (reclaim, night, space, path, place, inode, size_bytes, modified_ns,"
            " state, changed_us, changed_by)"
            " values (?, ?, 'raw', ?, ?, 1, 1, 1, 'unlinked', 1, '')",
            ((run, night, f"vcam1/{number}", f"{number}") for number in range(_OTHERS)),
        )


def steps_of(ledger: Ledger, do: Callable[[], object]) -> int:
    """How many hundreds of steps SQLite takes for it."""
    counted: list[None] = []
    ledger.connection.set_progress_handler(lambda: counted.append(None), 100)
    try:
        do()
    finally:
        ledger.connection.set_progress_handler(None, 0)
    return len(counted)
