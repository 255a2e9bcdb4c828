"""What the mails of a night decide of orders: why none can go out, or need not."""

from __future__ import annotations

from typing import Any

from vampd.ledger import mail, mail_tracks, nights
from vampd.ledger.connection import Ledger
from vampd.ledger.mail_tracks import MailTrack, Track
from vampd.ledger.records import Night
from vampd.views.mails import changed_text

#: A batch of which no mail is to go out.
DONE = frozenset({Track.SENT, Track.ACKNOWLEDGED, Track.NONE})


def mail_facts(ledger: Ledger, night: Night) -> dict[str, Any]:
    """Fields of the standing that are of a night's mails."""
    every = mail_tracks.batch_tracks(ledger.connection, configured=True, night=night.id)
    refused, refused_anew = (
        [text for track in every if (text := refusal(ledger, night, track, anew=anew))]
        for anew in (False, True)
    )
    is_done = all(track.state in DONE for track in every)
    done = [intention(night, track, anew=False) for track in every]
    pending = [track for track in every if track.state is not Track.ACKNOWLEDGED]
    return {
        "mail_refused": "; ".join(refused) or None,
        "anew_refused": "; ".join(refused_anew) or None,
        "mail_done": "; ".join(done) if is_done else None,
        "ack_refused": _why_not_acknowledged(night, pending),
        "acks_missing": len(pending),
        "acks": sum(track.acked_us is not None for track in every),
        "is_mailable": bool(told(pending)) or all(t.state is not Track.NONE for t in pending[:1]),
    }


def told(pending: list[MailTrack]) -> list[MailTrack]:
    """Those of which the archive was told, as they are now."""
    return [track for track in pending if track.was_mailed and track.state is not Track.CHANGED]


def _why_not_acknowledged(night: Night, pending: list[MailTrack]) -> str | None:
    if told(pending) or not pending:
        return None
    first = pending[0]
    state = "another manifest was mailed" if first.state is Track.CHANGED else "never mailed"
    return (
        f"{name_of(night, first)}: {state} ({first.state}). Raw data may be deleted on this word:"
        " if the archive has these very files, say --force --why TEXT"
    )


def refusal(ledger: Ledger, night: Night, track: MailTrack, *, anew: bool) -> str:
    """Why no mail can be sent about a batch; '' when one can, or need not."""
    name, date = name_of(night, track), night.date
    if track.state is Track.SENDING and anew:
        return f"{name}: its mail is being sent: hold your word until that has failed"
    if track.state not in {Track.NOT_YET, Track.FAILED, Track.CHANGED}:
        return ""
    if anew and track.accepted:
        return f"{name}: the server took its mail: the archive has it"
    changed = track.was_mailed and not anew and _changed_part(ledger, track)
    if track.state is Track.CHANGED and (not anew or track.mail is None):
        changed = name
    if changed:
        return (
            f"{name}: the archive was told, or may have been, another manifest of {changed} than"
            f" the present one, and vampd never sends a second mail. {changed_text(track, date)}"
        )
    if not track.is_verified:
        return f"{name} is {night.status}: not every file of it is verified at the far end yet"
    return f"{name} is held: {track.hold}" if track.hold else ""


def _changed_part(ledger: Ledger, track: MailTrack) -> str:
    """The first night of a batch's mail of which the manifest is another one now, or none."""
    assert track.mail is not None
    for part in mail.parts_of(ledger, track.mail):
        listed = ledger.value(
            "select sha256 from deliverable where night = ? and path = ?",
            [part.id, part.manifest],
        )
        if listed != part.manifest_sha256:
            return nights.label(part)
    return ""


def intention(night: Night, track: MailTrack, *, anew: bool) -> str:
    """What comes of an order to mail about a batch that nothing stands against."""
    name = name_of(night, track)
    if track.state is Track.NONE:
        return f"{name}: no mail belongs to it"
    if track.state is Track.ACKNOWLEDGED:
        return f"{name}: the archive has acknowledged it"
    if track.state is Track.SENT:
        return f"{name}: its mail was sent: {track.message_id}"
    if track.state is Track.SENDING:
        return f"{name}: its mail is being sent; it is tried again now"
    if track.was_mailed and not anew:
        return f"{name}: the same mail is sent again, to those who do not have it"
    return f"{name}: its manifest is mailed"


def name_of(night: Night, track: MailTrack) -> str:
    """The batch, as people call it."""
    name = nights.label(night)
    return name if track.batch == 1 else f"{name}, supplement {track.batch - 1}"
