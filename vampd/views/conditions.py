"""What operators should know without asking, as the ledger says it at one moment.

Reading only. The same conditions make the mails with alerts, `vampd check` and a metric: one rule
for each, here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from vampd.ledger.alerts import Condition, Disk
from vampd.ledger.counter import strange_places
from vampd.ledger.mail_tracks import MailTrack, Track, batch_tracks
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.ledger.rows import fetch_all
from vampd.plain_text import first_line
from vampd.states import ACTIVE, MailState, NightStatus, Severity
from vampd.time_units import DAY_US, MINUTE_US, date_ends_us
from vampd.views.advice import TOLD, cause_of, next_step
from vampd.views.builder_conditions import builder_conditions
from vampd.views.copy_conditions import copy_conditions
from vampd.views.lag_conditions import lag_conditions
from vampd.views.limits import Limits
from vampd.views.mails import changed_text
from vampd.views.matters import matters
from vampd.views.odd_conditions import odd_conditions, odd_cubes
from vampd.views.scrub_conditions import scrub_conditions
from vampd.views.summaries import Summary, is_at_rest, last_daemon, nights, summarise

#: A night that waits for somebody is told to people who do not look once it did so for this long.
_LASTS_US = 30 * MINUTE_US


def conditions(reader: Reader, limits: Limits, now_us: int) -> list[Condition]:
    """All that is so now, the critical ones first; then as old as they are."""
    every = {night.id: night for night in nights(reader)}
    names = _names(every)
    found = [
        *_stopped(reader, every, names, now_us),
        *_troubles(reader),
        *_stalled(reader, every, limits, now_us),
        *_hooks(reader, every),
        *_unclosed(every, limits, now_us),
        *builder_conditions(reader, limits.silent_us, now_us),
        *lag_conditions(reader, names, every, limits.lag, now_us),
        *_far_side(reader, every, limits, now_us),
        *odd_cubes(reader, names, every, now_us),
        *scrub_conditions(reader, names, every),
        *odd_conditions(reader, names, every, now_us),
        *_mails(reader, every, limits, now_us),
        *_frame_ids(reader, limits),
        *_alerts(reader),
        *_disks(reader, limits),
        *_coder(reader),
        *copy_conditions(reader, limits.copies, now_us),
    ]
    return sorted(
        found,
        key=lambda each: (each.severity is not Severity.CRITICAL, each.rank, each.since_us or 0),
    )


def alike(found: Sequence[Condition]) -> list[list[Condition]]:
    """Conditions of nights for which the same is to be done are told as one, at the first."""
    kinds: dict[str, list[Condition]] = {}
    for each in found:
        kinds.setdefault(each.same or each.name, []).append(each)
    return list(kinds.values())


def silence(reader: Reader, limits: Limits, now_us: int) -> Condition | None:
    """That the daemon was not heard of for too long; None while it is, or before the first."""
    daemon = last_daemon(reader)
    # Heard of in the future: the date was ahead then, and nobody knows how long ago that was.
    if daemon is None or abs(now_us - daemon.heard_us) <= limits.silent_us:
        return None
    ago = f"{abs(now_us - daemon.heard_us) // MINUTE_US} min"
    how = "was stopped" if daemon.stopped_us is not None else "was not stopped in order"
    return Condition(
        name="silent",
        severity=Severity.CRITICAL,
        text=f"the daemon was last heard of {ago} ago and {how}: systemctl status vampd",
        since_us=daemon.heard_us,
    )


def _stopped(
    reader: Reader, every: Mapping[int, Night], names: Mapping[int, str], now_us: int
) -> Iterator[Condition]:
    """What of the nights needs somebody; of waiting ones, what lasts: the next attempt may do."""
    stopped = [night for night in every.values() if night.status in TOLD and not is_at_rest(night)]
    both = {night.id for night in stopped if names[night.id] != night.date}
    for matter in matters(summarise(reader, stopped)):
        for summary in matter.summaries:
            night = summary.night
            since_us = _since_us(summary)
            if night.status is NightStatus.WAITING and now_us - since_us < _LASTS_US:
                continue
            cause = first_line(cause_of(summary) or "no reason was recorded")
            step = next_step(summary, both_kinds=night.id in both)
            yield Condition(
                name=f"{night.status}:{night.id}",
                severity=matter.severity,
                text=f"{night} {night.status}: {cause}: {step}",
                night=night.id,
                since_us=since_us,
                rule=matter.rule,
                same=f"{night.kind} {night.status} {matter.rule} {matter.cause}",
                next_step=step,
                rank=matter.rank,
            )


def _since_us(summary: Summary) -> int:
    """Since when a night waits, failed or is held; a new attempt is no beginning."""
    night, trouble = summary.night, summary.trouble
    if night.status is NightStatus.WAITING and trouble is not None and trouble.failing_since_us:
        return trouble.failing_since_us
    return night.changed_us


def _troubles(reader: Reader) -> Iterator[Condition]:
    """What the daemon cannot do, and no night, task or file can be held for."""
    for work, words, since_us in reader.execute(
        "select work, words, since_us from trouble order by since_us, work"
    ):
        yield Condition(
            name=f"trouble:{work}",
            severity=Severity.CRITICAL,
            text=(f"the daemon goes on without {work}: {first_line(words)}: journalctl -u vampd"),
            since_us=since_us,
        )


def _name(night: Night, every: Mapping[int, Night]) -> str:
    """By which commands know a night: its date, and its kind where the date has a night of each."""
    has_twin = any(other.date == night.date and other.id != night.id for other in every.values())
    return f"{night.date} --kind {night.kind}" if has_twin else night.date


def _names(every: Mapping[int, Night]) -> dict[int, str]:
    """`_name` of all, by number."""
    times = Counter(night.date for night in every.values())
    return {
        number: night.date if times[night.date] == 1 else f"{night.date} --kind {night.kind}"
        for number, night in every.items()
    }


def _stalled(
    reader: Reader, every: Mapping[int, Night], limits: Limits, now_us: int
) -> Iterator[Condition]:
    for night in every.values():
        if night.status not in ACTIVE:
            continue
        moved_us = _last_progress_us(reader, night)
        if now_us - moved_us > limits.stalled_us:
            hours = (now_us - moved_us) / (60 * MINUTE_US)
            cause = f": {first_line(night.cause)}" if night.cause else ""
            yield Condition(
                name=f"stalled:{night.id}",
                severity=Severity.CRITICAL,
                text=(
                    f"{night} {night.status}, and nothing got done for {hours:.0f} h{cause}:"
                    f" vampd show {_name(night, every)}"
                ),
                night=night.id,
                since_us=moved_us,
            )


def _last_progress_us(reader: Reader, night: Night) -> int:
    """When something of a night was finished last, or when what runs was begun."""
    (task_us,) = reader.execute(
        "select max(case state when 'done' then finished_us when 'running' then started_us end)"
        " from task where night = ?",
        (night.id,),
    ).fetchone()
    (sent_us,) = reader.execute(
        "select max(max(coalesce(sent_us, 0), coalesce(verified_us, 0))) from deliverable"
        " where night = ?",
        (night.id,),
    ).fetchone()
    return max(night.closed_us or 0, task_us or 0, sent_us or 0)


def _unclosed(every: Mapping[int, Night], limits: Limits, now_us: int) -> Iterator[Condition]:
    """Nights whose date is long over, and that do not close."""
    for night in every.values():
        if night.status is not NightStatus.COLLECTING:
            continue
        over_us = _date_is_over_us(night.date) + limits.grace_us
        since_us = max(over_us, night.last_change_us)
        if now_us - since_us > limits.stalled_us:
            cause = f": {first_line(night.cause)}" if night.cause else ""
            yield Condition(
                name=f"unclosed:{night.id}",
                severity=Severity.WARNING,
                text=f"{night} is over, and does not close{cause}:"
                f" vampd close {_name(night, every)}",
                night=night.id,
                since_us=since_us,
            )


def _far_side(
    reader: Reader, every: Mapping[int, Night], limits: Limits, now_us: int
) -> Iterator[Condition]:
    """Copies that nobody moved on in time, and copies that are not right any more."""
    rows = reader.execute(
        "select night, count(*) as files, min(sent_us) as sent_us from deliverable"
        " where verified_us is null and verdict = 'elsewhere' group by night"
    )
    for number, count, since_us in rows:
        night, sent_us = every[number], since_us or now_us
        if now_us - sent_us > limits.unmoved_us.get(night.kind, limits.stalled_us):
            yield Condition(
                name=f"unmoved:{night.id}",
                severity=Severity.WARNING,
                text=(
                    f"{night}: nobody moved on {count} files from where they were sent:"
                    f" vampd show {_name(night, every)}"
                ),
                night=night.id,
                since_us=sent_us,
            )
    for number, wrong, changed_us in reader.execute(_WRONG_COPIES):
        night = every[number]
        yield Condition(
            name=f"copies:{night.id}",
            severity=Severity.CRITICAL,
            text=f"{night}: {wrong} far copies were not right: vampd show {_name(night, every)}",
            night=night.id,
            since_us=changed_us,
        )


# The last look at a night that was verified again; what is mended since is verified.
_WRONG_COPIES = """
    select night, wrong, changed_us from verification
    where id in (select max(id) from verification where error is null group by night) and wrong > 0
        and exists (
            select 1 from deliverable
            where deliverable.night = verification.night and verified_us is null
                and verdict in ('missing', 'different')
        )
