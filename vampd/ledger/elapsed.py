"""Time that was seen to pass, whatever becomes of the host's date."""

from __future__ import annotations

from vampd.ledger.connection import Ledger
from vampd.ledger.rows import Record, fetch_one

_LEAST_TICK_NS = 60_000_000_000  # one durable write a minute is enough: a month is at stake


class SafeSince(Record, frozen=True, kw_only=True):
    """When a night was first seen to be safe, by both clocks."""

    night: int
    since_us: int
    passed_us: int


def passed_us(ledger: Ledger) -> int:
    """Time that was seen to pass since the ledger's first daemon; never more than truly did.

    The monotonic clock counts from the last start of the host. Where it shows less than at the
    last look, the host was started in between, and nobody knows for how long it was off:
    that counts as nothing. Where it shows more, no less time has passed than the difference,
    on one host: a ledger that was moved to another one is why the date must agree too.
    """
    row = ledger.row("select seen_ns, passed_us from witness")
    if row is None:
        return 0
    since_ns: int = ledger.clock.monotonic_ns() - row["seen_ns"]
    return int(row["passed_us"]) + max(0, since_ns) // 1000


def record_elapsed(ledger: Ledger) -> int:
    """Keep what was seen to pass, and since when nights are safe; return `passed_us`."""
    seen_ns = ledger.clock.monotonic_ns()
    row = ledger.row("select seen_ns from witness")
    passed = passed_us(ledger)
    if row is None or not 0 <= seen_ns - row["seen_ns"] < _LEAST_TICK_NS:
        ledger.execute(
            "insert into witness (id, seen_ns, passed_us) values (1, :seen_ns, :passed_us)"
            " on conflict (id) do update set seen_ns = :seen_ns, passed_us = :passed_us",
            {"seen_ns": seen_ns, "passed_us": passed},
        )
    # After the time was added up: a night never counts as safe for longer than it was.
    unseen = ledger.row(
        "select id from night where status = 'safe'"
        " and not exists (select 1 from safe_since where night = night.id) limit 1"
    )
    if unseen is not None:
        ledger.execute(
            "insert into safe_since (night, since_us, passed_us)"
            " select id, max(coalesce(safe_us, 0), :now_us), :passed_us from night"
            " where status = 'safe' on conflict do nothing",
            {"now_us": ledger.now_us(), "passed_us": passed},
        )
    return passed


def safe_since(ledger: Ledger, night: int) -> SafeSince | None:
    """Since when a night was seen to be safe, by both clocks."""
    return fetch_one(SafeSince, ledger, "select * from safe_since where night = ?", [night])


def mend_dates(ledger: Ledger) -> None:
    """What is dated in the future was dated while the host's date was ahead: it counts from now."""
    now_us = ledger.now_us()
    ledger.execute("update safe_since set since_us = ?1 where since_us > ?1", [now_us])
    ledger.execute(
        "update trash set moved_us = ?1 where state = 'trashed' and moved_us > ?1", [now_us]
    )


def note_run(ledger: Ledger) -> None:
    """A run that gives space back was chosen just now."""
    ledger.execute("update witness set run_passed_us = ?", [passed_us(ledger)])


def last_run_us(ledger: Ledger) -> int | None:
    """When the last such run was chosen, counted as `passed_us`; None before the first."""
    number: int | None = ledger.value("select run_passed_us from witness")
    return number
