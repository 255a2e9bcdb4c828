"""Tells the operators by mail what is wrong and missing, and when it is over.

One mail tells all of it, no sooner than `alerts.every_minutes` after the last one. Its bytes are
kept in the ledger before the first attempt: whatever happens, the same ones go out again.
"""

from __future__ import annotations

import logging
import socket
from functools import partial

from vampd import __version__
from vampd.back_off import pause_us
from vampd.background.mail import compose
from vampd.background.mail.alerts import digest_text, moment_text, subject_text
from vampd.background.mail.compose import Letter, SendJob, write_letter
from vampd.io.mail_values import Delivery
from vampd.ledger import alerts
from vampd.ledger.connection import Ledger
from vampd.receive import ledger_letters as books
from vampd.receive.desk import Desk
from vampd.receive.records import LetterRow
from vampd.receive.settings import ReceiveConfig
from vampd.receive.views import Limits, conditions
from vampd.schedule.executor import Outcome
from vampd.time_units import HOUR_US, SECOND_US

log = logging.getLogger(__name__)

MAIL = "a mail"
_LOOK_US = 10 * SECOND_US


class Letters:
    """What is told by mail. All methods are for one thread, the receiver's."""

    def __init__(self, ledger: Ledger, config: ReceiveConfig, desk: Desk) -> None:
        self._ledger = ledger
        self.config = config
        self._desk = desk
        self._looked_us: int | None = None

    def hand_out(self) -> None:
        """Note what is so now; keep a mail, if there is something to tell; try one that is due."""
        now_us = self._ledger.now_us()
        if self._looked_us is None or abs(now_us - self._looked_us) >= _LOOK_US:
            self._looked_us = now_us
            found = conditions(self._ledger.connection, Limits.of(self.config), now_us)
            alerts.note_conditions(self._ledger, found)
            if self.config.alerts.recipients:
                self._keep_what_is_new(now_us)
        row = books.due_letter(self._ledger)
        if row is not None and not self._desk.count(MAIL):
            self._try(row)

    def _keep_what_is_new(self, now_us: int) -> None:
        last = books.last_letter(self._ledger)
        every_us = self.config.alerts.every_minutes * 60 * SECOND_US
        if last is not None and (last.is_open or abs(now_us - last.composed_us) < every_us):
            return
        again_us = now_us - round(self.config.alerts.again_hours * HOUR_US)
        if last is not None and last.given_up:
            again_us = now_us  # that one told nobody
        rows = alerts.untold(self._ledger, again_us if self.config.alerts.again_hours else None)
        if not rows:
            return
        every = alerts.open_alerts(self._ledger)
        over = [row for row in rows if row.over_us is not None]
        host = socket.gethostname()
        words = Letter(
            sender=self.config.mail.sender,
            recipients=self.config.alerts.recipients,
            subject=f"vampd receive on {host}: {subject_text(every)}",
            text=f"{digest_text(every, over)}\n-- \nvampd receive {__version__} on {host},"
            f" {moment_text(now_us)}\n",
        )
        identity = " ".join(f"{row.id}.{row.over_us}" for row in [*every, *over])
        composed = write_letter(words, f"receive {identity} {now_us}", now_us)
        with self._ledger.transaction():
            books.keep_letter(self._ledger, composed, self.config.alerts.recipients)
            alerts.note_told(self._ledger)

    def _try(self, row: LetterRow) -> None:
        mail = self.config.mail
        job = SendJob(
            content=row.content, sender=mail.sender, recipients=row.people, server=mail.server
        )
        books.begin_letter(self._ledger, row.id)
        self._desk.start(MAIL, row.subject, compose.send, job, partial(self._tried, row))

    def _tried(self, row: LetterRow, outcome: Outcome[Delivery]) -> None:
        result = outcome.result or Delivery()
        answers = result.answers
        left = [
            each for each in row.people if each not in answers or answers[each].verdict == "later"
        ]
        refused = [each for each, said in answers.items() if said.verdict == "never"]
        problem = result.problem or outcome.error
        never = not result.is_passing and problem is not None
        words = problem or "; ".join(f"{each}: {answers[each].words}" for each in refused)
        retry = self.config.retry
        pause = pause_us(retry.first_seconds, retry.longest_seconds, failures=row.attempts)
        if left and not never:
            books.letter_later(self._ledger, row.id, left, words, self._ledger.now_us() + pause)
        elif never or len(refused) == len(row.people):
            books.give_letter_up(self._ledger, row.id, words)
        else:
            books.letter_sent(self._ledger, row.id, words)
        log.log(
            logging.INFO if not words else logging.WARNING,
            "mail %r: %s",
            row.subject,
            words or "sent",
        )
