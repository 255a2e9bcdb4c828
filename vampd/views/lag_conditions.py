"""That a night which goes on is not worked on as fast as its cameras write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from msgspec import Struct

from vampd.ledger.alerts import Condition
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.states import NightStatus, Severity
from vampd.time_units import MINUTE_US, SECOND_US
from vampd.views.live import lags


class LagLimits(Struct, frozen=True, kw_only=True):
    """When it is worth a word."""

    most_us: int  #: so far outputs may be behind
    streamed: frozenset[str]  #: kinds of nights of which outputs are sent and verified at once


def lag_conditions(
    reader: Reader,
    names: Mapping[int, str],
    every: Mapping[int, Night],
    limits: LagLimits | None,
    now_us: int,
) -> Iterator[Condition]:
    """Nights whose outputs could be done, and are not; *names*: how commands know each night."""
    if limits is None:
        return
    going_on = [
        night.id
        for night in every.values()
        if night.status is NightStatus.COLLECTING and night.closed_us is None
    ]
    for number, lag in lags(reader, going_on).items():
        is_streamed = every[number].kind in limits.streamed
        done_us = lag.verified_us if is_streamed else lag.built_us
        what = "verified" if is_streamed else "built"
        behind_us = lag.behind_us(done_us)
        if behind_us > limits.most_us:
            through = f"{what} through {_clock(done_us)} UT" if done_us else f"none is {what}"
            yield Condition(
                name=f"lag:{number}",
                severity=Severity.WARNING,
                text=(
                    f"{every[number]}: its outputs are {behind_us // MINUTE_US} min behind its"
                    f" cameras: {through}: vampd show {names[number]}"
                ),
                night=number,
                since_us=now_us - behind_us,
            )


def _clock(us: int) -> str:
    return f"{datetime.fromtimestamp(us // SECOND_US, UTC):%H:%M:%S}"
