"""Alerts: looks at the disks, at what is wrong, and mails one digest of it.

1. Once in `alerts.look_seconds` a worker asks every disk how much is free; a disk that does not
   answer counts as absent.
2. `record` keeps that, and which conditions are so now. When there is something new, or something
   is over, one mail tells all of it, no sooner than `alerts.every_minutes` after the last one.
3. The mail itself goes the way of all mails (`vampd.background.mail.job`): kept first, then sent.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from vampd import __version__
from vampd.background.mail.compose import Letter, write_letter
from vampd.io.disk import MarkerState, check_marker
from vampd.io.mail_values import Composed
from vampd.ledger import alerts, mail, roots
from vampd.ledger.alerts import Alert, FoundDisk
from vampd.ledger.connection import Ledger
from vampd.schedule.background_job import BackgroundJob
from vampd.schedule.executor import Outcome
from vampd.schedule.work import Seat
from vampd.settings.sections import Config
from vampd.states import MailState, Severity
from vampd.time_units import SECOND_US
from vampd.views.conditions import conditions
from vampd.views.limits import limits

_ANSWER_SECONDS = 20.0  # a disk of another machine that is gone hangs for ever
_MOST_BYTES = 1 << 60  # a file system that counts in 64 bits may say more than SQLite takes


class DiskJob(Struct, frozen=True, kw_only=True):
    """One disk to be looked at. *marker*: by which it is known, where it holds nights."""

    path: str
    marker: str | None


def due(ledger: Ledger, config: Config) -> list[DiskJob] | None:
    """The disks, when it is time to look at them again."""
    if ledger.now_us() - alerts.looked_us(ledger) < config.alerts.look_seconds * SECOND_US:
        return None
    markers = roots.markers(ledger)
    folders = [*(root.path for root in config.roots), config.state_dir]
    paths = dict.fromkeys(map(str, folders))
    return [DiskJob(path=path, marker=markers.get(path)) for path in paths]


def work(job: Sequence[DiskJob]) -> list[FoundDisk]:
    """What is free on each disk, and whether it is the one that it was; never waits for long."""
    found: dict[str, FoundDisk] = {}

    def look(disk: DiskJob) -> None:
        path, marker = Path(disk.path), disk.marker
        try:
            status = os.statvfs(path)
        except OSError:
            return
        present = marker is None or check_marker(path, marker) is MarkerState.OK
        found[disk.path] = FoundDisk(
            path=disk.path,
            present=present,
            free_bytes=min(status.f_bavail * status.f_frsize, _MOST_BYTES),
            total_bytes=min(status.f_blocks * status.f_frsize, _MOST_BYTES),
        )

    threads = [threading.Thread(target=look, args=[disk], daemon=True) for disk in job]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_ANSWER_SECONDS)
    return [found.get(disk.path) or FoundDisk(path=disk.path) for disk in job]


def record(
    ledger: Ledger, config: Config, job: Sequence[DiskJob], outcome: Outcome[list[FoundDisk]]
) -> None:
    """Keep what was found; tell the operators what is new, and what is over."""
    alerts.note_disks(ledger, outcome.result or [FoundDisk(path=disk.path) for disk in job])
    now_us = ledger.now_us()
    alerts.note_conditions(ledger, conditions(ledger.connection, limits(config), now_us))
    if config.alerts.recipients and config.mail.host:
        _tell(ledger, config)


def letter(config: Config, subject: str, text: str, identity: str, now_us: int) -> Composed:
    """A mail to the operators."""
    words = Letter(
        sender=config.mail.sender,
        recipients=config.alerts.recipients,
        subject=f"vampd on {socket.gethostname()}: {subject}",
        text=f"{text}\n-- \nvampd {__version__} on {socket.gethostname()}, {moment_text(now_us)}\n",
    )
    return write_letter(words, identity, now_us)


def _tell(ledger: Ledger, config: Config) -> None:
    """Compose one digest, if there is something to tell and the last one is long enough ago.

    One that the server refused for good told nobody: all that is open is told again.
    """
    now_us = ledger.now_us()
    last = alerts.last_letter(ledger)
    pause_us = config.alerts.every_minutes * 60 * SECOND_US
    if last is not None and (
        last.state == MailState.COMPOSED or now_us - (last.composed_us or 0) < pause_us
    ):
        return
    again_us = None
    if last is not None and last.state == MailState.FAILED:
        again_us = now_us
    elif config.alerts.again_hours:
        again_us = now_us - round(config.alerts.again_hours * 3600 * SECOND_US)
    rows = alerts.untold(ledger, again_us)
    if not rows:
        return
    every = alerts.open_alerts(ledger)
    over = [row for row in rows if row.over_us is not None]
    identity = " ".join(f"{row.id}.{row.over_us}" for row in [*every, *over])
    composed = letter(
        config, subject_text(every), digest_text(every, over), f"{identity} {now_us}", now_us
    )
    mail.add_letter(
        ledger, composed, config.mail.sender, config.alerts.recipients, "something to tell"
    )
    alerts.note_told(ledger)


def subject_text(every: Sequence[Alert]) -> str:
    """How many there are of each severity."""
    critical = sum(row.severity == Severity.CRITICAL for row in every)
    warnings = len(every) - critical
    parts = [
        f"{count} {word}" for count, word in ((critical, "critical"), (warnings, "to look at"))
    ]
    return ", ".join(part for part in parts if not part.startswith("0 ")) or "all is well again"


def digest_text(every: Sequence[Alert], over: Sequence[Alert]) -> str:
    """What is new, what is still so, what is over."""
    sections: Mapping[str, Sequence[Alert]] = {
        "New": [row for row in every if row.told_us is None],
        "Still so": [row for row in every if row.told_us is not None],
        "Over, or dealt with": over,
    }
    return "\n".join(
        f"{title}:\n" + "".join(f"{_line(row)}\n" for row in rows)
        for title, rows in sections.items()
        if rows
    )


def _line(row: Alert) -> str:
    return f"  {row.severity.upper():8} {row.text} (since {moment_text(row.began_us)})"


def moment_text(us: int) -> str:
    """A time to the minute."""
    return f"{datetime.fromtimestamp(us // SECOND_US, UTC):%Y-%m-%d %H:%M} UT"


JOB = BackgroundJob(name="alerts", seat=Seat.NONE, due=due, work=work, result=list, record=record)
