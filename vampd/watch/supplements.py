"""Letting a night collect again: after a restore, or because files came after it was closed."""

from __future__ import annotations

import logging
from functools import partial

from vampd.causes import Cause
from vampd.ledger import cubes, files, nights, trash
from vampd.ledger.barrier import Barrier
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night, RawFile
from vampd.ledger.rows import fetch_all
from vampd.states import FileCode, FileState, Kind, NightStatus

log = logging.getLogger(__name__)


def begin_supplements(ledger: Ledger, barrier: Barrier, kind: Kind) -> None:
    """Let each safe night that has late files collect them as its next batch."""
    for night in fetch_all(
        Night,
        ledger,
        "select * from night where kind = ? and status in ('safe', 'reclaimed')"
        " and hold is null and exists (select 1 from raw_file where night = night.id"
        " and state = 'late' and role in ('cube', 'timing'))",
        [kind],
    ):
        log.info("%s: late files become its next batch", nights.label(night))
        barrier.regularly(
            f"{nights.label(night)}: beginning its next batch",
            partial(begin_supplement, ledger, night),
        )


def begin_supplement(ledger: Ledger, night: Night) -> None:
    """Let a safe night collect its late files, and bad ones whose partner came, as a new batch."""
    with ledger.transaction():
        for row in fetch_all(
            RawFile,
            ledger,
            "select * from raw_file where night = ? and state = 'late'",
            [night.id],
        ):
            take_bad_twins(ledger, row, night.batch + 1)
        nights.begin_batch(ledger, night)
        nights.note_change(ledger, night.id)
        reopen(ledger, night.id, f"late files: batch {night.batch + 1}")


def reopen(ledger: Ledger, night: int, why: str) -> None:
    """Let a night collect again: what is in its folder now is looked at afresh."""
    with ledger.transaction():
        nights.mark_open(ledger, night)
        for (number,) in ledger.rows(
            "select id from raw_file where night = ? and state = 'late'", [night]
        ):
            files.set_state(
                ledger, number, FileState.ARRIVING, Cause(FileCode.REOPENED, {"why": why})
            )
        nights.set_status(
            ledger, nights.get_night(ledger, night), NightStatus.COLLECTING, None, why
        )


def take_bad_twins(ledger: Ledger, row: RawFile, batch: int) -> None:
    """A file of *batch* takes its partner along, which was of no use in an earlier batch."""
    for twin in files.twins(ledger, row):
        if twin.batch != batch and twin.state != FileState.WHOLE:
            files.move_to_batch(ledger, twin.id, batch)


def is_used(night: Night, row: RawFile) -> bool:
    """Whether a plan may have been made of a file: it was whole when its batch was closed."""
    return _is_closed(night, row) and row.state == FileState.WHOLE


def stands_for(ledger: Ledger, night: Night, row: RawFile) -> bool:
    """Whether a name stands for a file that was processed or gave its space back, and went.

    What appears under it is that file, come back, or one that must not be taken for new: its
    frames are in outputs, and would be in two.
    """
    if trash.why_gone(ledger, row.id) is not None:
        return True
    is_gone = row.state == FileState.GONE and _is_closed(night, row)
    return is_gone and cubes.is_known_cube(ledger, row.id)


def _is_closed(night: Night, row: RawFile) -> bool:
    return night.closed_us is not None or row.batch < night.batch
