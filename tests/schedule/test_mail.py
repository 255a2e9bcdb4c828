"""The mail to the archive: composed once, kept, sent until it is taken, never another one."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_ledger import FakeClock, a_night, a_task, opened, reread, settings
from tests.support.mail_server import DROP, PostOffice, post_office
from vampd.background.mail import job as mail_job
from vampd.causes import Cause
from vampd.errors import ConfigError, OperatorError
from vampd.io.mail_values import Composed
from vampd.ledger import mail as mail_moves
from vampd.ledger import mail_tracks, nights
from vampd.ledger.connection import Ledger
from vampd.ledger.mail_tracks import MailTrack, Track
from vampd.ledger.records import Night
from vampd.orders.night import Orders
from vampd.schedule.executor import Outcome
from vampd.schedule.workers import Workers
from vampd.settings.sections import Config
from vampd.states import HoldCode, Kind, Stage

FROM, ARCHIVE, COPY = "vampd@example.org", "archive@example.org", "pi@example.org"

_SETTINGS = """
[mail]
host = "127.0.0.1"
port = {port}
sender = "{sender}"
recipients = ["{to}"]
copies = {copies}
data_host = "scexao5 (10.0.0.5)"
mode = "{mode}"
answer_seconds = 10
deadline_seconds = 20
largest_mb = {largest_mb}
[retry]
first_seconds = 30
"""


class Scene:
    """Nights whose files were delivered, a server, and the background job."""

    def __init__(self, folder: Path, ledger: Ledger, clock: FakeClock, office: PostOffice) -> None:
        self.folder, self.ledger, self.clock, self.office = folder, ledger, clock, office
        self.config = self.configured()

    def configured(self, **changes: Any) -> Config:
        values = {
            "port": self.office.port,
            "sender": FROM,
            "to": ARCHIVE,
            "copies": "[]",
            "mode": "ask",
            "largest_mb": 8.0,
        }
        self.config = settings(self.folder, _SETTINGS.format(**(values | changes)))
        return self.config

    def night(
        self, date: str, *, verified: bool = True, files: int = 2, first: int | None = None
    ) -> Night:
        """A delivered archive night, with its manifest on disk."""
        night = a_night(self.ledger, date)
        folder = self.folder / "archive" / date
        folder.mkdir(parents=True, exist_ok=True)
        self.ledger.update("night", night.id, folder=str(folder), closed_us=1, status="safe")
        self.add_batch(reread(self.ledger, night), 1, files, first, verified=verified)
        return reread(self.ledger, night)

    def add_batch(
        self, night: Night, batch: int, files: int = 2, first: int | None = None, *, verified: bool
    ) -> None:
        number = first if first is not None else int(night.date[4:]) * 1000 + batch * 100
        rows = [
            f"VMPA{number + n:08d}|{night.folder}/vgen2/VMPA{number + n:08d}.fits.fz|{1000 + n}"
            for n in range(files)
        ]
        ending = "" if batch == 1 else f".{batch}"
        path = f"manifest_VMP_{night.date}{ending}.csv"
        content = "".join(f"{row}\n" for row in rows).encode()
        (Path(night.folder) / path).write_bytes(content)
        now_us = self.ledger.now_us()
        for name, text in ((path, content), (f"vgen2/{batch}.fits.fz", b"cube")):
            self.ledger.insert(
                "deliverable",
                night=night.id,
                batch=batch,
                path=name,
                size_bytes=len(text),
                sha256=hashlib.sha256(text).hexdigest(),
                verified_us=now_us if verified else None,
                verdict="verified" if verified else None,
            )
        if batch == 1:
            task = a_task(self.ledger, night.id, Stage.VERIFY)
            self.ledger.update("task", task, state="done" if verified else "pending")
            self.ledger.update("task", task, finished_us=now_us)

    def verify(self, night: Night) -> None:
        """Now the last file of it was found right at the far end."""
        now_us = self.ledger.now_us()
        self.ledger.execute(
            "update deliverable set verified_us = ?, verdict = 'verified' where night = ?",
            [now_us, night.id],
        )
        self.ledger.execute(
            "update task set state = 'done', finished_us = ? where night = ?", [now_us, night.id]
        )

    def send(self, *rows: Night, dry_run: bool = False, anew: str | None = None) -> list[str]:
        """The operator's word."""
        asked = [{"kind": row.kind, "date": row.date} for row in rows]
        return self.order("mail", date=None, nights=asked, anew=anew, dry_run=dry_run)

    def ack(self, night: Night, **arguments: Any) -> list[str]:
        named = {"kind": night.kind, "date": night.date, "dry_run": False}
        return self.order("ack", **(named | arguments))

    def order(self, order: str, **arguments: Any) -> list[str]:
        answer = Orders(self.ledger, self.config).carry_out(order, arguments, "uid 7 (somebody)")
        return list(answer["lines"])

    def work(self) -> None:
        """All that is due now, in this process."""
        mail_job.do_all(self.ledger, self.config)

    def track(self, night: Night) -> MailTrack:
        return mail_tracks.night_track(self.ledger.connection, night.id, configured=True)

    def contents(self) -> list[bytes]:
        return [received.content for received in self.office.received]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    clock = FakeClock()
    settings(tmp_path)
    with post_office() as office, closing(opened(tmp_path / "state", clock)) as ledger:
        yield Scene(tmp_path, ledger, clock, office)


