"""`vampd status` answers from the ledger, daemon or not, and says what needs somebody."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.hung_disk import hanging_disk
from tests.support.ledger_site import Site
from vampd.commands import dates
from vampd.commands.status_picture import ROOT_SECONDS
from vampd.errors import OperatorError, RetryableError
from vampd.io.clock import SystemClock
from vampd.io.lock import StateLock
from vampd.states import Kind, NightStatus, Stage, TaskState
from vampd.time_units import DAY_US, HOUR_US
from vampd.views.summaries import RECENT

#: What must not be loaded to answer: each takes longer than the answer itself may.
_HEAVY = ("astropy", "numpy", "sqlite_utils", "apscheduler", "watchdog", "rich", "imagecodecs")

_REFUSED = """rsync of archive 20251102 exited 23:
rsync: [generator] recv_generator: mkdir "/mnt/tier1/2_ARCHIVED_DATA/20251102" failed: \
Permission denied (13)
rsync error: some files/attrs were not transferred (code 23) at main.c(1338)"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    return site


def test_a_fresh_install_has_no_night_yet(tmp_path: Path) -> None:
    site = Site(folder=tmp_path / "site")

    screen = site.said("status")
    assert "no night yet" in screen
    assert "daemon not running; it never did" in screen
    answer = site.answer("status")
    assert answer["nights"] == []
    assert answer["daemon"]["running"] is False


def test_a_missing_state_directory_is_an_error(tmp_path: Path) -> None:
    site = Site(folder=tmp_path / "site")
    site.state.rmdir()

    result = site.run("status")

    assert isinstance(result.exception, OperatorError)
    assert "no such folder" in str(result.exception)


@pytest.mark.parametrize(
    "words", [["status"], ["show", "20251106"], ["explain", "20251106"], ["log"], ["check"]]
)
def test_answers_load_nothing_heavy_and_not_much(site: Site, words: list[str]) -> None:
    """What is loaded is what an answer costs: `./dev bench status` has it in milliseconds."""
    site.night("20251106", "collecting")
    program = (
        "import sys; from vampd.cli import main\n"
        "try: main()\n"
        f"finally: print([name for name in {_HEAVY!r} if name in sys.modules], len(sys.modules),"
        " file=sys.stderr)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, "--config", str(site.config), *words],
        check=False,  # check exits with what it found
        capture_output=True,
        text=True,
    )

    assert "20251106" in done.stdout
    heavy, _, modules = done.stderr.strip().rpartition(" ")
    assert heavy == "[]"
    assert int(modules) < 260


def test_the_stages_of_each_kind_are_told_from_their_tasks(site: Site) -> None:
    night = site.night("20251106", "running")
    site.task(night, Stage.SYNC, "done")
    site.task(night, Stage.FRAME_IDS, "done")
    for unit, state in (("1.1", "done"), ("1.2", "pending"), ("2.1", "pending")):
        site.task(night, Stage.BUILD, state, unit)
    other = site.night("20251106", "failed", kind=Kind.ENGINEERING)
    site.task(other, Stage.SYNC, "failed", error="no space", error_class="deterministic")

    archive, engineering = site.answer("status")["nights"]

    assert archive["stages"] == {
        "sync": "done",
        "frame_ids": "done",
        "build": "running",
        "manifest": "pending",
        "transfer": "pending",
        "verify": "pending",
    }
    assert archive["progress"]["build"] == {"done": 1, "total": 3, "running": 0}
    assert engineering["stages"] == {
        "sync": "failed",
        "build": "pending",
        "transfer": "pending",
        "verify": "pending",
    }
    assert engineering["cause"] == "no space"


def test_a_safe_night_has_all_stages_done(site: Site) -> None:
    site.night("20251106", "safe")

    (night,) = site.answer("status")["nights"]

    assert set(night["stages"].values()) == {TaskState.DONE}
    assert night["safe_since"] == "2025-11-06T15:00:00.000000Z"


