"""Mail to the archive: composes what was asked for, and hands over what is composed.

1. `due` finds the next mail, or in mode "auto" the nights that are ready for one. Before an
   attempt begins, the ledger says so: after a crash in the middle the same bytes go out again.
2. `work` composes (reads the manifests), or talks to the server. It never sees the ledger.
3. `record` keeps the bytes, or what the server said of each recipient.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from vampd.back_off import pause_us
from vampd.background.mail import compose as stage
from vampd.background.mail.compose import ComposeJob, Letter, MailPart, SendJob
from vampd.errors import VampdError
from vampd.io.disk import MarkerState, check_marker
from vampd.io.mail_values import Composed, Delivery
from vampd.ledger import mail as mail_moves
from vampd.ledger import mail_tracks, nights
from vampd.ledger.connection import Ledger
from vampd.ledger.mail import MailRow, NightInMail
from vampd.ledger.mail_tracks import MailTrack, Track
from vampd.schedule.background_job import BackgroundJob
from vampd.schedule.executor import Outcome
from vampd.schedule.work import Seat
from vampd.settings.sections import Config, Mail
from vampd.states import ErrorClass, MailState, NightStatus
from vampd.time_units import DAY_US, HOUR_US

log = logging.getLogger(__name__)

_PASSING = frozenset({ErrorClass.TRANSIENT, ErrorClass.RESOURCE})
_AT_WORK = (NightStatus.READY, NightStatus.RUNNING, NightStatus.WAITING)


class MailJob(Struct, frozen=True, kw_only=True):
    """A mail that is to be composed, or to be sent."""

    mail: int
    attempt: int
    was_in_doubt: bool
    step: ComposeJob | SendJob


class MailDone(Struct, frozen=True, kw_only=True):
    """The mail, or what the server said of it."""

    found: Composed | Delivery


def due(ledger: Ledger, config: Config) -> MailJob | None:
    """The next thing to be done about a mail: a job for `work`, with what `record` needs."""
    if not config.mail.host:
        return None
    mail = mail_moves.next_due(ledger)
    if mail is None and config.mail.is_configured and config.mail.mode == "auto":
        mail = _gather(ledger, config)
    if mail is None or not _may_go_on(ledger, config, mail):
        return None
    was_in_doubt = bool(mail.in_doubt)
    mail = mail_moves.begin(ledger, mail)
    is_wanted = mail.state == MailState.WANTED
    step = _compose_job(ledger, config, mail) if is_wanted else _send_job(ledger, config, mail)
    return MailJob(mail=mail.id, attempt=mail.attempts, was_in_doubt=was_in_doubt, step=step)


def work(job: MailJob) -> MailDone:
    """Compose, or try once. The errors of `compose`; a server's refusal is a result."""
    step = job.step
    return MailDone(found=stage.send(step) if isinstance(step, SendJob) else stage.compose(step))


def record(ledger: Ledger, config: Config, job: MailJob, outcome: Outcome[MailDone]) -> None:
    """Keep what came of a job, unless the mail was given up or tried anew meanwhile."""
    mail = mail_moves.get_mail(ledger, job.mail)
    if mail.attempts != job.attempt or mail.state not in _OPEN:
        log.warning("mail %d: an answer came too late, and is dropped", mail.id)
        return
    found = None if outcome.result is None else outcome.result.found
    if found is None:
        _record_error(ledger, config, mail, outcome)
    elif isinstance(found, Delivery):
        in_doubt = job.was_in_doubt or found.in_doubt
        mail_moves.settle_doubt(ledger, mail.id, in_doubt=in_doubt)
        _record_answers(ledger, config, mail, found)
    elif isinstance(job.step, ComposeJob):
        letter = job.step.letter
        recipients = [*letter.recipients, *letter.copies]
        mail_moves.store(ledger, mail, found, letter.sender, recipients)


def batches_of_mails(parts: Sequence[MailTrack], config: Mail) -> list[list[MailTrack]]:
    """Which of *parts* go together: as many as fit into one mail."""
    most_bytes = config.largest_mb * 1e6
    groups: list[list[MailTrack]] = []
    for part in parts:
        size_bytes = sum(other.size_bytes for other in groups[-1]) if groups else 0
        if not groups or size_bytes + part.size_bytes > most_bytes:
            groups.append([])
        groups[-1].append(part)
    return groups


def _gather(ledger: Ledger, config: Config) -> MailRow | None:
    """In mode "auto": ask for a mail about the nights that are ready, once it is time."""
    if not mail_tracks.any_unmailed(ledger.connection):
        return None
    now_us = ledger.now_us()
    oldest_us = now_us - round(config.mail.within_days * DAY_US)
    ready = [
        track
        for track in mail_tracks.batch_tracks(ledger.connection, configured=True)
        if track.state is Track.READY and (track.ready_us or 0) >= oldest_us
    ]
    if not ready:
        return None
    waited_us = now_us - min(track.ready_us or 0 for track in ready)
    if waited_us < config.mail.together_hours * HOUR_US and _others_at_work(ledger, ready):
        return None
    group = batches_of_mails(ready, config.mail)[0]
    number = mail_moves.want(ledger, group, 'ready, and mail.mode is "auto"')
    return mail_moves.get_mail(ledger, number)


def _others_at_work(ledger: Ledger, ready: Sequence[MailTrack]) -> bool:
    """Whether an archive night that is not ready yet is closed, and on its way."""
    mine = {track.night for track in ready}
    return any(night not in mine for night in mail_moves.archive_nights_in(ledger, _AT_WORK))


