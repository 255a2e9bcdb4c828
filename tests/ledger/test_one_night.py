"""What is asked of one night takes no longer for all that the ledger holds of other nights."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.fake_ledger import opened
from vampd.ledger import (
    deliveries,
    exports,
    frame_ids,
    local_copies,
    mail_tracks,
    nights,
    reclaims,
    trash,
)
from vampd.ledger.connection import Ledger
from vampd.ledger.local_copies import LocalFile
from vampd.states import Kind, Space
from vampd.views import frame_audit

_PATH = "vgen2/VMPA00425189.fits.fz"
_FILE = LocalFile(path=_PATH, size_bytes=1, sha256="0" * 64, is_raw=False)
_OTHERS = 5_000


def forget(ledger: Ledger, night: int) -> None:
    """As a restore does; a trigger looks for the file in the trash."""
    deliveries.list_file(ledger, night, _PATH, 1, "0" * 64)
    ledger.execute("delete from deliverable where night = ?", [night])


def _account(ledger: Ledger, night: int) -> object:
    return frame_audit.account(ledger.connection, nights.get_night(ledger, night))


def _reserved(ledger: Ledger, night: int) -> object:
    return frame_ids.reserved_of(ledger, nights.get_night(ledger, night))


def _acknowledged(ledger: Ledger, night: int) -> object:
    return mail_tracks.acknowledged_batch(ledger.connection, night)


ASKED: dict[str, Callable[[Ledger, int], object]] = {
    "what may go": lambda ledger, night: trash.candidates(ledger, night, Space.OUTPUTS),
    "what lies in the trash": trash.in_trash,
    "what is to be put back": trash.to_put_back,
    "what is not proved": trash.unproved,
    "what was removed": trash.removed,
    "whether all raw files went": trash.raw_is_gone,
    "whether a file is listed": lambda ledger, night: local_copies.is_listed(ledger, night, _FILE),
    "forgetting a file": forget,
    "whose papers are due": lambda ledger, _: exports.next_to_export(ledger),
    "its reserved numbers": _reserved,
    "what the archive has": _acknowledged,
    "where its frames are": _account,
}

_RAW_FILE = (
    "insert into raw_file (id, night, path, role, inode, size_bytes, modified_ns, state, seen_us,"
    " changed_us, changed_by) values (1, ?, 'vcam1/1', 'cube', 1, 1, 1, 'whole', 1, 1, '')"
)
_TRASH = (
    "insert into trash (reclaim, night, space, path, place, inode, size_bytes, modified_ns, state,"
    " changed_us, changed_by)"
    " values (:run, :night, 'raw', :number, '', 1, 1, 1, 'unlinked', 1, '')"
)
_FRAME_ID = (
    "insert into frame_id (number, night, batch, content_key, state, reserved_us, changed_us,"
    " changed_by) values (:number, :night, 1, :number, 'bound', 1, 1, '')"
)
_SEGMENT = (
    "insert into segment (night, batch, raw_file, first, step, count, reason)"
    " values (:night, 1, 1, :number, 1, 1, 'no time')"
)


@pytest.mark.parametrize("what", ASKED)
def test_other_nights_cost_one_night_nothing(tmp_path: Path, what: str) -> None:
    (tmp_path / "state").mkdir()
    with closing(opened(tmp_path / "state")) as ledger:
        mine, other = (a_night(ledger, tmp_path, date) for date in ("20251106", "20251107"))
        deliveries.list_file(ledger, mine, _PATH, 1, "0" * 64)
        before = steps_of(ledger, lambda: ASKED[what](ledger, mine))
        fill(ledger, other)

        after = steps_of(ledger, lambda: ASKED[what](ledger, mine))

    assert after <= before + 5


def a_night(ledger: Ledger, folder: Path, date: str) -> int:
    night = folder / "archive" / date
    night.mkdir(parents=True)
    return nights.sight_night(ledger, Kind.ARCHIVE, date, night).id


def fill(ledger: Ledger, night: int) -> None:
    """A night of many frame IDs and segments, all raw files of which were given back."""
    run = reclaims.begin(ledger, 1, night, Space.RAW, final=False, why="its time has come")
    rows = [{"run": run, "night": night, "number": number} for number in range(1, _OTHERS)]
    with ledger.transaction():
        ledger.execute(_RAW_FILE, [night])
        for statement in (_TRASH, _FRAME_ID, _SEGMENT):
            ledger.connection.executemany(statement, rows)
    last = exports.last_event(ledger, night)
    exports.record_written(ledger, night, exports.Written(event=last, with_dump=True, ended=0))


def steps_of(ledger: Ledger, do: Callable[[], object]) -> int:
    """How many hundreds of steps SQLite takes for it."""
    counted: list[None] = []
    ledger.connection.set_progress_handler(lambda: counted.append(None), 100)
    try:
        do()
    finally:
        ledger.connection.set_progress_handler(None, 0)
    return len(counted)