def test_a_verified_night_is_mailed_on_an_operators_word(scene: Scene) -> None:
    night = scene.night("20251106", first=425189)

    scene.work()
    before = scene.contents()
    scene.send(night)
    scene.work()

    assert before == []
    (received,) = scene.office.accepted
    manifest = Path(night.folder) / "manifest_VMP_20251106.csv"
    assert received.attachment == manifest.read_bytes()
    assert received.mail["Subject"] == "VAMPIRES 20251106: 2 files for the archive"
    assert received.mail["Date"] == "Thu, 06 Nov 2025 16:00:00 +0000"
    assert "scexao5 (10.0.0.5)" in received.text
    assert "VMPA00425189 to VMPA00425190" in received.text
    assert hashlib.sha256(manifest.read_bytes()).hexdigest() in received.text
    assert (received.sender, received.recipients) == (FROM, (ARCHIVE,))
    track = scene.track(night)
    assert track.state is Track.SENT
    assert track.message_id == received.mail["Message-ID"]


def test_in_mode_auto_it_needs_no_word(scene: Scene) -> None:
    scene.configured(mode="auto")
    night = scene.night("20251106")

    scene.work()

    assert scene.track(night).state is Track.SENT
    assert len(scene.office.accepted) == 1


def test_nothing_is_composed_before_the_last_file_is_verified(scene: Scene) -> None:
    scene.configured(mode="auto")
    night = scene.night("20251106", verified=False)
    scene.ledger.execute("update deliverable set verified_us = 1 where path like 'manifest%'")
    scene.ledger.execute("update task set state = 'done'")

    scene.work()
    with pytest.raises(OperatorError, match="not every file of it is verified"):
        scene.send(night)

    assert scene.ledger.value("select count(*) from mail") == 0
    assert scene.track(night).state is Track.NOT_YET


def test_a_mail_that_was_asked_for_waits_while_a_copy_is_in_doubt_again(scene: Scene) -> None:
    night = scene.night("20251106")
    scene.send(night)
    scene.ledger.execute("update deliverable set verified_us = null where path like 'vgen2%'")

    scene.work()
    waiting = scene.contents()
    scene.verify(night)
    scene.clock.pass_seconds(60)
    scene.work()

    assert waiting == []
    assert scene.track(night).state is Track.SENT


def test_nights_that_are_ready_together_go_in_one_mail_with_one_manifest(scene: Scene) -> None:
    older, younger = scene.night("20251101", first=300), scene.night("20251106", first=400)
    waiting = scene.night("20251107", verified=False)

    lines = scene.send(older, younger, waiting)
    scene.work()

    (received,) = scene.office.accepted
    manifests = [
        (Path(night.folder) / f"manifest_VMP_{night.date}.csv").read_bytes()
        for night in (older, younger)
    ]
    assert received.attachment == b"".join(manifests)
    (part,) = received.mail.iter_attachments()
    assert part.get_filename() == "manifest_VMP_20251101-20251106.csv"
    assert "20251101, 20251106: 4 files" in received.mail["Subject"]
    assert scene.track(older).message_id == scene.track(younger).message_id
    assert "not every file of it is verified" in lines[2]


