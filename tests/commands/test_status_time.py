"""`vampd status` as it goes on (`--watch`), and as it was (`--at`)."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.ledger_site import NOW_US, Site
from vampd.errors import UsageError
from vampd.states import Stage


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    return site


def test_watch_needs_a_terminal_and_shows_the_present_alone(site: Site) -> None:
    for words in (("--watch",), ("--watch", "--json"), ("--watch", "--at", "2h")):
        assert isinstance(site.run("status", *words).exception, UsageError)


def test_watch_paints_again_and_ends_with_ctrl_c_as_a_success(site: Site) -> None:
    site.night("20251106", "collecting")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "vampd", "--config", str(site.config), "status", "--watch"]
    variables = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TERM": "xterm"}

    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=variables) as watching:
        os.close(theirs)
        first = _read_until(ours, b"20251106 collecting")
        site.execute("update night set status = 'held', hold = 'look first', cause = hold")
        second = _read_until(ours, b"look first")
        watching.send_signal(signal.SIGINT)
        rest = _read_until(ours, None)
        code = watching.wait(timeout=30)

    assert code == 0
    assert first.startswith(b"\x1b[?1049h\x1b[?25l"), "a second screen, without a cursor"
    assert b"\x1b[H" in second, "painted over, from the top"
    assert b"\x1b[?25h\x1b[?1049l" in rest, "the terminal is left as it was"
    assert b"look first" in rest.split(b"\x1b[?1049l")[1], "what was seen last stays to be read"


def _read_until(terminal: int, word: bytes | None) -> bytes:
    """What a terminal shows until *word*, or until nobody writes to it any more."""
    said = b""
    while word is None or word not in said:
        try:
            said += os.read(terminal, 65536)
        except OSError:  # how Linux says that the other end is closed
            return said
    return said


@pytest.fixture
def past(site: Site) -> Site:
    """A night that was closed at 17:00, failed to be sent at 18:00 and is safe since 19:00."""
    night = site.night("20251106", "collecting")
    cube = site.cube(night, "vcam1_05:10:00.000000000", frames=10)
    hour_us = 3_600_000_000
    stamp = "changed_us = ?1, changed_by = 'vampd', why = ?2"
    for hours, status, why in ((1, "running", "closed"), (2, "failed", "transfer: no such folder")):
        site.execute(
            f"update night set status = '{status}', cause = ?2, closed_us = ?1, {stamp}",
            NOW_US + hours * hour_us,
            why,
        )
    for stage in (Stage.SYNC, Stage.TRANSFER):
        site.task(night, stage, "pending")
    site.output(night, 0, "vcam1_05:10:00", [(cube, 0, 1, 10)], changed_us=NOW_US + hour_us)
    site.execute(f"update task set state = 'done', {stamp} where stage = 'sync'", NOW_US, None)
    transfer = "where stage = 'transfer'"
    failed_us = NOW_US + 2 * hour_us
    site.execute(
        f"update task set state = 'failed', {stamp} {transfer}", failed_us, "no such folder"
    )
    safe_us = NOW_US + 3 * hour_us
    site.execute(f"update task set state = 'done', {stamp} {transfer}", safe_us, None)
    site.execute(
        f"update night set status = 'safe', cause = null, safe_us = ?1, {stamp}", safe_us, None
    )
    site.night("20251107", "collecting")
    site.execute("update night set seen_us = ? where date = '20251107'", safe_us)
    site.execute("update event set at_us = ? where night = 2", safe_us)
    return site


def test_the_past_is_told_from_the_events(past: Site) -> None:
    def at(moment: str) -> list[dict[str, Any]]:
        answer = past.answer("status", "--at", moment)
        assert answer["at"] == f"{moment}:00.000000Z"
        found: list[dict[str, Any]] = answer["nights"]
        return found

    (collecting,) = at("2025-11-06T16:30")
    (running,) = at("2025-11-06T17:30")
    (failed,) = at("2025-11-06T18:30")
    safe, newer = at("2025-11-06T19:30")

    assert [each["status"] for each in (collecting, running, failed, safe, newer)] == [
        *("collecting", "running", "failed", "safe", "collecting"),
    ]
    assert (collecting["closed_at"], collecting["outputs"]) == (None, 0)
    assert (running["closed_by"], running["outputs"], running["safe_since"]) == (None, 1, None)
    assert failed["stages"]["transfer"] == "failed"
    assert failed["stages"]["sync"] == "done"
    assert failed["cause"] == "transfer: no such folder"
    assert safe["safe_since"] is not None


def test_the_screen_of_the_past_says_what_it_cannot_know(past: Site) -> None:
    said = past.said("status", "--at", "2025-11-06 08:30 HST")

    assert "as it was at 2025-11-06 18:30:00 UT (2025-11-06 08:30 HST)" in said
    assert "are in no event: not shown" in said
    assert "  what  failed: transfer: no such folder" in said
    assert "  next  " not in said
    assert "the daemon is not running" not in said


def test_before_the_first_event_nothing_is_known(past: Site) -> None:
    error = past.run("status", "--at", "2024-01-01").exception

    assert "events begin later" in str(error)
