"""What was put off while the host's date was ahead must not wait until that date comes."""

from __future__ import annotations

from vampd.ledger.connection import Ledger

#: Each table with what is still to be done in it from its `due_us` on.
_PUT_OFF = {
    "task": "state = 'pending'",
    "mail": "state in ('wanted', 'composed')",
    "rebuild_proof": "proved_us is null and problem is null",
}


def mend_due(ledger: Ledger, longest_us: int) -> None:
    """Nothing is put off for longer than *longest_us* from now, the longest pause there is."""
    latest_us = ledger.now_us() + longest_us
    for table, is_open in _PUT_OFF.items():
        too_late = f"from {table} where {is_open} and due_us > ?"
        for row in ledger.rows(f"select id {too_late}", [latest_us]):
            ledger.update(table, row["id"], due_us=latest_us)