"""


def _hooks(reader: Reader, every: Mapping[int, Night]) -> Iterator[Condition]:
    """Commands of the site's own that gave up after a night was safe."""
    for number, of_night, command, error, changed_us in reader.execute(
        "select id, night, command, error, changed_us from hook_run where state = 'failed'"
        " order by id"
    ):
        night = every[of_night]
        yield Condition(
            name=f"hook:{number}",
            severity=Severity.WARNING,
            text=(
                f"{night}: {command}: {first_line(error or 'failed')}; the night is"
                f" safe all the same: vampd admin hooks {night.date}"
            ),
            night=night.id,
            since_us=changed_us,
        )


def _mails(
    reader: Reader, every: Mapping[int, Night], limits: Limits, now_us: int
) -> Iterator[Condition]:
    for track in batch_tracks(reader, configured=limits.mail_is_configured):
        name = str(every[track.night])
        found = _mail(track, name, every[track.night].date, limits, now_us)
        if found is not None:
            what, severity, text, since_us = found
            yield Condition(
                name=f"{what}:{track.night}.{track.batch}",
                severity=severity,
                text=text,
                night=track.night,
                since_us=since_us,
            )


def _mail(
    track: MailTrack, name: str, date: str, limits: Limits, now_us: int
) -> tuple[str, Severity, str, int | None] | None:
    """What to say about the mail of a batch: its kind, how urgent, the words, since when."""
    error = first_line(track.error or "")
    since_us = track.failing_since_us
    if track.state is Track.FAILED:
        text = f"{name}: its mail was refused: {error}: vampd archive manifest {date} --send"
        return "mail", Severity.CRITICAL, text, since_us
    if track.state is Track.CHANGED:
        told = changed_text(track, date)
        text = f"{name}: its manifest is not the one that the archive was told. {told}"
        return "changed", Severity.CRITICAL, text, track.sent_us
    if track.state is Track.SENDING and since_us and now_us - since_us > limits.stalled_us:
        return "unsent", Severity.WARNING, f"{name}: its mail cannot be sent: {error}", since_us
    if track.state is Track.SENT and now_us - (track.sent_us or now_us) > limits.ack_us:
        days = (now_us - (track.sent_us or now_us)) // DAY_US
        text = f"{name}: mailed {days} days ago, not acknowledged: ask; vampd archive ack {date}"
        return "unacked", Severity.WARNING, text, track.sent_us
    if track.state is Track.READY and now_us - (track.ready_us or now_us) > limits.ack_us:
        text = f"{name}: ready, and its mail was never sent: vampd archive manifest {date} --send"
        return "unmailed", Severity.WARNING, text, track.ready_us
    return None


