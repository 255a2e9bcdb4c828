"""Keeps each night's records abreast of the ledger: a lost ledger is made again from them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from vampd.errors import RetryableError
from vampd.io.beneath import is_folder, night_folder
from vampd.io.root import check_root
from vampd.ledger import nights
from vampd.ledger.connection import Ledger
from vampd.schedule.background_job import BackgroundJob
from vampd.schedule.workers import Outcome
from vampd.settings.sections import Config
from vampd.stages import night_records

log = logging.getLogger(__name__)

_QUIET_US = 60_000_000  # a night at work has many events a second, and a large one has long papers


def due(ledger: Ledger, _config: Config) -> dict[str, Any] | None:
    """The papers of one night that are behind its events."""
    night = night_records.next_to_export(ledger, _QUIET_US)
    if night is None:
        return None
    return {
        "night": night["id"],
        **nights.root_of(ledger, night),
        **night_records.prepare_records(ledger, night),
    }


def work(job: Mapping[str, Any]) -> None:
    """Write them. RetryableError: the night's folder is not there, or lies on another disk."""
    check_root(job["root"], job["marker"])
    if not is_folder(night_folder(job["folder"])):
        msg = f"{job['folder']}: not there; is its disk?"
        raise RetryableError(msg)
    night_records.write_story(job)


def record(ledger: Ledger, _config: Config, job: Any, outcome: Outcome) -> None:
    """Note up to where they go; what could not be written is tried again with the next ones."""
    written = outcome.error is None
    if not written:
        night = nights.get_night(ledger, job["night"])
        log.warning("%s: its papers are not written: %s", nights.label(night), outcome.error)
    known = ledger.value("select event from paper where night = ?", [job["night"]]) or 0
    night_records.record_story(ledger, job["night"], job["event"] if written else known)


JOB = BackgroundJob(
    name="papers", uses_network=False, due=due, body=work, record=record, is_light=True
)