def test_in_mode_auto_a_night_waits_for_those_at_work_but_not_for_ever(scene: Scene) -> None:
    scene.configured(mode="auto")
    older = scene.night("20251101", verified=False)
    scene.ledger.update("night", older.id, status="running")
    younger = scene.night("20251106")
    late = scene.night("20251107", verified=False)
    scene.ledger.update("night", late.id, status="waiting")

    scene.work()
    at_first = scene.contents()
    scene.clock.pass_seconds(1800)
    scene.verify(older)
    scene.ledger.update("night", older.id, status="safe")
    scene.work()
    after_half_an_hour = scene.contents()
    scene.clock.pass_seconds(1800)
    scene.work()

    assert at_first == after_half_an_hour == []
    (received,) = scene.office.accepted
    assert "20251101, 20251106" in received.mail["Subject"]
    assert scene.track(late).state is Track.NOT_YET
    assert scene.track(younger).state is Track.SENT


def test_in_mode_auto_nights_of_long_ago_need_a_word(scene: Scene) -> None:
    scene.configured(mode="auto")
    night = scene.night("20251106")
    scene.clock.pass_seconds(8 * 86400)

    scene.work()

    assert scene.track(night).state is Track.READY
    assert scene.contents() == []


def test_a_mail_takes_no_more_manifests_than_fit(scene: Scene) -> None:
    scene.configured(largest_mb=0.000_2)
    rows = [scene.night(f"2025110{day}") for day in (1, 2, 3)]

    scene.send(*rows)
    scene.work()

    assert len(scene.office.accepted) == 3


def test_twice_asked_is_once_sent(scene: Scene) -> None:
    night = scene.night("20251106")

    for _ in range(2):
        scene.send(night)
        scene.work()

    assert len(scene.contents()) == 1
    assert str(scene.track(night).message_id) in scene.send(night)[0]


def test_a_busy_server_is_asked_again_later_and_later(scene: Scene) -> None:
    night = scene.night("20251106")
    scene.office.contents.extend(["451 busy"] * 4)
    scene.send(night)

    pauses = []
    for _ in range(4):
        scene.work()
        track = scene.track(night)
        pauses.append((track.due_us - scene.ledger.now_us()) / 1e6)
        assert track.state is Track.SENDING
        assert "451 busy" in str(track.error)
        scene.work()
        scene.clock.pass_seconds(pauses[-1])
    scene.work()

    assert pauses == [30, 30, 60, 120]
    assert len(scene.contents()) == 5
    assert len(set(scene.contents())) == 1
    assert scene.track(night).state is Track.SENT


def test_a_mail_refused_for_good_waits_for_a_person_and_is_composed_anew(scene: Scene) -> None:
    night = scene.night("20251106")
    scene.office.addresses[ARCHIVE] = "550 no such user"
    scene.send(night)
    scene.work()
    failed = scene.track(night)
    scene.clock.pass_seconds(86400)
    scene.work()

    scene.configured(to="right@example.org")
    scene.send(night)
    scene.work()

    assert failed.state is Track.FAILED
    assert failed.refused == (ARCHIVE,)
    assert "550 no such user" in str(failed.error)
    (received,) = scene.office.received
    assert received.recipients == ("right@example.org",)
    assert received.mail["To"] == "right@example.org"
    assert scene.track(night).state is Track.SENT


def test_who_has_the_mail_is_not_sent_it_again(scene: Scene) -> None:
    scene.configured(copies=f'["{COPY}"]')
    night = scene.night("20251106")
    scene.office.addresses[COPY] = "550 moved away"
    scene.send(night)
    scene.work()
    failed = scene.track(night)

    scene.configured(copies='["new@example.org"]')
    scene.send(night)
    scene.work()

    assert failed.state is Track.FAILED
    assert (failed.accepted, failed.refused) == ((ARCHIVE,), (COPY,))
    first, second = scene.office.accepted
    assert (first.recipients, second.recipients) == ((ARCHIVE,), ("new@example.org",))
    assert first.content == second.content
    assert scene.track(night).state is Track.SENT


