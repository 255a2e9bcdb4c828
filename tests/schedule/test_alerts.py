"""Operators are told what is wrong, once, in one mail; and what is over."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_ledger import (
    DAY_US,
    SECOND_US,
    FakeClock,
    a_night,
    a_task,
    opened,
    settings,
)
from tests.support.mail_server import PostOffice, Received, post_office
from vampd.background.mail import alerts
from vampd.background.mail import job as mail
from vampd.background.mail.alerts import DiskJob
from vampd.io.disk import claim_root
from vampd.ledger.alerts import Condition, FoundDisk
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.schedule.executor import Outcome
from vampd.settings.sections import Config
from vampd.states import Severity, Stage
from vampd.views.conditions import conditions
from vampd.views.limits import limits as limits_of

FROM, OPERATOR = "vampd@example.org", "operator@example.org"
HOUR_US = 3600 * SECOND_US

_SETTINGS = """
[mail]
host = "127.0.0.1"
port = {port}
sender = "vampd@example.org"
answer_seconds = 10
deadline_seconds = 20
{mail}
[alerts]
recipients = ["operator@example.org"]
disk_free_gb = 0
{alerts}
"""


class Scene:
    """A ledger, a clock, a server, and one turn of the background jobs."""

    def __init__(self, folder: Path, ledger: Ledger, clock: FakeClock, office: PostOffice) -> None:
        self.folder, self.ledger, self.clock, self.office = folder, ledger, clock, office
        self.config = self.configured()

    def configured(self, *, mail: str = "", alerts: str = "") -> Config:
        values = {"port": self.office.port, "mail": mail, "alerts": alerts}
        self.config = settings(self.folder, _SETTINGS.format(**values))
        return self.config

    def night(self, date: str, status: str, cause: str | None = None) -> Night:
        night = a_night(self.ledger, date)
        now_us = self.ledger.now_us()
        self.ledger.update("night", night.id, status=status, cause=cause, closed_us=now_us)
        return night

    def turn(self, minutes: float = 1.5) -> list[Received]:
        """Let time pass, and do what is due; return the mails that came of it."""
        self.clock.pass_seconds(60 * minutes)
        before = len(self.office.accepted)
        job = alerts.due(self.ledger, self.config)
        if job is not None:
            outcome = Outcome(key=0, result=alerts.work(job))
            with self.ledger.transaction():
                alerts.record(self.ledger, self.config, job, outcome)
        mail.do_all(self.ledger, self.config)
        return self.office.accepted[before:]

    def conditions(self) -> list[Condition]:
        limits = limits_of(self.config)
        return conditions(self.ledger.connection, limits, self.ledger.now_us())


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    clock = FakeClock()
    settings(tmp_path)
    with post_office() as office, closing(opened(tmp_path / "state", clock)) as ledger:
        yield Scene(tmp_path, ledger, clock, office)


def test_all_that_is_wrong_comes_in_one_mail(scene: Scene) -> None:
    scene.night("20251101", "failed", "transfer: rsync: no space\nmore words")
    scene.night("20251102", "held", "raw file changed")

    (told,) = scene.turn()

    assert told.recipients == (OPERATOR,)
    assert "2 critical" in told.mail["Subject"]
    assert (
        "CRITICAL archive 20251101 failed: transfer: rsync: no space: look at it: vampd show 2"
        in told.text
    )
    assert "CRITICAL archive 20251102 held: raw file changed" in told.text
    assert "more words" not in told.text


def test_what_was_told_is_not_told_again_soon_but_once_a_day(scene: Scene) -> None:
    scene.night("20251101", "failed")
    scene.turn()

    again = [scene.turn(minutes=60) for _ in range(24)]

    assert [len(mails) for mails in again] == [0] * 23 + [1]
    assert again[-1][0].text.startswith("Still so:\n")


def test_something_new_is_told_when_the_last_mail_is_long_enough_ago(scene: Scene) -> None:
    scene.night("20251101", "failed")
    scene.turn()
    scene.night("20251102", "failed")

    soon = scene.turn(minutes=5)
    (later,) = scene.turn(minutes=26)

    assert soon == []
    assert later.text.startswith("New:\n  CRITICAL archive 20251102 failed")
    assert "Still so:\n  CRITICAL archive 20251101 failed" in later.text


def test_what_is_over_is_told_too(scene: Scene) -> None:
    night = scene.night("20251101", "failed")
    scene.turn()
    scene.ledger.update("night", night.id, status="safe")

    (told,) = scene.turn(minutes=31)
    after = scene.turn(minutes=31)

    assert "all is well again" in told.mail["Subject"]
    assert "Over, or dealt with:\n  CRITICAL archive 20251101 failed" in told.text
    assert after == []


def test_what_came_and_went_between_two_mails_is_not_told(scene: Scene) -> None:
    scene.night("20251101", "failed")
    scene.turn()
    night = scene.night("20251102", "failed")
    scene.turn(minutes=5)
    scene.ledger.update("night", night.id, status="running")

    assert scene.turn(minutes=31) == []


def test_an_alert_waits_for_a_server_that_is_away_and_goes_out_once(scene: Scene) -> None:
    scene.night("20251101", "failed")
    scene.office.senders.extend(["451 away"] * 3)

    at_first = scene.turn()
    scene.office.senders.extend(["451 away"] * 90)
    for day in range(2, 5):
        scene.night(f"2025110{day}", "failed")
        scene.turn(minutes=31)
    kept = scene.ledger.value("select count(*) from mail")
    scene.office.senders.clear()
    later = [told for _ in range(30) for told in scene.turn(minutes=5)]

    assert at_first == []
    assert kept == 1
    assert ["1 critical" in told.mail["Subject"] for told in later] == [True, False]


def test_an_alert_that_was_refused_for_good_is_told_again(scene: Scene) -> None:
    scene.night("20251101", "failed")
    scene.office.addresses[OPERATOR] = "550 who?"
    for _ in range(2):
        scene.turn(minutes=31)
    scene.office.addresses.clear()

    soon = scene.turn(minutes=5)
    known = _names(scene.conditions())
    (later,) = scene.turn(minutes=31)

    assert soon == []
    assert known == ["failed:1", "alerts"]
    assert "CRITICAL the last mail with alerts was refused" in later.text
    assert "CRITICAL archive 20251101 failed" in later.text


def test_without_recipients_nobody_is_told_and_the_alerts_are_kept(scene: Scene) -> None:
    scene.night("20251101", "failed")
    scene.config = settings(scene.folder)

    assert scene.turn() == []
    assert scene.ledger.value("select over_us is null from alert where name = 'failed:1'")


def test_disks_are_looked_at_once_in_a_while(scene: Scene) -> None:
    scene.turn()

    assert alerts.due(scene.ledger, scene.config) is None
    paths = [row["path"] for row in scene.ledger.rows("select path from disk order by path")]
    assert paths == [str(scene.folder / "archive"), str(scene.folder / "state")]
    free = os.statvfs(scene.folder)
    (total,) = {row["total_bytes"] for row in scene.ledger.rows("select * from disk")}
    assert total == free.f_blocks * free.f_frsize


def test_a_full_and_an_absent_disk_are_told(scene: Scene) -> None:
    archive = scene.folder / "archive"
    marker = claim_root(archive)
    scene.ledger.insert("root", path=str(archive), marker=marker, claimed_us=1)
    scene.configured(alerts="every_minutes = 0")
    scene.config = settings(
        scene.folder,
        _SETTINGS.format(port=scene.office.port, mail="", alerts="every_minutes = 0").replace(
            "disk_free_gb = 0", "disk_free_gb = 1e9"
        ),
    )

    (low,) = scene.turn()
    (archive / ".vampd-root").unlink()
    scene.turn()

    assert f"WARNING  {archive}: " in low.text
    assert "GB free: make room" in low.text
    worst = scene.conditions()[0]
    assert worst.severity is Severity.CRITICAL
    assert worst.text == f"{archive}: its disk is absent, or another one: mount it"


def _names(found: list[Condition]) -> list[str]:
    return [each.name for each in found]


def test_a_command_that_failed_after_safe_is_told_and_its_night_is_not_in_trouble(
    scene: Scene,
) -> None:
    night = scene.night("20251101", "safe")
    scene.ledger.insert(
        "hook_run",
        night=night.id,
        batch=1,
        command="reduce {night}",
        state="failed",
        error="exited 3:\nno node is free",
        **scene.ledger.stamp(),
    )

    [told] = scene.conditions()

    assert told.severity is Severity.WARNING
    assert "reduce {night}: exited 3" in told.text
    assert "vampd admin hooks 20251101" in told.text


def test_a_night_that_waits_for_somebody_is_told_once_that_lasts(scene: Scene) -> None:
    night = scene.night("20251101", "waiting", "nobody knows why")

    early = _names(scene.conditions())
    scene.clock.pass_seconds(31 * 60)

    assert early == []
    assert _names(scene.conditions()) == [f"waiting:{night.id}"]


def test_a_night_that_gets_nowhere_is_stalled_and_one_that_goes_on_is_not(scene: Scene) -> None:
    stuck, busy = (scene.night(date, "running") for date in ("20251101", "20251102"))
    task = a_task(scene.ledger, busy.id, Stage.BUILD, "1.1")
    scene.clock.pass_seconds(13 * 3600)
    scene.ledger.update("task", task, state="done", finished_us=scene.ledger.now_us() - HOUR_US)

    assert _names(scene.conditions()) == [f"stalled:{stuck.id}"]
    assert "nothing got done for 13 h" in scene.conditions()[0].text


def test_a_night_that_does_not_close_is_told(scene: Scene) -> None:
    night = scene.night("20251101", "collecting")
    scene.clock.pass_seconds(14 * 3600)

    assert _names(scene.conditions()) == [f"unclosed:{night.id}"]


def test_copies_that_nobody_moved_on_are_told(scene: Scene) -> None:
    night = scene.night("20251101", "waiting")
    _deliverable(scene, night, "a", verdict="elsewhere", sent_us=scene.ledger.now_us())
    scene.ledger.update("night", night.id, status="safe")

    before = scene.conditions()
    scene.clock.pass_seconds(25 * 3600)

    assert before == []
    assert _names(scene.conditions()) == [f"unmoved:{night.id}"]


def test_a_mail_that_the_archive_never_answered_is_recalled_to_mind(scene: Scene) -> None:
    night = scene.night("20251101", "safe")
    scene.configured(mail='recipients = ["archive@example.org"]\ndata_host = "scexao5"')
    number = scene.ledger.insert("mail", state="wanted", **scene.ledger.stamp())
    scene.ledger.insert(
        "mail_night", mail=number, night=night.id, batch=1, manifest="m", manifest_sha256="0"
    )
    scene.ledger.update("mail", number, state="failed", error="550 no", failing_since_us=1)

    failed = scene.conditions()
    sent_us = scene.ledger.now_us()
    scene.ledger.update("mail", number, state="failed", error=None)
    scene.ledger.execute(
        "update mail set state = 'sent', content = x'41', composed_us = 1, message_id = '<a@b>',"
        " sent_us = ?",
        [sent_us],
    )
    young = scene.conditions()
    scene.clock.pass_seconds(7.1 * DAY_US / SECOND_US)

    assert _names(failed) == [f"mail:{night.id}.1"]
    assert young == []
    assert _names(scene.conditions()) == [f"unacked:{night.id}.1"]
    assert "mailed 7 days ago" in scene.conditions()[0].text


def _deliverable(scene: Scene, night: Night, path: str, **values: Any) -> None:
    scene.ledger.insert(
        "deliverable", night=night.id, path=path, size_bytes=1, sha256="0", **values
    )


def test_a_disk_that_does_not_answer_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "_ANSWER_SECONDS", 0.1)
    answers = threading.Event()

    def hang(_path: Path) -> None:
        answers.wait(60)
        raise OSError

    monkeypatch.setattr(os, "statvfs", hang)

    found = alerts.work([DiskJob(path="/hangs", marker=None)])
    answers.set()

    assert found == [FoundDisk(path="/hangs")]


def test_a_coder_that_errs_is_told_until_a_daemon_starts_with_a_right_one(scene: Scene) -> None:
    def started(trouble: str | None) -> list[str]:
        now_us = scene.ledger.now_us()
        scene.ledger.insert(
            "daemon",
            started_us=now_us,
            pid=1,
            version="1",
            heard_us=now_us,
            coder_trouble=trouble,
        )
        return [each.text for each in scene.conditions()]

    assert started("Rice coder: not our own, which errs") == [
        "Rice coder: not our own, which errs: vampd admin doctor"
    ]
    assert started(None) == []
