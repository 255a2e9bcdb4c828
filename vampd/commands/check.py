"""`vampd check`: a plug-in for Nagios and Icinga; and the watchdog that notices a silent daemon.

One line: the state, what is wrong, and after `|` the performance data. Exit status 0, 1, 2, 3 for
OK, WARNING, CRITICAL, UNKNOWN, as the Monitoring Plugins' guidelines ask.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from msgspec import Struct

from vampd.commands.screen import echo_json, record_json
from vampd.errors import VampdError
from vampd.io.clock import SystemClock
from vampd.ledger.alerts import Condition, Disk
from vampd.ledger.mail_tracks import Track, batch_tracks
from vampd.ledger.reading import DATABASES, Reader, reading
from vampd.ledger.rows import fetch_all
from vampd.ledger.write_ahead import too_long
from vampd.settings.sections import Config
from vampd.states import NightStatus, Severity
from vampd.time_units import SECOND_US
from vampd.views.conditions import alike, conditions, silence
from vampd.views.limits import Limits, limits
from vampd.views.summaries import last_daemon

_OK, _WARNING, _CRITICAL, _UNKNOWN = range(4)
_WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
_TOLD = 3  # conditions in the line; the mail and `vampd status` have them all


class _Findings(Struct, frozen=True, kw_only=True):
    """What is wrong, the worst first, and the numbers."""

    conditions: Sequence[Condition]
    numbers: dict[str, str]  #: by label: value, unit and limits


@click.command("check")
@click.option("--alert", is_flag=True, help="Mail it if the daemon is silent, and when it is back.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(context: click.Context, *, alert: bool, as_json: bool) -> None:
    """Say in one line whether all is well, by the limits in the settings, from the ledger alone.

    Exit status: 0 all is well, 1 look at it in the morning, 2 critical, 3 nobody can tell.
    """
    try:
        config = context.obj.config()
        findings = _findings(config)
        if alert:
            _watch(config)
    except (VampdError, OSError) as error:
        _say(_UNKNOWN, _line(str(error)), {}, [], as_json=as_json)
        context.exit(_UNKNOWN)
    found = findings.conditions
    code = _OK
    if found:
        critical = any(each.severity is Severity.CRITICAL for each in found)
        code = _CRITICAL if critical else _WARNING
    _say(code, _summary(found), findings.numbers, found, as_json=as_json)
    context.exit(code)


def _findings(config: Config) -> _Findings:
    bounds = limits(config)
    now_us = SystemClock().now_us()
    with reading(config.state_dir, config.reading_socket) as ledger:
        silent = silence(ledger, bounds, now_us)
        found = conditions(ledger, bounds, now_us)
        numbers = dict(_numbers(ledger, bounds, now_us))
    logs = list(_logs(config.state_dir))
    return _Findings(conditions=[*([silent] if silent else []), *found, *logs], numbers=numbers)


def _logs(state_directory: Path) -> Iterator[Condition]:
    """That somebody keeps a write-ahead log from being folded in."""
    for name in DATABASES.values():
        if told := too_long(state_directory / name):
            yield Condition(name=f"log:{name}", severity=Severity.WARNING, text=told)


def _numbers(ledger: Reader, limits: Limits, now_us: int) -> Iterator[tuple[str, str]]:
    """Performance data: value, unit;warning;critical;least;most."""
    counts = dict(ledger.execute("select status, count(*) from night group by status").fetchall())
    for status in NightStatus:
        bound = ";;0" if status in {NightStatus.FAILED, NightStatus.HELD} else ";;"
        yield str(status), f"{counts.get(status, 0)}{bound};0"
    (since_us,) = ledger.execute(
        "select min(failing_since_us) from task where error is not null and state != 'done'"
    ).fetchone()
    yield "oldest_failing", f"{_age(since_us, now_us)}s;;;0"
    daemon = last_daemon(ledger)
    if daemon is not None:
        most = limits.silent_us // SECOND_US
        yield "heard", f"{_age(daemon.heard_us, now_us)}s;;{most};0"
    sent = [
        track.sent_us
        for track in batch_tracks(ledger, configured=limits.mail_is_configured)
        if track.state is Track.SENT
    ]
    yield "unacknowledged", f"{len(sent)};;;0"
    oldest_us = min((us for us in sent if us), default=None)
    yield "oldest_unacknowledged", f"{_age(oldest_us, now_us)}s;{limits.ack_us // SECOND_US};;0"
    for row in fetch_all(
        Disk, ledger, "select * from disk where free_bytes is not null order by path"
    ):
        low, least = limits.low_bytes, limits.least_bytes
        if row.path == limits.state_dir:
            low, least = limits.state_bytes, limits.state_bytes
        yield f"free {row.path}", f"{row.free_bytes}B;{low}:;{least}:;0;{row.total_bytes}"


def _age(since_us: int | None, now_us: int) -> int:
    return max(0, now_us - since_us) // SECOND_US if since_us else 0


def _summary(found: Sequence[Condition]) -> str:
    if not found:
        return "all is well"
    kinds = alike(found)
    told = [_told(each) for each in kinds[:_TOLD]]
    if len(kinds) > _TOLD:
        told.append(f"and {len(kinds) - _TOLD} more")
    return "; ".join(told)


def _told(same: Sequence[Condition]) -> str:
    """The first of those for which the same is to be done, and how many there are."""
    text = _line(same[0].text)
    return text if len(same) == 1 else f"{text} (and so for {len(same) - 1} more nights)"


def _line(text: str) -> str:
    """One line without the sign that begins the performance data."""
    return " ".join(text.replace("|", "/").split())


def _say(
    code: int, summary: str, numbers: dict[str, str], found: Sequence[Condition], *, as_json: bool
) -> None:
    if as_json:
        keys = ("name", "severity", "text", "rule", "next=next_step", "since_us")
        rows = [record_json(each, *keys) for each in found]
        echo_json({"status": _WORDS[code], "code": code, "summary": summary, "conditions": rows})
        return
    data = " ".join(f"'{label}'={value}" for label, value in numbers.items())
    click.echo(f"VAMPD {_WORDS[code]} - {summary}" + (f" | {data}" if data else ""))


def _watch(config: Config) -> None:
    # Late: only the watchdog's timer needs the packages of mail.
    from vampd.background.mail.watchdog import watch

    watch(config, SystemClock().now_us())