def test_cubes_are_counted_by_what_became_of_them(site: Site) -> None:
    night = site.night("20251106", "running")
    first = site.cube(night, "vcam1_05:10:00.000000000", frames=10)
    site.cube(night, "vcam1_05:10:01.000000000", state="quarantined", reason="no timing file")
    site.cube(night, "vcam1_05:10:02.000000000", state="late")
    site.cube(night, "vcam1_05:10:03.000000000", state="gone")
    for ordinal, state in enumerate(("planned", "built", "verified")):
        site.output(night, ordinal, f"vcam1_{ordinal}", [(first, ordinal, 1, 1)], state=state)

    (said,) = site.answer("status")["nights"]

    counts = ("raw_files", "quarantined", "late", "outputs", "built", "verified")
    assert [said[name] for name in counts] == [2, 1, 1, 3, 2, 1]
    screen = site.said("status")
    assert "archive 20251106: 1 cube quarantined: vampd quarantine 20251106" in screen
    assert "archive 20251106: 1 cube held for its supplement: vampd explain 20251106" in screen


def test_a_failure_is_told_in_three_lines(site: Site) -> None:
    night = site.night("20251102", "failed")
    site.stages(night, Kind.ARCHIVE, Stage.VERIFY)
    site.execute(
        "update task set state = 'failed', error = ?, error_class = 'deterministic', attempts = 2"
        " where stage = 'transfer'",
        _REFUSED,
    )

    screen = site.said("status")

    assert "  what  failed: transfer, 2 times: rsync of archive 20251102 exited 23:" in screen
    assert "  safe  vampd changed no raw file" in screen
    assert "  next  make the folder, or mend rights, key, host" in screen
    screen = re.sub(r"\s+", " ", screen)
    assert "Permission denied (13)" in screen
    assert "then: vampd retry 20251102" in screen


def test_what_failed_is_told_before_what_only_waits(site: Site) -> None:
    night = site.night("20251102", "failed")
    for unit, state, error in (("1.1", "pending", "disk full"), ("2.1", "failed", "bad header")):
        site.task(night, Stage.BUILD, state, unit, error=error)

    assert "failed: build of 2.1: bad header" in site.said("status")
    assert site.answer("status")["nights"][0]["cause"] == "bad header"


def test_a_waiting_night_says_when_it_goes_on(site: Site) -> None:
    night = site.night("20251102", "waiting", cause="verify: ssh exited 255: No route")
    site.task(
        night,
        Stage.VERIFY,
        "pending",
        error="ssh exited 255: No route",
        error_class="transient",
        due_us=1_762_450_000_000_000,
    )

    screen = re.sub(r"\s+", " ", site.said("status"))

    assert "No route" in screen
    assert "it is tried again at 2025-11-06 17:26:40 UT (2025-11-06 07:26 HST)" in screen


def test_a_held_night_names_the_decision_and_the_kind_where_two_nights_share_a_date(
    site: Site,
) -> None:
    site.night("20251102", "held", cause="the reply was lost after the request was sent")
    site.night("20251102", "collecting", kind=Kind.ENGINEERING)

    screen = re.sub(r"\s+", " ", site.said("status"))

    assert "held: the reply was lost after the request was sent" in screen
    assert "then: vampd release 20251102 --kind archive" in screen


def test_a_night_held_by_failed_work_is_to_be_retried(site: Site) -> None:
    night = site.night("20251102", "held", cause="a.fits changed since it was recorded")
    site.task(night, Stage.BUILD, "failed", "1.1", error="a.fits changed since it was recorded")

    assert "then: vampd retry 20251102" in re.sub(r"\s+", " ", site.said("status"))


