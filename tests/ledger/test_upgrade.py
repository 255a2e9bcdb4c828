"""A ledger of the first vampd, with nights in every state, opened by the present one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.fake_ledger import NOW_US, opened
from vampd.causes import Cause
from vampd.ledger import connection as module
from vampd.ledger import elapsed, files, mail_tracks, nights, proofs, trash
from vampd.ledger.connection import Ledger, ledger_path
from vampd.ledger.mail_tracks import Track
from vampd.ledger.records import Night
from vampd.ledger.rows import fetch_all
from vampd.shipped import migrations_folder
from vampd.states import FileCode, NightStatus

_NIGHT = (
    "insert into night (id, kind, date, folder, status, seen_us, last_change_us, closed_us,"
    " safe_us, hold, changed_us, changed_by) values (?, 'archive', ?, ?, ?, 1, 1, ?, ?, ?, 1, 'x')"
)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("state")
    _make_old(folder)
    return folder


@pytest.fixture(scope="module")
def ledger(state: Path) -> Iterator[Ledger]:
    with closing(opened(state)) as ledger:
        yield ledger


def _make_old(folder: Path) -> None:
    """What 0001 alone makes, recorded as vampd records it, with a night in each state."""
    import sqlite_utils
    from sqlite_utils.migrations import Migrations

    connection = sqlite3.connect(ledger_path(folder), isolation_level=None)
    first = next(iter(sorted(migrations_folder().glob("0001_*.sql"))))
    old = Migrations(module.NIGHTS.name)
    old(name=first.stem)(module._runner(first))
    old.apply(sqlite_utils.Database(connection))
    connection.execute("update version set text = '0.0.1'")
    for number, status in enumerate(NightStatus, start=1):
        _fill(connection, number, status)
    connection.close()


def _fill(connection: sqlite3.Connection, number: int, status: NightStatus) -> None:
    date = f"202511{number:02}"
    is_safe = status in {NightStatus.SAFE, NightStatus.RECLAIMED}
    is_closed = None if status is NightStatus.COLLECTING else 2
    hold = "a look" if status is NightStatus.HELD else None
    values = (number, date, f"/data/{date}", status, is_closed, 3 if is_safe else None, hold)
    connection.execute(_NIGHT, values)
    for file, (role, end) in enumerate((("cube", ".fits"), ("timing", ".txt"))):
        connection.execute(
            "insert into raw_file (id, night, path, role, camera, stem, inode, size_bytes,"
            " modified_ns, state, sha256, seen_us, changed_us, changed_by)"
            " values (?, ?, ?, ?, 1, 'vcam1_a', 1, 100, 1, 'whole', 'abc', 1, 1, 'x')",
            (number * 10 + file, number, f"vcam1/vcam1_a{end}", role),
        )
    connection.execute(
        "insert into cube (raw_file, timing, frames, width, height, cards, has_acquisition,"
        " rejected, reports, acquired) values (?, ?, 2, 4, 4, '{}', 1, '{}', '[]', x'00')",
        (number * 10, number * 10 + 1),
    )
    if status in {NightStatus.COLLECTING, NightStatus.EMPTY}:
        return
    state = "verified" if is_safe else "built"
    connection.execute(
        "insert into output (id, night, ordinal, cube, camera, synchronised, flc_state, name,"
        " frames, width, height, first_us, last_us, header_file, content_key, frame_id, state,"
        " size_bytes, sha256, timing_size_bytes, timing_sha256, changed_us, changed_by)"
        " values (?, ?, 0, 0, 1, 0, '', 'vcam1_a', 2, 4, 4, 0, 1, ?, 'k', ?, ?, 7, 'd', 5, 'e', 1,"
        " 'x')",
        (number, number, number * 10, 500 + number, state),
    )
    connection.execute(
        "insert into segment (night, output, position, raw_file, first, step, count)"
        " values (?, ?, 0, ?, 0, 1, 2)",
        (number, number, number * 10),
    )
    connection.execute(
        "insert into frame_id (number, night, content_key, state, reserved_us, changed_us,"
        " changed_by) values (?, ?, 'k', 'bound', 1, 1, 'x')",
        (500 + number, number),
    )
    name = f"vgen2/VMPA{500 + number:08}"
    for path in (f"{name}.fits.fz", f"{name}.txt", f"manifest_VMP_{date}.csv"):
        connection.execute(
            "insert into deliverable (night, path, size_bytes, sha256, sent_us, verified_us)"
            " values (?, ?, 7, 'd', 1, ?)",
            (number, path, 3 if is_safe else None),
        )
    for stage in ("sync", "frame_ids", "build", "manifest", "transfer", "verify"):
        connection.execute(
            "insert into task (night, stage, unit, state, finished_us, changed_us, changed_by)"
            " values (?, ?, '', ?, 3, 1, 'x')",
            (number, stage, "done" if is_safe else "failed"),
        )


def _night(ledger: Ledger, status: NightStatus) -> int:
    number: int = ledger.value("select id from night where status = ?", [status])
    return number


def test_nights_keep_their_state_and_are_of_one_batch(ledger: Ledger) -> None:
    rows = ledger.rows("select status, batch, hold from night order by id")

    assert [row["status"] for row in rows] == list(NightStatus)
    assert {row["batch"] for row in rows} == {1}
    for table in ("raw_file", "segment", "output", "task", "deliverable", "frame_id"):
        assert ledger.value(f"select count(*) from {table} where batch != 1") == 0
    assert ledger.rows("pragma foreign_key_check") == []
    assert ledger.value("pragma integrity_check") == "ok"


def test_tallies_are_what_a_count_of_the_rows_gives(ledger: Ledger) -> None:
    for subject, part in (("raw_file", "role"), ("task", "stage"), ("output", "''")):
        counted = ledger.rows(
            f"select night, {part}, state, count(*) from {subject} group by 1, 2, 3"
            " order by 1, 2, 3"
        )
        kept = ledger.rows(
            "select night, part, state, items from tally where subject = ? and items > 0"
            " order by 1, 2, 3",
            [subject],
        )
        assert [tuple(row) for row in kept] == [tuple(row) for row in counted]


@pytest.mark.usefixtures("ledger")
def test_the_ledger_as_it_was_is_kept_beside(state: Path) -> None:
    (copy,) = state.glob("*.before-0002*")

    with closing(sqlite3.connect(copy)) as found:
        tables = {row[0] for row in found.execute("select name from sqlite_master")}
        nights = found.execute("select count(*) from night").fetchone()[0]
    assert nights == len(NightStatus)
    assert "trash" not in tables


def test_nothing_of_a_safe_night_counts_as_proved_seen_or_acknowledged(ledger: Ledger) -> None:
    night = _night(ledger, NightStatus.SAFE)
    first = elapsed.record_elapsed(ledger)
    since = elapsed.safe_since(ledger, night)

    assert not proofs.rebuild_proved(ledger, night)
    assert proofs.unproved_files(ledger, night) == ["vcam1/vcam1_a.fits", "vcam1/vcam1_a.txt"]
    assert (first, since is not None and since.since_us) == (0, NOW_US)
    assert mail_tracks.acknowledged_batch(ledger.connection, night) == 0
    assert mail_tracks.night_track(ledger.connection, night, configured=True).state is Track.READY
    assert trash.why_incomplete(ledger, night) is None


def test_headers_of_what_is_there_are_still_to_be_read(ledger: Ledger) -> None:
    assert ledger.value("select count(*) from raw_file where headed != 0") == 0
    assert ledger.value("select count(*) from output where headed != 0") == 0


@pytest.mark.usefixtures("ledger")
def test_a_ledger_of_the_present_is_opened_again_without_another_copy(state: Path) -> None:
    opened(state).close()

    assert len(list(state.glob("*.before-*"))) == 1


_HOLDS = {
    "restored": "restored",
    "being restored; `vampd restore` finishes it": "being restored",
    "raw file changed after the night was closed: vcam1/a.fits\nit had 10 bytes": "raw changed",
    "raw file gone after it was planned: vcam1/a.fits": "raw gone",
    "raw file that cannot be read any more: vcam1/a.fits\nand 2 more raw files": "raw unreadable",
    "the earlier pipeline was at work in its folder (vcam1_hlinkbak): decide": "earlier pipeline",
    "processed by the earlier pipeline; adopted, not verified": "adopted",
    "raw files cannot be rebuilt: vcam1/a.fits: byte 3": "not rebuildable",
    "quality outside its limits: 12 % dubious": "quality",
    "3 of 9 copies at x:/y, once verified, are not right any more: a is missing": "copies wrong",
    "it bears 73 frame IDs, and .vampd/ledger.jsonl.gz is lost; move": "records lost",
    "vampd cannot go on with it: KeyError: 'x' (go, line 3)": "trouble",
    "no cube can be used: all 2 cubes are quarantined": "no cube",
    "the observers want to look first": "order",
}


@contextmanager
def _ledger_before(folder: Path, name: str) -> Iterator[sqlite3.Connection]:
    """A ledger as it was before the migration *name*."""
    import sqlite_utils
    from sqlite_utils.migrations import Migrations

    (last,) = migrations_folder().glob(f"*_{name}.sql")
    before = [path for path in sorted(migrations_folder().glob("*.sql")) if path.stem < last.stem]
    with closing(sqlite3.connect(ledger_path(folder), isolation_level=None)) as connection:
        old = Migrations(module.NIGHTS.name)
        for path in before:
            old(name=path.stem)(module._runner(path))
        old.apply(sqlite_utils.Database(connection))
        connection.execute("update version set text = '0.0.1'")
        yield connection


def test_holds_of_a_version_without_codes_get_theirs_and_keep_their_words(tmp_path: Path) -> None:
    with _ledger_before(tmp_path, "causes") as connection:
        for number, hold in enumerate(_HOLDS, start=1):
            values = (number, f"202511{number:02}", f"/data/{number}", "held", 2, None, hold)
            connection.execute(_NIGHT, values)

    with closing(opened(tmp_path)) as ledger:
        rows = fetch_all(Night, ledger, "select * from night order by id")
        held = [nights.cause_of_hold(row) for row in rows]

    assert [(str(hold), hold.code) for hold in held if hold is not None] == list(_HOLDS.items())
    assert {hold.words["path"] for hold in held if hold and "path" in hold.words} == {
        "vcam1/a.fits"
    }
    assert [row.cause_code for row in rows] == list(_HOLDS.values())


_VCAM = "vcam1/vcam1_05:10:00.000000000"
_BAD = {
    "cube and timing file still changing": FileCode.CHANGING,
    "left over by a crashed write: a temporary file that was never renamed": FileCode.LEFT_OVER,
    "its name is being written: a temporary file of it is there": FileCode.WRITTEN_ANEW,
    "a temporary file of the same name is left over, and the header's times do not prove that cube"
    " and timing file belong together": FileCode.UNCONFIRMED,
    "lost cube: a timing file without its cube": FileCode.LOST_CUBE,
    "no timing file": FileCode.NO_TIMING,
    "truncated: 8640 bytes, its header says 11520": FileCode.TRUNCATED,
    "too long: 8640 bytes, its header says 5760": FileCode.TOO_LONG,
    "18 rows for 20 frames": FileCode.ROWS,
    "cannot be read: Input/output error": FileCode.UNREADABLE,
    f"{_VCAM}.fits: no END card within 400 header blocks": FileCode.CONTENT,
    f"{_VCAM}.fits: 19 times for 20 frames": FileCode.CONTENT,
    "timing file of more than 66736 bytes for 3 frames": FileCode.CONTENT,
    "U_CAMERA is 2, but it lies in the folder of camera 1": FileCode.WRONG_CAMERA,
    "UT-STR of the cube is 05:10:00, but the first row of its timing file is of 05:11:00"
    " (column 5), 60.000000 s apart: they do not belong together": FileCode.NOT_TOGETHER,
    "EXPTIME is missing": FileCode.NO_EXPOSURE,
    "EXPTIME is not a positive number: 'x'": FileCode.BAD_EXPOSURE,
    "what it says is odd: OverflowError: int too large": FileCode.ODD,
    "what was read of it is odd: KeyError: 'cards'": FileCode.ODD,
    "reading it fails: a worker was killed": FileCode.READING_FAILS,
    f"{_VCAM}.fits and {_VCAM}1.fits are both of 05:10 to 05:11, with other pixels: nobody can tell"
    " which is right": FileCode.CONTRADICTION,
    "no acquisition times, and nothing proves by how much the logger's clock was ahead: 0 or 37 s;"
    " if you know it: vampd quarantine": FileCode.CLOCK,
    "what no version ever wrote": FileCode.OTHER,
}


def test_bad_files_of_a_version_without_codes_get_theirs_and_keep_their_words(
    tmp_path: Path,
) -> None:
    theirs = "lost cube: I saw the disk fail"
    with _ledger_before(tmp_path, "files") as connection:
        connection.execute(_NIGHT, (1, "20251101", "/data/1", "collecting", None, None, None))
        insert = (
            "insert into raw_file (night, path, role, inode, size_bytes, modified_ns, state,"
            " reason, seen_us, changed_us, changed_by)"
            " values (1, ?, 'cube', 1, 100, 1, ?, ?, 1, 1, ?)"
        )
        for number, reason in enumerate(_BAD):
            connection.execute(insert, (f"{number:03}", "quarantined", reason, "vampd"))
        connection.execute(insert, ("a", "quarantined", theirs, "uid 1000 (obs)"))
        connection.execute(insert, ("b", "arriving", "settled, to be read", "vampd"))
        connection.execute(insert, ("c", "whole", None, "vampd"))

    paths = [*(f"{number:03}" for number in range(len(_BAD))), "a", "b", "c"]

    with closing(opened(tmp_path)) as ledger:
        found = [files.cause_of(files.file_of(ledger, 1, path)) for path in paths]
    *bad, by_hand, arriving, whole = found

    assert [(str(cause), cause.code) for cause in bad if cause is not None] == list(_BAD.items())
    assert by_hand == Cause(FileCode.BY_HAND, {"text": theirs})
    assert str(by_hand) == theirs
    assert arriving == Cause(FileCode.TO_BE_READ)
    assert whole is None
