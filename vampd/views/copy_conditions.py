"""Copies of the ledger that are too old, as conditions."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from vampd.ledger import ledger_copies
from vampd.ledger.alerts import Condition
from vampd.ledger.ledger_copies import HERE, KeptCopy
from vampd.ledger.reading import Reader
from vampd.plain_text import first_line
from vampd.states import Severity
from vampd.time_units import MINUTE_US
from vampd.views.summaries import last_daemon

_HOUR_US = 60 * MINUTE_US

_ADVICE = "vampd admin doctor"


class CopyLimits(Struct, frozen=True, kw_only=True):
    """When a copy of the ledger is too old."""

    here_us: int  #: the newest here
    there_us: int  #: the newest at a destination, since it fails there


def copy_conditions(reader: Reader, limits: CopyLimits | None, now_us: int) -> Iterator[Condition]:
    """Until there is a new copy. *limits*: None: none is made."""
    if limits is None:
        return
    known = {copy.place: copy for copy in ledger_copies.everywhere(reader)}
    here = known.pop(HERE, None)
    if here is not None and here.is_damaged:
        yield Condition(
            name="ledger",
            severity=Severity.CRITICAL,
            text=f"the ledger cannot be copied: {first_line(here.error or '')}: {_ADVICE}",
            since_us=here.failing_since_us,
        )
    elif age := _age(reader, here, limits.here_us, now_us):
        since_us, text = age
        cause = f": {first_line(here.error)}" if here is not None and here.error else ""
        yield Condition(
            name="ledger-copy",
            severity=Severity.WARNING,
            text=f"{text}{cause}: {_ADVICE}",
            since_us=since_us,
        )
    for copy in known.values():
        since_us = copy.failing_since_us or now_us
        if now_us - since_us > limits.there_us:
            yield Condition(
                name=f"ledger-copy:{copy.place}",
                severity=Severity.WARNING,
                text=f"no new copy of the ledger reaches {copy.place}:"
                f" {first_line(copy.error or '')}: {_ADVICE}",
                since_us=since_us,
            )


def _age(
    reader: Reader, here: KeptCopy | None, most_us: int, now_us: int
) -> tuple[int, str] | None:
    """Since when there is no new copy, and in words; None: what there is does.

    A daemon that did not run made none: its silence is told elsewhere.
    """
    daemon = last_daemon(reader)
    if daemon is None or (here is not None and here.event == ledger_copies.last_event(reader)):
        return None
    made_us = here.made_us if here is not None else None
    failing_us = here.failing_since_us if here is not None else None
    begun_us = failing_us or max(made_us or 0, daemon.started_us)
    if daemon.heard_us - begun_us <= most_us:
        return None
    if made_us is None:
        return begun_us, "the ledger was never copied"
    return made_us, f"the ledger was last copied {(now_us - made_us) // _HOUR_US} h ago"