def _may_go_on(ledger: Ledger, config: Config, mail: MailRow) -> bool:
    """Whether what the mail says is still so; else put it off, give it up, or ask an operator."""
    parts = mail_moves.parts_of(ledger, mail.id)
    found = {
        (track.night, track.batch): track
        for part in parts
        for track in mail_tracks.batch_tracks(ledger.connection, configured=True, night=part.id)
    }
    if found and all(found[part.id, part.batch].state is Track.ACKNOWLEDGED for part in parts):
        mail_moves.finish(ledger, mail.id)  # whatever the server said: the archive has it
        return False
    for part in parts:
        track = found[part.id, part.batch]
        name = f"{part.kind} {part.date}"
        if track.manifest_sha256 != part.manifest_sha256:
            why = f"{name} has another manifest now than when the mail was asked for, or none"
            _give_up(ledger, mail, why, was_mailed=track.was_mailed)
            return False
        why_not = _why_not_now(ledger, mail, part, track)
        if why_not is not None:
            mail_moves.postpone(
                ledger, mail, f"{name}{why_not}", ledger.now_us() + _pause_us(ledger, mail, config)
            )
            return False
    return True


def _why_not_now(ledger: Ledger, mail: MailRow, part: NightInMail, track: MailTrack) -> str | None:
    """Why a mail cannot speak of *part* at this moment; None: it can."""
    if track.hold:
        return " is held"
    if not track.is_verified:
        return ": not every file is verified now"
    known = nights.place_of(ledger, part)
    if mail.state == MailState.WANTED and known.marker:  # its manifest is to be read
        state = check_marker(Path(known.root), known.marker)
        return None if state is MarkerState.OK else f": the marker of {known.root} is {state}"
    return None


def _give_up(ledger: Ledger, mail: MailRow, why: str, *, was_mailed: bool) -> None:
    if was_mailed:
        mail_moves.fail(ledger, mail, f"{why}; and the archive may have it")
    else:
        mail_moves.withdraw(ledger, mail.id, why)
    log.error("mail %d: %s", mail.id, why)


def compose_job(config: Config, parts: Sequence[MailPart], composed_us: int) -> ComposeJob:
    """What a mail about *parts* needs to know, composed at that moment."""
    mail = config.mail
    letter = Letter(
        sender=mail.sender,
        recipients=mail.recipients,
        copies=mail.copies,
        reply_to=mail.reply_to,
        subject=mail.subject,
        text=mail.text,
    )
    return ComposeJob(letter=letter, parts=parts, data_host=mail.data_host, composed_us=composed_us)


def _compose_job(ledger: Ledger, config: Config, mail: MailRow) -> ComposeJob:
    parts = [
        MailPart(
            night=f"{row.kind} {row.date}",
            date=row.date,
            batch=row.batch,
            folder=row.folder,
            manifest=row.manifest,
            sha256=row.manifest_sha256,
        )
        for row in mail_moves.parts_of(ledger, mail.id)
    ]
    return compose_job(config, parts, ledger.now_us())


def _send_job(ledger: Ledger, config: Config, mail: MailRow) -> SendJob:
    assert mail.sender is not None, mail.id  # it is composed
    return SendJob(
        content=mail_moves.content_of(ledger, mail.id),
        sender=mail.sender,
        recipients=mail_moves.open_recipients(ledger, mail.id),
        server=config.mail.server,
    )


def _record_error(
    ledger: Ledger, config: Config, mail: MailRow, outcome: Outcome[MailDone]
) -> None:
    """A worker that died, or a manifest that cannot be read."""
    error = outcome.error or "its worker ended without a word"
    log.error("mail %d: %s", mail.id, error)
    if outcome.crashed or outcome.error_class in _PASSING:
        due_us = ledger.now_us() + _pause_us(ledger, mail, config)
        mail_moves.postpone(ledger, mail, error, due_us)
    else:
        mail_moves.fail(ledger, mail, error)


def _record_answers(ledger: Ledger, config: Config, mail: MailRow, delivery: Delivery) -> None:
    """Sent when everybody has it; failed when somebody never will; else it is tried again."""
    number, problem = mail.id, delivery.problem
    mail_moves.take_answers(ledger, number, delivery.answers)
    waiting = mail_moves.open_recipients(ledger, number)
    refused = mail_moves.refusals(ledger, number)
    if not waiting and not refused:
        mail_moves.settle_doubt(ledger, number, in_doubt=False)
        mail_moves.finish(ledger, number)
        log.info("mail %d was sent: %s", number, mail.subject)
        return
    passing = [
        f"{address}: {answer.words}"
        for address, answer in delivery.answers.items()
        if answer.verdict == "later"
    ]
    error = "; ".join(filter(None, [problem, *refused, *passing]))
    log.warning("mail %d: %s", number, error)
    if waiting and (problem is None or delivery.is_passing):
        due_us = ledger.now_us() + _pause_us(ledger, mail, config)
        mail_moves.postpone(ledger, mail, error, due_us)
    else:
        mail_moves.fail(ledger, mail, error)


def _pause_us(ledger: Ledger, mail: MailRow, config: Config) -> int:
    now_us = ledger.now_us()
    failing_us = now_us - (mail.failing_since_us or now_us)
    return pause_us(config.retry.first_seconds, config.retry.longest_seconds, failing_us=failing_us)


_OPEN = frozenset({MailState.WANTED, MailState.COMPOSED})

JOB = BackgroundJob(name="mail", seat=Seat.NONE, due=due, work=work, result=MailDone, record=record)


def do_all(ledger: Ledger, config: Config) -> None:
    """Do what is due, in this process: for a command, where no daemon runs."""
    while (job := due(ledger, config)) is not None:
        try:
            outcome = Outcome(key=0, result=work(job))
        except VampdError as error:
            outcome = Outcome(key=0, error_class=error.error_class, error=str(error))
        with ledger.transaction():
            record(ledger, config, job, outcome)
