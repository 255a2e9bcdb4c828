"""That builders of other hosts cannot be reached, or are not taken."""

from __future__ import annotations

from collections.abc import Iterator

from vampd.ledger.alerts import Condition
from vampd.ledger.builders import Roster, roster_of
from vampd.ledger.reading import Reader
from vampd.states import BuilderState, Severity


def builder_conditions(reader: Reader, silent_us: int, now_us: int) -> Iterator[Condition]:
    """The scheduler that is away for longer than *silent_us*, and builders that are refused."""
    roster = roster_of(reader)
    if roster is None:
        return
    if roster.away is not None and now_us - roster.since_us > silent_us:
        yield Condition(
            name="dask",
            severity=Severity.WARNING,
            text=f"the scheduler {roster.scheduler} does not answer, and nothing is built:"
            f" {roster.away}",
            since_us=roster.since_us,
        )
    for each in roster.builders:
        if each.state is BuilderState.REFUSED:
            yield Condition(
                name=f"builder:{each.address}",
                severity=Severity.WARNING,
                text=f"builder {each.host} is refused: {each.why}",
                since_us=each.since_us,
            )


def builders_line(roster: Roster) -> str:
    """Who builds, in one line."""
    if roster.away is not None:
        return f"{roster.scheduler} does not answer: {roster.away}"
    ready = [each.host for each in roster.builders if each.state is BuilderState.READY]
    counted = {host: ready.count(host) for host in sorted(set(ready))}
    texts = [host if count == 1 else f"{host} x {count}" for host, count in counted.items()]
    refused = [
        f"{each.host} is refused: {each.why}"
        for each in roster.builders
        if each.state is BuilderState.REFUSED
    ]
    return "; ".join([", ".join(texts) or "none is ready", *refused])