def _frame_ids(reader: Reader, limits: Limits) -> Iterator[Condition]:
    """Numbers that stand somewhere and are not believed: an operator has to decide."""
    for place, ids in strange_places(reader, limits.first_frame_id).items():
        yield Condition(
            name=f"frame-ids:{ids}",
            severity=Severity.WARNING,
            text=f"{ids} stands in {place}, too far up to be believed: vampd archive ids audit",
        )


def _alerts(reader: Reader) -> Iterator[Condition]:
    """That the operators themselves cannot be told: `check` says it, for no mail will."""
    last = reader.execute(
        "select state, error, failing_since_us from mail where is_alert = 1"
        " order by id desc limit 1"
    )
    for state, error, since_us in last:
        if state != MailState.FAILED:
            continue
        yield Condition(
            name="alerts",
            severity=Severity.CRITICAL,
            text=f"the last mail with alerts was refused: {first_line(error or '')}",
            since_us=since_us,
        )


def _disks(reader: Reader, limits: Limits) -> Iterator[Condition]:
    for row in fetch_all(Disk, reader, "select * from disk order by path"):
        found = _disk(row, limits)
        if found is not None:
            severity, text = found
            yield Condition(name=f"disk:{row.path}", severity=severity, text=text)


def _coder(reader: Reader) -> Iterator[Condition]:
    """That the compiled coder errs. Nothing is lost: another does the work."""
    daemon = last_daemon(reader)
    if daemon is not None and daemon.coder_trouble:
        yield Condition(
            name="coder",
            severity=Severity.CRITICAL,
            text=f"{first_line(daemon.coder_trouble)}: vampd admin doctor",
            since_us=daemon.started_us,
        )


def _disk(row: Disk, limits: Limits) -> tuple[Severity, str] | None:
    path, free = row.path, row.free_bytes or 0
    if not row.present:
        return Severity.CRITICAL, f"{path}: its disk is absent, or another one: mount it"
    if path == limits.state_dir:
        low = free < limits.state_bytes
        text = f"{path}: {free / 1e9:.1f} GB free for the ledger: make room"
        return (Severity.CRITICAL, text) if low else None
    if free < limits.least_bytes:
        kept = limits.least_bytes / 1e9
        text = f"{path}: {free / 1e9:.1f} GB free, {kept:g} are kept for the cameras: make room"
        return Severity.CRITICAL, text
    if free < limits.low_bytes:
        return Severity.WARNING, f"{path}: {free / 1e9:.1f} GB free: make room"
    return None


def _date_is_over_us(date: str) -> int:
    try:
        return date_ends_us(datetime.strptime(date, "%Y%m%d").replace(tzinfo=UTC).date())
    except ValueError:  # eight digits that are no date: it is long over
        return 0
