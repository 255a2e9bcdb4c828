"""Orders about the mail to the archive team: send it; keep the archive's word on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vampd.background.mail.job import batches_of_mails
from vampd.errors import ConfigError
from vampd.ledger import mail, mail_tracks, nights
from vampd.ledger.mail_tracks import MailTrack, Track
from vampd.ledger.records import Night
from vampd.orders import mail_facts
from vampd.orders.context import CommandContext, CommandResult, Order, OrderOfAll
from vampd.orders.standing import nothing_to_do
from vampd.verbs import Verb

_WHY = "vampd archive manifest --send"


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
    if len(arguments["nights"]) == 1:
        verb = Verb.SEND_ANEW if anew else Verb.SEND
        if (answer := nothing_to_do(context.ledger, asked[0][0], verb)) is not None:
            return answer
    wrong = [
        mail_facts.refusal(context.ledger, night, track, anew=bool(anew)) for night, track in asked
    ]
    lines = [
        text or mail_facts.intention(night, track, anew=bool(anew))
        for (night, track), text in zip(asked, wrong, strict=True)
    ]
    chosen = [track for (_, track), text in zip(asked, wrong, strict=True) if not text]
    chosen = [track for track in chosen if track.state not in mail_facts.DONE]
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


def _ack(context: CommandContext, night: Night, arguments: Mapping[str, Any]) -> CommandResult:
    """The archive has acknowledged every batch that it was told of. OperatorError: of none."""
    every = mail_tracks.batch_tracks(context.ledger.connection, configured=True, night=night.id)
    if arguments.get("revoke"):
        return _revoke(context, night, every, arguments)
    verb = Verb.ACK_UNTOLD if arguments.get("force") else Verb.ACK
    if (answer := nothing_to_do(context.ledger, night, verb)) is not None:
        return answer
    pending = [track for track in every if track.state is not Track.ACKNOWLEDGED]
    chosen = mail_facts.told(pending) or pending
    lines = [f"{mail_facts.name_of(night, track)}: acknowledged by the archive" for track in chosen]
    if not arguments["dry_run"]:
        with context.ledger.transaction():
            for track in chosen:
                if track.state is Track.CHANGED and track.acked_us is not None:
                    mail.revoke(context.ledger, track, "acknowledged anew")
                mail.acknowledge(context.ledger, track, arguments.get("note"), arguments.get("why"))
    return CommandResult(lines=lines, changed=True)


def _revoke(
    context: CommandContext, night: Night, every: Sequence[MailTrack], arguments: Mapping[str, Any]
) -> CommandResult:
    if (answer := nothing_to_do(context.ledger, night, Verb.REVOKE)) is not None:
        return answer
    acked = [track for track in every if track.acked_us is not None]
    if not arguments["dry_run"]:
        with context.ledger.transaction():
            for track in acked:
                mail.revoke(context.ledger, track, arguments["why"])
    lines = [f"{mail_facts.name_of(night, track)}: not acknowledged any more" for track in acked]
    return CommandResult(lines=lines, changed=True)


ORDERS: dict[str, Order] = {"ack": _ack}
ORDERS_OF_ALL: dict[str, OrderOfAll] = {"mail": _send}
