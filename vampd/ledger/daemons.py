"""Each life of the daemon: when it began, when it was heard of last, when it ended."""

from __future__ import annotations

from vampd.ledger.connection import Ledger


def begin(ledger: Ledger, *, pid: int, version: str, coder_trouble: str | None) -> int:
    """A daemon begins; return the number of this life. *coder_trouble*: why packing is slow."""
    now_us = ledger.now_us()
    return ledger.insert(
        "daemon",
        started_us=now_us,
        pid=pid,
        version=version,
        heard_us=now_us,
        coder_trouble=coder_trouble,
    )


def note_alive(ledger: Ledger, number: int, *, pauses: str = "") -> None:
    """Its loop still goes round; *pauses*: why it begins nothing now."""
    ledger.update("daemon", number, heard_us=ledger.now_us(), pauses=pauses or None)


def end(ledger: Ledger, number: int) -> None:
    """It stopped in good order."""
    ledger.update("daemon", number, stopped_us=ledger.now_us())
