"""What becomes of a mail: asked for, composed, tried, sent; and the archive's word on it.

Its bytes are kept before the first attempt, and never change. That an attempt begins is kept
before it does: if nobody tells how it ended, the server may have the mail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vampd.io.mail_values import Answer, Composed
from vampd.ledger.connection import Ledger
from vampd.ledger.mail_tracks import MailTrack
from vampd.ledger.records import Night
from vampd.ledger.rows import Record, fetch_all, fetch_one
from vampd.states import MailState, NightStatus


class NightInMail(Night, frozen=True, kw_only=True):
    """A night of which a mail speaks; *batch* is the one that it is about."""

    manifest: str
    manifest_sha256: str


class MailRow(Record, frozen=True, kw_only=True):
    """A mail, without its bytes."""

    id: int
    is_alert: bool
    state: MailState
    subject: str | None
    sender: str | None
    message_id: str | None
    composed_us: int | None
    sent_us: int | None
    attempts: int
    in_doubt: bool  #: an attempt may have succeeded
    error: str | None
    failing_since_us: int | None
    due_us: int


def want(ledger: Ledger, parts: Sequence[MailTrack], why: str) -> int:
    """Ask for one mail about *parts*; return its number. None of them has a mail that counts."""
    with ledger.transaction():
        number = ledger.insert("mail", state=MailState.WANTED, **ledger.stamp(why))
        for part in parts:
            ledger.insert(
                "mail_night",
                mail=number,
                night=part.night,
                batch=part.batch,
                manifest=part.manifest,
                manifest_sha256=part.manifest_sha256,
            )
    return number


def add_letter(
    ledger: Ledger, composed: Composed, sender: str, recipients: Iterable[str], why: str
) -> int:
    """Keep a mail to the operators, to be sent at once; return its number."""
    with ledger.transaction():
        number = ledger.insert("mail", is_alert=1, state=MailState.WANTED, **ledger.stamp(why))
        store(ledger, get_mail(ledger, number), composed, sender, recipients)
    return number


def get_mail(ledger: Ledger, number: int) -> MailRow:
    """The row of a mail that exists, without its bytes."""
    row = fetch_one(MailRow, ledger, f"select {_COLUMNS} from mail where id = ?", [number])  # noqa: S608
    assert row is not None, number
    return row


def next_due(ledger: Ledger) -> MailRow | None:
    """The mail that is to be composed or tried next; alerts first."""
    return fetch_one(
        MailRow,
        ledger,
        f"select {_COLUMNS} from mail where state in ('wanted', 'composed') and due_us <= ?"  # noqa: S608
        " order by is_alert desc, due_us, id limit 1",
        [ledger.now_us()],
    )


def content_of(ledger: Ledger, number: int) -> bytes:
    """The bytes of a mail that is composed."""
    content: bytes = ledger.value("select content from mail where id = ?", [number])
    return content


def parts_of(ledger: Ledger, number: int) -> list[NightInMail]:
    """The nights and batches of a mail, in the order of their dates, with the nights' columns."""
    return fetch_all(
        NightInMail,
        ledger,
        "select mail_night.batch, manifest, manifest_sha256, night.*"
        " from mail_night join night on night.id = mail_night.night"
        " where mail = ? and withdrawn_us is null order by date, batch",
        [number],
    )


def archive_nights_in(ledger: Ledger, statuses: Sequence[NightStatus]) -> list[int]:
    """The archive nights that have one of *statuses*, and that nobody holds."""
    rows = ledger.execute("select id, status from night where kind = 'archive' and hold is null")
    return [number for number, status in rows if status in statuses]


def open_recipients(ledger: Ledger, number: int) -> list[str]:
    """For whom the server has neither taken nor refused the mail."""
    rows = ledger.rows(
        "select address from mail_recipient where mail = ? and accepted_us is null"
        " and refused_us is null order by address",
        [number],
    )
    return [row["address"] for row in rows]


def store(
    ledger: Ledger,
    mail: MailRow,
    composed: Composed,
    sender: str,
    recipients: Iterable[str],
) -> bool:
    """Keep the bytes of a mail that was asked for; False when it is not asked for any more."""
    cursor = ledger.execute(
        "update mail set state = 'composed', subject = :subject, message_id = :message_id,"
        " content = :content, composed_us = :changed_us, sender = :sender, attempts = 0,"
        " error = null, failing_since_us = null, due_us = 0,"
        " changed_us = :changed_us, changed_by = :changed_by, why = :why"
        " where id = :id and state = 'wanted'",
        {
            "subject": composed.subject,
            "message_id": composed.message_id,
            "content": composed.content,
            "sender": sender,
            "id": mail.id,
            **ledger.stamp(),
        },
    )
    _name_recipients(ledger, mail.id, recipients)
    return cursor.rowcount == 1


