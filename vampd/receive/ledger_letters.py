"""Mails to the operators in the receiver's ledger; nothing else writes their table."""

from __future__ import annotations

import json
from collections.abc import Sequence

from vampd.io.mail_values import Composed
from vampd.ledger.connection import Ledger
from vampd.ledger.rows import fetch_one
from vampd.receive.records import LetterRow


def keep_letter(ledger: Ledger, composed: Composed, recipients: Sequence[str]) -> None:
    """Keep a mail before it is tried."""
    ledger.insert(
        "letter",
        subject=composed.subject,
        message_id=composed.message_id,
        recipients=json.dumps(list(recipients)),
        composed_us=ledger.now_us(),
        content=composed.content,
    )


def last_letter(ledger: Ledger) -> LetterRow | None:
    """The last mail that was kept."""
    return fetch_one(LetterRow, ledger, "select * from letter order by id desc limit 1")


def due_letter(ledger: Ledger) -> LetterRow | None:
    """The mail that is to be tried next."""
    return fetch_one(
        LetterRow,
        ledger,
        "select * from letter where sent_us is null and given_up = 0 and due_us <= ?"
        " order by due_us, id limit 1",
        [ledger.now_us()],
    )


def begin_letter(ledger: Ledger, number: int) -> None:
    """It is tried once more."""
    ledger.execute("update letter set attempts = attempts + 1 where id = ?", [number])


def letter_sent(ledger: Ledger, number: int, words: str) -> None:
    """The server took it; *words*: whom it refused, if any."""
    ledger.update("letter", number, sent_us=ledger.now_us(), error=words or None)


def letter_later(ledger: Ledger, number: int, left: Sequence[str], words: str, due_us: int) -> None:
    """It is to go to those who are *left*, not before *due_us*."""
    ledger.update(
        "letter", number, recipients=json.dumps(list(left)), error=words or None, due_us=due_us
    )


def give_letter_up(ledger: Ledger, number: int, words: str) -> None:
    """It is refused for good, and told nobody."""
    ledger.update("letter", number, given_up=1, error=words)
