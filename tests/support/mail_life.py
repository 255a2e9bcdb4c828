"""Some weeks of mail, as chance has it: moods of the server, crashes, orders, restores, clocks.

After every step it holds that what the server took about one batch of a night is always one and the
same mail, that all files of the night were verified when it was sent, and that its attachment is
made of the manifests that were delivered.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from tests.schedule.test_mail import ARCHIVE, Scene
from tests.support.mail_server import DROP, Received
from vampd.background.mail import job as mail_job
from vampd.errors import OperatorError, VampdError
from vampd.ledger import mail_tracks
from vampd.ledger.mail_tracks import MailTrack, Track
from vampd.ledger.records import Night
from vampd.schedule.executor import Outcome

_DATES = ("20251101", "20251102", "20251103")
_ANSWERS = ("250 OK", "451 busy", "554 spam", DROP)
_SETTLED = {Track.SENT, Track.ACKNOWLEDGED, Track.CHANGED}
_OTHER = "other@example.org"


class Life:
    """One course of events, decided by a seed."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self.scene = scene
        self.chance = random.Random(seed)
        self.said: list[str] = []
        self.taken: dict[str, set[bytes]] = {date: set() for date in _DATES}
        self._seen = 0
        self._draws: dict[int, str] = {}
        self.nights = [scene.night(date, first=1000 * n) for n, date in enumerate(_DATES, 1)]
        self._steps: list[Callable[[], None]] = [
            self._chore,
            self._chore,
            self._chore,
            self._pass_time,
            self._mood,
            self._send,
            self._doubt_a_copy,
            self._verify,
            self._restore,
            self._hold,
            self._ack,
            self._settings,
        ]

    def go(self, steps: int) -> None:
        """Let *steps* things happen, then let all be well; each night must have its mail."""
        for _ in range(steps):
            step = self.chance.choice(self._steps)
            self.said.append(step.__name__)
            step()
            self._look()
        self._calm()

    def _chore(self) -> None:
        """A job, done or not, and recorded or not."""
        job = mail_job.due(self.scene.ledger, self.scene.config)
        if job is None:
            return
        fate = self.chance.choice(
            ("done", "done", "killed before", "killed after", "nobody records")
        )
        outcome: Outcome[mail_job.MailDone] = Outcome(key=0, crashed=True, error="its worker died")
        if fate != "killed before":
            self._draw()
            try:
                result = mail_job.work(job)
            except VampdError as error:
                outcome = Outcome(key=0, error_class=error.error_class, error=str(error))
            else:
                outcome = outcome if fate == "killed after" else Outcome(key=0, result=result)
        if fate != "nobody records":
            with self.scene.ledger.transaction():
                mail_job.record(self.scene.ledger, self.scene.config, job, outcome)

    def _draw(self) -> None:
        """What the server will say of the next whole mail; what it does not refuse, it took."""
        office = self.scene.office
        answer = office.contents[0] if office.contents else "250 OK"
        self._draws[len(office.received)] = answer

    def _pass_time(self) -> None:
        self.scene.clock.pass_seconds(self.chance.choice((1, 60, 3600, 86400)))

    def _mood(self) -> None:
        office = self.scene.office
        office.contents.clear()
        office.contents.extend(self.chance.choices(_ANSWERS, k=2))
        office.addresses = {ARCHIVE: "550 no"} if self.chance.random() < 0.2 else {}
        office.senders.clear()
        if self.chance.random() < 0.3:
            office.senders.append(self.chance.choice(("451 busy", "553 who?", DROP)))

    def _send(self) -> None:
        chosen = self.chance.sample(self.nights, self.chance.randint(1, len(self.nights)))
        try:
            self.scene.send(*chosen)
        except VampdError as error:
            self.said.append(str(error))

    def _doubt_a_copy(self) -> None:
        self.scene.ledger.execute(
            "update deliverable set verified_us = null where night = ? and path like 'vgen2%'",
            [self.chance.choice(self.nights).id],
        )

    def _verify(self) -> None:
        self.scene.verify(self.chance.choice(self.nights))

    def _restore(self) -> None:
        """Forgotten and made again; perhaps with other frames."""
        night = self.chance.choice(self.nights)
        self.scene.ledger.execute("delete from deliverable where night = ?", [night.id])
        if self.chance.random() < 0.5:
            self._chore()
        number = 1000 * (1 + _DATES.index(night.date))
        other = self.chance.random() < 0.3
        self.scene.add_batch(night, 1, first=number + 500 * other, verified=True)

    def _hold(self) -> None:
        night = self.chance.choice(self.nights)
        why = "quality" if self.chance.random() < 0.5 else None
        self.scene.ledger.update("night", night.id, hold=why)

    def _ack(self) -> None:
        if self.chance.random() < 0.3:
            try:
                self.scene.ack(self.chance.choice(self.nights))
            except VampdError as error:
                self.said.append(str(error))

    def _settings(self) -> None:
        self.scene.configured(
            to=self.chance.choice((ARCHIVE, _OTHER)), mode=self.chance.choice(("ask", "auto"))
        )

    def _look(self) -> None:
        """Judge what came since the last look."""
        received = self.scene.office.received
        for index in range(self._seen, len(received)):
            self._judge(received[index], self._draws[index])
        self._seen = len(received)

    def _judge(self, received: Received, answer: str) -> None:
        dates = [date for date in _DATES if date in received.mail["Subject"]]
        assert dates, received.mail["Subject"]
        for date in dates:
            night = self.nights[_DATES.index(date)]
            unverified = self.scene.ledger.value(
                "select count(*) from deliverable where night = ? and verified_us is null",
                [night.id],
            )
            assert unverified == 0, (date, self.said)
            if answer.startswith("2") or answer == DROP:
                self.taken[date].add(received.content)
                assert len(self.taken[date]) == 1, (date, self.said)
        folders = [Path(self.nights[_DATES.index(date)].folder) for date in dates]
        manifests = [
            (folder / f"manifest_VMP_{folder.name}.csv").read_bytes() for folder in folders
        ]
        assert received.attachment == b"".join(manifests), (dates, self.said)

    def _calm(self) -> None:
        """All is verified, the server is well, and an operator asks for what is left."""
        scene = self.scene
        scene.office.contents.clear()
        scene.office.senders.clear()
        scene.office.addresses = {}
        for night in self.nights:
            scene.verify(night)
            scene.ledger.update("night", night.id, hold=None)
        for _ in range(3):
            scene.clock.pass_seconds(86400)
            for night in self.nights:
                self._settle(night)
            for _ in range(20):
                self._draw()
                job = mail_job.due(scene.ledger, scene.config)
                if job is None:
                    break
                outcome = Outcome(key=0, result=mail_job.work(job))
                mail_job.record(scene.ledger, scene.config, job, outcome)
                self._look()
        for night in self.nights:
            track = scene.track(night)
            assert track.state in _SETTLED, (night.date, track, self.said)
            self._judge_acknowledged(track)

    def _settle(self, night: Night) -> None:
        """What an operator does: send it; where that is refused, ask the archive."""
        if self.scene.track(night).state in _SETTLED:
            return
        try:
            self.scene.send(night)
        except OperatorError as error:
            assert "another manifest of" in str(error), self.said  # noqa: PT017 - a refusal
            self.scene.ack(night)

    def _judge_acknowledged(self, track: MailTrack) -> None:
        batch = mail_tracks.acknowledged_batch(self.scene.ledger.connection, track.night)
        assert batch == int(track.state is Track.ACKNOWLEDGED), self.said