def begin(ledger: Ledger, mail: MailRow) -> MailRow:
    """An attempt begins; return the mail as it is then. Until its end is told, it is in doubt."""
    sends = mail.state == MailState.COMPOSED
    ledger.update("mail", mail.id, attempts=mail.attempts + 1, in_doubt=int(sends or mail.in_doubt))
    return get_mail(ledger, mail.id)


def settle_doubt(ledger: Ledger, number: int, *, in_doubt: bool) -> None:
    """How the last attempt ended is known, or was before: nobody need wonder."""
    ledger.update("mail", number, in_doubt=int(in_doubt))


def take_answers(ledger: Ledger, number: int, answers: Mapping[str, Answer]) -> None:
    """Keep what the server said of each recipient."""
    now_us = ledger.now_us()
    for address, answer in answers.items():
        ledger.execute(
            "update mail_recipient set answer = :words, accepted_us = :accepted,"
            " refused_us = :refused where mail = :mail and address = :address",
            {
                "words": answer.words,
                "accepted": now_us if answer.verdict == "accepted" else None,
                "refused": now_us if answer.verdict == "never" else None,
                "mail": number,
                "address": address,
            },
        )


def refusals(ledger: Ledger, number: int) -> list[str]:
    """What the server said of each recipient whom it refused for good."""
    rows = ledger.rows(
        "select address, answer from mail_recipient where mail = ? and refused_us is not null"
        " order by address",
        [number],
    )
    return [f"{row['address']}: {row['answer']}" for row in rows]


def finish(ledger: Ledger, number: int) -> None:
    """The server took it for everybody."""
    _move(ledger, number, MailState.SENT, None, error=None, sent_us=ledger.now_us(), due_us=0)


def postpone(ledger: Ledger, mail: MailRow, error: str, due_us: int) -> None:
    """It is tried again from *due_us* on."""
    ledger.update(
        "mail",
        mail.id,
        error=error,
        due_us=due_us,
        failing_since_us=mail.failing_since_us or ledger.now_us(),
        **ledger.stamp(error),
    )


def fail(ledger: Ledger, mail: MailRow, error: str) -> None:
    """Nothing more is done with it until an operator acts."""
    since_us = mail.failing_since_us or ledger.now_us()
    _move(ledger, mail.id, MailState.FAILED, error, error=error, failing_since_us=since_us)


def withdraw(ledger: Ledger, number: int, why: str) -> None:
    """Give a mail up that never left; another one may be made for its nights."""
    with ledger.transaction():
        _move(ledger, number, MailState.WITHDRAWN, why)
        ledger.execute(
            "update mail_night set withdrawn_us = ? where mail = ?", [ledger.now_us(), number]
        )


def try_again(ledger: Ledger, number: int, recipients: Iterable[str], why: str) -> None:
    """Send the very bytes again, at once, to those of *recipients* who do not have them yet.

    Recipients who were refused and are not among them any more are left out.
    """
    with ledger.transaction():
        ledger.execute(
            "delete from mail_recipient where mail = ? and accepted_us is null", [number]
        )
        _name_recipients(ledger, number, recipients)
        _move(ledger, number, MailState.COMPOSED, why, error=None, failing_since_us=None, due_us=0)


def hasten(ledger: Ledger, number: int) -> None:
    """Let a mail that waits for its next attempt be tried at once."""
    ledger.update("mail", number, due_us=0)


def acknowledge(ledger: Ledger, track: MailTrack, note: str | None, why: str | None) -> None:
    """Keep the archive's word on one batch, for the manifest that is listed now."""
    ledger.insert(
        "ack",
        night=track.night,
        batch=track.batch,
        mail=track.mail,
        manifest_sha256=track.manifest_sha256,
        note=note,
        acked_us=ledger.now_us(),
        acked_by=ledger.actor,
        **ledger.stamp(why),
    )


def revoke(ledger: Ledger, track: MailTrack, why: str) -> None:
    """An acknowledgement was given by mistake."""
    ledger.execute(
        "update ack set revoked_us = :changed_us, changed_us = :changed_us,"
        " changed_by = :changed_by, why = :why"
        " where night = :night and batch = :batch and revoked_us is null",
        {**ledger.stamp(why), "night": track.night, "batch": track.batch},
    )


def _move(ledger: Ledger, number: int, state: MailState, why: str | None, **columns: Any) -> None:
    ledger.update("mail", number, state=state, **columns, **ledger.stamp(why))


def _name_recipients(ledger: Ledger, number: int, recipients: Iterable[str]) -> None:
    ledger.connection.executemany(
        "insert into mail_recipient (mail, address) values (?, ?) on conflict do nothing",
        [(number, address) for address in recipients],
    )


_COLUMNS = (
    "id, is_alert, state, subject, sender, message_id, composed_us, sent_us, attempts, in_doubt,"
    " error, failing_since_us, due_us"
)