def test_a_recipient_who_is_put_off_gets_it_later_alone(scene: Scene) -> None:
    scene.configured(copies=f'["{COPY}"]')
    night = scene.night("20251106")
    scene.office.addresses[COPY] = "450 greylisted"
    scene.send(night)
    scene.work()
    scene.office.addresses.clear()
    scene.clock.pass_seconds(60)
    scene.work()

    assert [received.recipients for received in scene.office.accepted] == [(ARCHIVE,), (COPY,)]
    assert scene.track(night).state is Track.SENT


def test_a_lost_answer_makes_the_same_bytes_go_out_again(scene: Scene) -> None:
    night = scene.night("20251106")
    scene.office.contents.append(DROP)
    scene.send(night)
    scene.work()
    doubtful = scene.track(night)

    # Neither new settings nor another day change what was composed.
    scene.configured(to="other@example.org")
    scene.clock.pass_seconds(86400)
    scene.work()

    first, second = scene.office.received
    assert doubtful.in_doubt
    assert first == second
    assert not scene.track(night).in_doubt


def test_a_doubtful_mail_that_is_refused_later_is_never_composed_anew(scene: Scene) -> None:
    night = scene.night("20251106")
    scene.office.contents.extend([DROP, "554 spam"])
    scene.send(night)
    scene.work()
    scene.clock.pass_seconds(60)
    scene.work()
    failed = scene.track(night)
    scene.configured(to="other@example.org")

    scene.send(night)
    scene.work()

    assert failed.state is Track.FAILED
    first, second, third = scene.office.received
    assert first.content == second.content == third.content
    assert third.recipients == ("other@example.org",)


def _take_one(workers: Workers) -> Any:
    while True:
        assert wait(workers.pipes(), timeout=60), "no worker said anything"
        for outcome in workers.finished():
            return outcome


def test_a_worker_killed_after_the_server_took_it_makes_the_same_bytes_go_out_again(
    scene: Scene,
) -> None:
    night = scene.night("20251106")
    scene.send(night)
    workers = Workers(nice=0)
    try:
        job = mail_job.due(scene.ledger, scene.config)
        assert job is not None
        mail_job.record(scene.ledger, scene.config, job, _run(workers, job))
        job = mail_job.due(scene.ledger, scene.config)
        assert job is not None
        scene.office.may_speak.clear()
        workers.submit(mail_job.work, job)
        assert scene.office.came.wait(60)
        (process,) = [seat.process for seat in workers._seats.values()]
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        outcome = _take_one(workers)
        scene.office.may_speak.set()
        mail_job.record(scene.ledger, scene.config, job, outcome)
    finally:
        workers.stop()
    killed = scene.track(night)
    scene.clock.pass_seconds(60)
    scene.work()

    assert outcome.crashed
    assert killed.in_doubt
    first, second = scene.office.received
    assert first == second
    assert scene.track(night).state is Track.SENT


def _run(workers: Workers, job: Any) -> Any:
    workers.submit(mail_job.work, job)
    return _take_one(workers)


def test_a_daemon_that_died_while_it_sent_sends_the_same_bytes_again(
    scene: Scene, tmp_path: Path
) -> None:
    night = scene.night("20251106")
    scene.send(night)
    for _ in range(2):  # composed; then taken by the server, and nobody records it
        job = mail_job.due(scene.ledger, scene.config)
        assert job is not None
        result = mail_job.work(job)
        if isinstance(result.found, Composed):
            mail_moves.store(
                scene.ledger,
                mail_moves.get_mail(scene.ledger, job.mail),
                result.found,
                FROM,
                [ARCHIVE],
            )
    scene.ledger.close()

    with closing(opened(tmp_path / "state", scene.clock)) as again:
        scene.ledger = again
        scene.clock.pass_seconds(3600)
        before = scene.track(night)
        scene.work()

        assert before.in_doubt
        assert scene.track(night).state is Track.SENT
    first, second = scene.office.received
    assert first == second


def test_an_answer_to_an_attempt_that_is_not_the_last_is_dropped(scene: Scene) -> None:
    night = scene.night("20251106")
    scene.send(night)
    job = _composed(scene)
    answered = mail_job.work(job)
    mail_moves.begin(scene.ledger, mail_moves.get_mail(scene.ledger, job.mail))

    mail_job.record(scene.ledger, scene.config, job, Outcome(key=0, result=answered))

    track = scene.track(night)
    assert (track.state, track.in_doubt) == (Track.SENDING, True)