def test_when_all_is_well_there_are_three_lines(site: Site) -> None:
    site.daemon(stopped=False)
    for kind in Kind:
        site.root(kind)
    for day in range(1, 8):
        night = site.night(f"2025110{day}", "safe")
        site.stages(night, Kind.ARCHIVE, None)
        site.insert("scrubbed", night=night, oldest_us=SystemClock().now_us())
    site.night(dates.day(0), "collecting", cause="30 min without a change")

    with StateLock.acquire(site.state):
        lines = site.said("status").splitlines()
        everything = site.said("status", "--all").splitlines()

    assert len(lines) == 3
    assert lines[2] == (
        f"all well: archive {dates.day(0)} collects (0 cubes); 7 safe, last archive 20251107"
    )
    assert len(everything) == 2 + 3 + 8


def test_an_old_proof_leaves_three_lines_when_all_is_well(site: Site) -> None:
    site.daemon(stopped=False)
    for kind in Kind:
        site.root(kind)
    night = site.night("20251101", "safe")
    site.stages(night, Kind.ARCHIVE, None)
    now_us = SystemClock().now_us()
    site.execute("update task set finished_us = ?", now_us - 9 * HOUR_US)
    site.insert("scrubbed", night=night, oldest_us=now_us - 400 * DAY_US)

    with StateLock.acquire(site.state):
        lines = site.said("status").splitlines()

    assert len(lines) == 3
    assert "; copies proved 9.0 h to 400 days ago" in lines[1]


def test_the_screen_fits_80_columns_and_is_ascii_when_piped(site: Site) -> None:
    for day, status in enumerate(NightStatus, start=10):
        date = f"202511{day}"
        for kind in Kind:
            night = site.night(date, status, kind=kind, cause="ssh: connect: " + "no route " * 20)
            site.stages(night, kind, Stage.TRANSFER)
            for camera in (1, 2):
                site.cube(night, f"vcam{camera}_05:10:00.000000000", state="quarantined")

    screen = site.said("status")

    assert screen.isascii()
    assert max(map(len, screen.splitlines())) <= 80


def test_old_safe_nights_are_left_out_until_asked_for(site: Site) -> None:
    for day in range(RECENT + 2):
        site.night(f"2025{1 + day // 28:02}{1 + day % 28:02}", "safe")
    site.execute("update night set status = 'failed' where date = '20250101'")

    answer, everything = site.answer("status"), site.answer("status", "--all")

    dates = [night["date"] for night in answer["nights"]]
    assert answer["left_out"] == 1
    assert "20250101" in dates, "a night that needs somebody is never left out"
    assert "20250102" not in dates
    assert len(everything["nights"]) == RECENT + 2


def test_only_the_nights_asked_for_are_told(site: Site) -> None:
    for date in ("20251101", "20251102", "20251103"):
        site.night(date, "safe")

    answer = site.answer("status", "20251102..20251130")

    assert [night["date"] for night in answer["nights"]] == ["20251102", "20251103"]


def test_the_daemon_runs_when_somebody_holds_the_lock(site: Site) -> None:
    site.daemon(stopped=False)

    with StateLock.acquire(site.state):
        running = site.answer("status")["daemon"]
        screen = site.said("status")
    stopped = site.answer("status")["daemon"]

    assert (running["running"], running["pid"]) == (True, 4711)
    assert "  up " in screen
    assert "not running" not in screen
    assert (stopped["running"], stopped["pid"]) == (False, None)
    assert "ended unasked;\nlast heard 2025-11-06 15:00:00 UT" in site.said("status")


def test_a_daemon_that_stopped_says_since_when(site: Site) -> None:
    site.daemon(stopped=True)

    assert "daemon not running; stopped 2025-11-06 15:00:00 UT (2025-11-06 05:00 HST)" in site.said(
        "status"
    )


