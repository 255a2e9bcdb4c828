"""What the receiver's ledger tells: nights, files, steps, and what somebody should know of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct
from msgspec.structs import asdict

from vampd.ledger.alerts import Condition
from vampd.ledger.reading import Reader
from vampd.ledger.rows import fetch_all
from vampd.receive.number_limits import NumberLimit, outside
from vampd.receive.records import NightRow
from vampd.receive.settings import ReceiveConfig
from vampd.receive.states import FileState, NightState, StepState
from vampd.states import Severity
from vampd.time_units import HOUR_US, SECOND_US


class ReceivedNight(NightRow, frozen=True, kw_only=True):
    """A delivered night in numbers."""

    counts: Mapping[FileState, int]
    placed_bytes: int
    steps: Mapping[StepState, int]


class Limits(Struct, frozen=True, kw_only=True):
    """When something is worth a word."""

    awaited_us: int
    silent_us: int
    numbers: Mapping[str, tuple[NumberLimit, ...]]  #: of what a step prints, by its name

    @classmethod
    def of(cls, config: ReceiveConfig) -> Limits:
        """As the settings say."""
        return cls(
            awaited_us=round(config.alerts.awaited_hours * HOUR_US),
            silent_us=round(config.alerts.silent_minutes * 60 * SECOND_US),
            numbers={step.name: step.limits for step in config.step if step.limits},
        )


def nights(ledger: Reader) -> list[ReceivedNight]:
    """All nights, the oldest first."""
    counts: dict[int, dict[FileState, int]] = {}
    sizes: dict[int, int] = {}
    for row in ledger.execute(
        "select night, state, count(*), sum(size_bytes) from file group by night, state"
    ):
        counts.setdefault(row[0], {})[FileState(row[1])] = row[2]
        if row[1] == FileState.PLACED:
            sizes[row[0]] = row[3] or 0
    steps: dict[int, dict[StepState, int]] = {}
    for row in ledger.execute("select night, state, count(*) from step_run group by night, state"):
        steps.setdefault(row[0], {})[StepState(row[1])] = row[2]
    return [
        ReceivedNight(
            **asdict(row),
            counts=counts.get(row.id, {}),
            placed_bytes=sizes.get(row.id, 0),
            steps=steps.get(row.id, {}),
        )
        for row in fetch_all(NightRow, ledger, "select * from night order by date, kind")
    ]


def conditions(ledger: Reader, limits: Limits, now_us: int) -> list[Condition]:
    """All that somebody should know, the worst first."""
    found = [
        *_silence(ledger, limits, now_us),
        *_troubles(ledger),
        *(each for night in nights(ledger) for each in _of_night(ledger, night, limits, now_us)),
    ]
    return sorted(found, key=lambda each: each.severity != Severity.CRITICAL)


def _silence(ledger: Reader, limits: Limits, now_us: int) -> Iterator[Condition]:
    row = ledger.execute(
        "select heard_us, stopped_us from daemon order by id desc limit 1"
    ).fetchone()
    heard_us, stopped_us = row or (0, 0)  # one that never began is one that ended
    if stopped_us is not None:
        text = "the receiver is not running: systemctl start vampd-receive"
        yield Condition(name="silent", severity=Severity.CRITICAL, text=text)
    elif now_us - heard_us > limits.silent_us:
        minutes = (now_us - heard_us) // (60 * SECOND_US)
        text = (
            f"nothing was heard of the receiver for {minutes} minutes: journalctl -u vampd-receive"
        )
        yield Condition(name="silent", severity=Severity.CRITICAL, text=text, since_us=heard_us)


def _troubles(ledger: Reader) -> Iterator[Condition]:
    for work, words, since_us in ledger.execute(
        "select work, words, since_us from trouble order by work"
    ):
        yield Condition(
            name=f"trouble:{work}",
            severity=Severity.WARNING,
            text=f"{work} goes wrong: {words}",
            since_us=since_us,
        )


def _of_night(
    ledger: Reader, night: ReceivedNight, limits: Limits, now_us: int
) -> Iterator[Condition]:
    for state, files, path, why in ledger.execute(
        "select state, count(*), min(path), why from file"
        " where night = ? and state in ('wrong', 'in the way', 'odd') group by state",
        [night.id],
    ):
        yield Condition(
            name=f"{state}:{night}",
            severity=Severity.CRITICAL,
            night=night.id,
            text=f"{night}: {_files(files)} {state}, {path} first: {why};"
            f" see `vampd receive show {night.date}`, then `vampd receive retry {night.date}`",
        )
    if night.state is NightState.WAITING:
        yield Condition(
            name=f"waiting:{night}",
            severity=Severity.WARNING,
            night=night.id,
            text=f"{night} waits: {night.cause}",
        )
    missing = night.counts.get(FileState.AWAITED, 0) + night.counts.get(FileState.ARRIVING, 0)
    unlisted = night.counts.get(FileState.UNLISTED, 0)
    if now_us - night.moved_us > limits.awaited_us:
        yield from _late(night, "awaited", missing, "were listed and did not come")
        yield from _late(night, "unlisted", unlisted, "came without a list that names them")
    if limits.numbers:
        yield from _outside(ledger, night, limits)
    failed = night.steps.get(StepState.FAILED, 0)
    if failed:
        yield Condition(
            name=f"steps:{night}",
            severity=Severity.WARNING,
            night=night.id,
            text=f"{night}: {failed} steps of the reduction failed: see `vampd receive show"
            f" {night.date}`",
        )


def _outside(ledger: Reader, night: ReceivedNight, limits: Limits) -> Iterator[Condition]:
    """Steps that are done, and whose numbers are not as they are expected to be."""
    for step, unit, numbers in ledger.execute(
        "select step, unit, numbers from step_run where night = ? and state = 'done'"
        " order by step, unit",
        [night.id],
    ):
        found = list(outside(limits.numbers.get(step, ()), numbers))
        if found:
            name = f"{step} of {unit}" if unit else step
            yield Condition(
                name=f"numbers:{night}:{step}:{unit}",
                severity=Severity.WARNING,
                night=night.id,
                text=f"{night}: step {name}: {'; '.join(found)}",
            )


def _late(night: ReceivedNight, name: str, files: int, what: str) -> Iterator[Condition]:
    if files:
        yield Condition(
            name=f"{name}:{night}",
            severity=Severity.WARNING,
            night=night.id,
            since_us=night.moved_us,
            text=f"{night}: {_files(files)} {what}: `vampd receive show {night.date}`",
        )


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