def _composed(scene: Scene) -> Any:
    """The job that sends the mail which was asked for."""
    job = mail_job.due(scene.ledger, scene.config)
    assert job is not None
    mail_job.record(scene.ledger, scene.config, job, Outcome(key=0, result=mail_job.work(job)))
    return mail_job.due(scene.ledger, scene.config)


def test_a_changed_manifest_is_not_mailed(scene: Scene) -> None:
    night = scene.night("20251106")
    (Path(night.folder) / "manifest_VMP_20251106.csv").write_text("VMPA00000001|/x|1\n")
    scene.send(night)

    scene.work()

    assert scene.contents() == []
    track = scene.track(night)
    assert track.state is Track.FAILED
    assert "was delivered for archive 20251106" in str(track.error)


def test_a_mail_that_was_composed_is_taken_back_when_its_manifest_changes(scene: Scene) -> None:
    night = scene.night("20251106")
    scene.send(night)
    job = mail_job.due(scene.ledger, scene.config)
    assert job is not None
    mail_job.record(scene.ledger, scene.config, job, Outcome(key=0, result=mail_job.work(job)))
    composed = scene.ledger.value("select state from mail")
    scene.ledger.execute("update deliverable set sha256 = ? where path like 'm%'", ["0" * 64])

    scene.work()

    assert composed == "composed"
    assert scene.contents() == []
    assert scene.ledger.value("select state from mail") == "withdrawn"


def test_a_night_restored_before_it_was_mailed_takes_its_mail_back(scene: Scene) -> None:
    night = scene.night("20251106")
    scene.send(night)
    scene.ledger.execute("delete from deliverable")

    scene.work()

    assert scene.contents() == []
    assert scene.track(night).state is Track.NOT_YET
    assert scene.ledger.value("select state from mail") == "withdrawn"


def test_a_night_that_comes_out_otherwise_after_its_mail_is_never_mailed_again(
    scene: Scene,
) -> None:
    scene.configured(mode="auto")
    night = scene.night("20251106")
    scene.work()
    scene.ledger.execute("update deliverable set sha256 = ? where path like 'm%'", ["0" * 64])

    scene.work()
    with pytest.raises(OperatorError, match="never sends a second"):
        scene.send(night)

    assert scene.track(night).state is Track.CHANGED
    assert len(scene.contents()) == 1


def test_a_doubtful_mail_is_composed_anew_when_the_archive_never_got_it(scene: Scene) -> None:
    changed, other = scene.night("20251105"), scene.night("20251106")
    scene.office.contents.append(DROP)
    scene.send(changed, other)
    scene.work()
    scene.ledger.execute(
        "update deliverable set sha256 = ? where path = 'manifest_VMP_20251105.csv'", ["0" * 64]
    )
    scene.clock.pass_seconds(60)
    scene.work()

    with pytest.raises(OperatorError, match="another manifest of archive 20251105"):
        scene.send(other)
    scene.send(other, anew="they told so by telephone")
    scene.work()

    assert [received.mail["Subject"] for received in scene.office.accepted] == [
        "VAMPIRES 20251106: 2 files for the archive"
    ]
    assert scene.track(other).state is Track.SENT
    scene.ledger.execute("update deliverable set sha256 = ? where path like 'm%'", ["0" * 64])
    with pytest.raises(OperatorError, match="the server took its mail"):
        scene.send(other, anew="once more")


def test_a_supplement_has_a_mail_of_its_own(scene: Scene) -> None:
    night = scene.night("20251106")
    scene.send(night)
    scene.work()
    scene.ack(night)
    scene.add_batch(night, 2, verified=True)
    before = mail_tracks.acknowledged_batch(scene.ledger.connection, night.id)

    scene.send(night)
    scene.work()
    scene.ack(night, note="RE: VAMPIRES")

    first, second = scene.office.accepted
    assert first.mail["Message-ID"] != second.mail["Message-ID"]
    assert "20251106 (part 2)" in second.mail["Subject"]
    (part,) = second.mail.iter_attachments()
    assert part.get_filename() == "manifest_VMP_20251106.2.csv"
    assert before == 1
    assert mail_tracks.acknowledged_batch(scene.ledger.connection, night.id) == 2
    assert scene.track(night).note == "RE: VAMPIRES"


