"""Letting a night collect again: after a restore, or because files came after it was closed."""

from __future__ import annotations

from vampd.ledger import files, nights
from vampd.ledger.connection import Ledger, Row
from vampd.states import FileState, NightStatus


def begin_supplement(ledger: Ledger, night: Row) -> None:
    """Let a safe night collect its late files, and bad ones whose partner came, as a new batch."""
    with ledger.transaction():
        for row in ledger.rows(
            "select * from raw_file where night = ? and state = 'late'", [night["id"]]
        ):
            for twin in files.twins(ledger, row):
                if twin["state"] != FileState.WHOLE:
                    ledger.update("raw_file", twin["id"], batch=night["batch"] + 1)
        ledger.update("night", night["id"], batch=night["batch"] + 1, safe_us=None)
        nights.note_change(ledger, night["id"])
        reopen(ledger, night["id"], f"late files: batch {night['batch'] + 1}")


def reopen(ledger: Ledger, night: int, why: str) -> None:
    """Let a night collect again: what is in its folder now is looked at afresh."""
    with ledger.transaction():
        ledger.update("night", night, closed_us=None, closed_by=None, close_asked_by=None)
        for row in ledger.rows(
            "select id from raw_file where night = ? and state = 'late'", [night]
        ):
            files.set_state(ledger, row["id"], FileState.ARRIVING, why)
        nights.set_status(
            ledger, nights.get_night(ledger, night), NightStatus.COLLECTING, None, why
        )
