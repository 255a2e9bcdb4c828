"""Orders about the mail to the archive team: send it; keep the archive's word on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vampd.background.mail.job import batches_of_mails
from vampd.errors import ConfigError, OperatorError
from vampd.ledger import mail, mail_tracks, nights
from vampd.ledger.mail_tracks import MailTrack, Track
from vampd.ledger.records import Night
from vampd.orders.context import CommandContext, CommandResult, Order, OrderOfAll

_WHY = "vampd archive manifest --send"
_DONE = frozenset({Track.SENT, Track.ACKNOWLEDGED, Track.NONE})


def _send(context: CommandContext, arguments: Mapping[str, Any]) -> CommandResult:
    """Send the mails of all *nights* that are ready: in one, as far as they fit.

    OperatorError: a single night was named and is not ready, or no mail can mend what it is in.
    """
    if not context.config.mail.is_configured:
        msg = "mail.host and mail.recipients are not set: nobody is to be told"
        raise ConfigError(msg)
    asked = [
        (night, track)
        for told in arguments["nights"]
        for night in [nights.find_night(context.ledger, told["kind"], told["date"])]
        for track in mail_tracks.batch_tracks(
            context.ledger.connection, configured=True, night=night.id
        )
    ]
    anew = arguments.get("anew")
    wrong = [_refusal(context, night, track, anew=bool(anew)) for night, track in asked]
    refusals = [text for text in wrong if text]
    if refusals and len(arguments["nights"]) == 1:
        raise OperatorError("; ".join(refusals))
    lines = [
        text or _intention(night, track, anew=bool(anew))
        for (night, track), text in zip(asked, wrong, strict=True)
    ]
    chosen = [track for (_, track), text in zip(asked, wrong, strict=True) if not text]
    chosen = [track for track in chosen if track.state not in _DONE]
    if not arguments["dry_run"]:
        with context.ledger.transaction():
            _carry_out(context, chosen, anew)
    batches = tuple((track.night, track.batch) for track in chosen)
    return CommandResult(lines=lines, changed=bool(chosen), batches=batches)


def is_repeated(track: MailTrack, *, anew: bool) -> bool:
    """Whether the mail that speaks of a batch goes out as it is; else another one is composed."""
    return track.mail is not None and (
        track.state is Track.SENDING or (track.was_mailed and not anew)
    )


def _carry_out(context: CommandContext, chosen: Sequence[MailTrack], anew: str | None) -> None:
    """*anew*: why the archive certainly has nothing of what was in doubt."""
    ledger, config = context.ledger, context.config.mail
    fresh = [track for track in chosen if track.state is Track.READY]
    for number in sorted({track.mail for track in chosen if track.mail is not None}):
        track = next(track for track in chosen if track.mail == number)
        if track.state is Track.SENDING:
            mail.hasten(ledger, number)
        elif is_repeated(track, anew=bool(anew)):
            mail.try_again(ledger, number, [*config.recipients, *config.copies], _WHY)
        else:
            mail.withdraw(ledger, number, anew or f"{_WHY}: it never left")
            fresh += [other for other in chosen if other.mail == number]
    for group in batches_of_mails(fresh, config):
        mail.want(ledger, group, _WHY)


def _refusal(context: CommandContext, night: Night, track: MailTrack, *, anew: bool) -> str:
    """Why no mail can be sent about a batch; '' when one can, or need not."""
    name, date = _name(night, track), night.date
    if track.state is Track.SENDING and anew:
        return f"{name}: its mail is being sent: hold your word until that has failed"
    if track.state not in {Track.NOT_YET, Track.FAILED, Track.CHANGED}:
        return ""
    if anew and track.accepted:
        return f"{name}: the server took its mail: the archive has it"
    changed = track.was_mailed and not anew and _changed_part(context, track)
    if track.state is Track.CHANGED and (not anew or track.mail is None):
        changed = name
    if changed:
        return (
            f"{name}: the archive was told, or may have been, another manifest of {changed} than"
            " the present one, and vampd never sends a second mail. Ask them: if they have it,"
            f" vampd archive ack {date} (--force); if nothing ever came, --send --anew --why TEXT"
        )
    if not track.is_verified:
        return f"{name} is {night.status}: not every file of it is verified at the far end yet"
    return f"{name} is held: {track.hold}" if track.hold else ""


def _changed_part(context: CommandContext, track: MailTrack) -> str:
    """The first night of a batch's mail of which the manifest is another one now, or none."""
    assert track.mail is not None
    for part in mail.parts_of(context.ledger, track.mail):
        listed = context.ledger.value(
            "select sha256 from deliverable where night = ? and path = ?",
            [part.id, part.manifest],
        )
        if listed != part.manifest_sha256:
            return nights.label(part)
    return ""


def _intention(night: Night, track: MailTrack, *, anew: bool) -> str:
    name = _name(night, track)
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


def _ack(context: CommandContext, night: Night, arguments: Mapping[str, Any]) -> CommandResult:
    """The archive has acknowledged every batch that it was told of. OperatorError: of none."""
    every = mail_tracks.batch_tracks(context.ledger.connection, configured=True, night=night.id)
    if arguments.get("revoke"):
        return _revoke(context, night, every, arguments)
    chosen = list(_to_acknowledge(night, every, force=bool(arguments.get("force"))))
    if not chosen:
        return CommandResult(lines=["the archive's word is recorded already"], changed=False)
    lines = [f"{_name(night, track)}: acknowledged by the archive" for track in chosen]
    if not arguments["dry_run"]:
        with context.ledger.transaction():
            for track in chosen:
                if track.state is Track.CHANGED and track.acked_us is not None:
                    mail.revoke(context.ledger, track, "acknowledged anew")
                mail.acknowledge(context.ledger, track, arguments.get("note"), arguments.get("why"))
    return CommandResult(lines=lines, changed=True)


def _to_acknowledge(
    night: Night, every: Sequence[MailTrack], *, force: bool
) -> Iterator[MailTrack]:
    pending = [track for track in every if track.state is not Track.ACKNOWLEDGED]
    told = [track for track in pending if track.was_mailed and track.state is not Track.CHANGED]
    if told or not pending:
        return iter(told)
    first = pending[0]
    if first.state is Track.NONE:
        msg = f"{nights.label(night)}: no mail belongs to it, so there is nothing to acknowledge"
        raise OperatorError(msg)
    if not force:
        state = "another manifest was mailed" if first.state is Track.CHANGED else "never mailed"
        msg = (
            f"{_name(night, first)}: {state} ({first.state}). Raw data may be deleted on this word:"
            " if the archive has these very files, say --force --why TEXT"
        )
        raise OperatorError(msg)
    return iter(pending)


def _revoke(
    context: CommandContext, night: Night, every: Sequence[MailTrack], arguments: Mapping[str, Any]
) -> CommandResult:
    acked = [track for track in every if track.acked_us is not None]
    if not acked:
        return CommandResult(lines=["nothing of it is acknowledged"], changed=False)
    if not arguments["dry_run"]:
        with context.ledger.transaction():
            for track in acked:
                mail.revoke(context.ledger, track, arguments["why"])
    lines = [f"{_name(night, track)}: not acknowledged any more" for track in acked]
    return CommandResult(lines=lines, changed=True)


def _name(night: Night, track: MailTrack) -> str:
    name = nights.label(night)
    return name if track.batch == 1 else f"{name}, supplement {track.batch - 1}"


ORDERS: dict[str, Order] = {"ack": _ack}
ORDERS_OF_ALL: dict[str, OrderOfAll] = {"mail": _send}