def test_only_what_was_mailed_is_acknowledged_unless_forced(scene: Scene) -> None:
    night = scene.night("20251106")

    with pytest.raises(OperatorError, match="never mailed"):
        scene.ack(night)
    scene.ack(night, force=True, why="mailed by hand")

    assert scene.track(night).state is Track.ACKNOWLEDGED
    assert mail_tracks.acknowledged_batch(scene.ledger.connection, night.id) == 1
    assert scene.ack(night) == ["the archive's word is recorded already"]


def test_an_acknowledgement_counts_only_for_the_manifest_of_its_time(scene: Scene) -> None:
    night = scene.night("20251106")
    scene.send(night)
    scene.work()
    scene.ack(night)

    scene.ledger.execute("update deliverable set sha256 = ? where path like 'm%'", ["0" * 64])

    assert mail_tracks.acknowledged_batch(scene.ledger.connection, night.id) == 0
    assert scene.track(night).state is Track.CHANGED


def test_an_acknowledgement_given_by_mistake_is_taken_back(scene: Scene) -> None:
    night = scene.night("20251106")
    scene.send(night)
    scene.work()
    scene.ack(night)

    scene.ack(night, revoke=True, why="the wrong date")

    assert scene.track(night).state is Track.SENT
    assert mail_tracks.acknowledged_batch(scene.ledger.connection, night.id) == 0
    words = scene.ledger.rows("select became from event where subject = 'ack' order by id")
    assert [row["became"] for row in words] == ["acknowledged", "revoked"]


def test_the_archives_word_ends_the_doubt(scene: Scene) -> None:
    night = scene.night("20251106")
    scene.office.contents.append(DROP)
    scene.send(night)
    scene.work()

    scene.ack(night)
    scene.clock.pass_seconds(60)
    scene.work()

    assert len(scene.contents()) == 1
    assert scene.track(night).state is Track.ACKNOWLEDGED


def test_without_settings_nothing_is_asked_and_nothing_waits(scene: Scene) -> None:
    night = scene.night("20251106")
    scene.config = settings(scene.folder)

    scene.work()
    with pytest.raises(ConfigError, match="nobody is to be told"):
        scene.send(night)

    track = mail_tracks.night_track(scene.ledger.connection, night.id, configured=False)
    assert track.state is Track.NOT_CONFIGURED


def test_engineering_nights_have_no_mail(scene: Scene) -> None:
    night = a_night(scene.ledger, "20251106", Kind.ENGINEERING)

    assert scene.track(night).state is Track.NONE
    with pytest.raises(OperatorError, match="no mail belongs to it"):
        scene.ack(night)


def test_a_held_night_is_not_mailed(scene: Scene) -> None:
    scene.configured(mode="auto")
    night = scene.night("20251106")
    nights.hold(scene.ledger, night.id, Cause(HoldCode.ORDER, {"why": "quality"}))

    scene.work()
    with pytest.raises(OperatorError, match="is held: quality"):
        scene.send(night)

    assert scene.contents() == []


def test_a_dry_run_asks_for_nothing(scene: Scene) -> None:
    night = scene.night("20251106")

    lines = scene.send(night, dry_run=True)
    scene.work()

    assert lines == ["archive 20251106: its manifest is mailed"]
    assert scene.contents() == []


def test_the_bytes_of_a_mail_cannot_be_changed_nor_a_mail_forgotten(scene: Scene) -> None:
    night = scene.night("20251106")
    scene.send(night)
    scene.work()

    for statement in ("update mail set content = x'00'", "delete from mail", "delete from ack"):
        if "ack" in statement:
            scene.ack(night)
        with pytest.raises(Exception, match=r"never change|never forgotten"):
            scene.ledger.execute(statement)


def test_every_move_of_a_mail_is_an_event_of_its_night(scene: Scene) -> None:
    night = scene.night("20251106")
    scene.send(night)
    scene.work()

    rows = scene.ledger.rows(
        "select was, became, actor from event where subject = 'mail' and night = ? order by id",
        [night.id],
    )
    assert [(row["was"], row["became"]) for row in rows] == [
        (None, "wanted"),
        ("wanted", "composed"),
        ("composed", "sent"),
    ]
    assert rows[0]["actor"] == "uid 7 (somebody)"