def test_an_absent_disk_is_told(site: Site) -> None:
    root = site.root(Kind.ARCHIVE)
    assert "ABSENT" not in site.said("status")
    (root / ".vampd-root").write_text("vampd-root 00000000-0000-0000-0000-000000000000\n")

    present = {root["kind"]: root["present"] for root in site.answer("status")["roots"]}

    assert present == {"archive": False, "engineering": True}
    assert f"ABSENT: root {root} (archive)" in site.said("status")


def test_a_root_that_no_daemon_ever_found_is_told(site: Site) -> None:
    root = site.root(Kind.ARCHIVE)
    before = site.said("status")
    site.daemon(stopped=False)

    said = site.said("status")

    assert "ABSENT" not in before
    assert f"ABSENT: root {root}" not in said
    assert "(engineering)" in said
    assert "vampd never found it" in said


def test_a_root_that_hangs_is_told_and_the_rest_is_shown(site: Site) -> None:
    site.night("20251106", "collecting")
    root = site.root(Kind.ARCHIVE)

    with hanging_disk(root):
        began = time.monotonic()
        said = site.said("status")
        took = time.monotonic() - began
        answer = {each["kind"]: each for each in site.answer("status")["roots"]}

    assert took < 10 * ROOT_SECONDS
    assert f"HANGS: root {root} (archive)" in said
    assert "20251106 collecting" in said
    assert (answer["archive"]["present"], answer["archive"]["answers"]) == (False, False)
    assert answer["engineering"]["answers"] is True


def test_a_reader_that_may_not_write_the_folder_still_reads_what_was_left(site: Site) -> None:
    site.night("20251106", "collecting")
    assert not Path(f"{site.ledger}-shm").exists(), "somebody has it open: this tests nothing"

    done = _as_nobody(site)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["nights"][0]["date"] == "20251106"


def test_commits_that_only_the_log_holds_are_never_left_unread(site: Site) -> None:
    """A daemon that was killed leaves them; a reader without rights must say that it cannot."""
    writer = sqlite3.connect(site.ledger)
    writer.execute("pragma wal_autocheckpoint = 0")
    writer.execute("update version set text = 'newer'")
    writer.commit()
    left = Path(f"{site.ledger}-wal").read_bytes()
    writer.close()
    Path(f"{site.ledger}-wal").write_bytes(left)

    done = _as_nobody(site)

    assert done.returncode == 1
    assert "This user may not read it" in done.stderr
    assert "put `sudo -u root` before the command" in done.stderr


def _as_nobody(site: Site) -> subprocess.CompletedProcess[str]:
    """`vampd status --json` by a user who may only read, as a copy that was given to him."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    for folder in (*site.folder.parents, site.folder, site.state):
        if not os.access(folder, os.X_OK) or folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(0o755)
    for path in site.state.iterdir():
        path.chmod(0o644)
    python = ["setpriv", "--reuid", "65534", "--clear-groups", sys.executable]
    if subprocess.run([*python, "-c", "import vampd"], check=False).returncode:
        pytest.skip("nobody may not run this Python")
    command = [*python, "-m", "vampd"]
    return subprocess.run(
        [*command, "--config", str(site.config), "status", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_ledger_that_a_writer_will_not_let_go_is_tried_again_later(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vampd.ledger.reading._BUSY_SECONDS", 0.1)
    writer = sqlite3.connect(site.ledger, isolation_level=None)
    writer.execute("pragma locking_mode = exclusive")
    writer.execute("begin exclusive")

    result = site.run("status")
    writer.close()

    assert isinstance(result.exception, RetryableError)
    assert "locked" in str(result.exception)


def test_a_ledger_of_another_version_is_told_from_a_broken_one(site: Site) -> None:
    site.execute("drop table daemon")
    other = site.run("status").exception
    site.ledger.write_bytes(b"nonsense" * 1000)
    for rest in ("-wal", "-shm"):
        Path(f"{site.ledger}{rest}").unlink(missing_ok=True)
    broken = site.run("status").exception

    assert "vampd admin migrate" in str(other)
    assert "not a database" in str(broken)
