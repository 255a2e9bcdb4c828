"""Keeps each night's records abreast of the ledger: a lost ledger is made again from them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from vampd.errors import RetryableError
from vampd.io.beneath import is_folder, night_folder
from vampd.io.root import check_root
from vampd.ledger import exports, nights
from vampd.ledger.connection import Ledger
from vampd.schedule.background_job import BackgroundJob
from vampd.schedule.workers import Outcome
from vampd.settings.sections import Config
from vampd.stages import story

log = logging.getLogger(__name__)


def due(ledger: Ledger, _config: Config) -> dict[str, Any] | None:
    """The papers of one night that are behind its events."""
    night = exports.next_to_export(ledger)
    if night is None:
        return None
    return {
        "night": night.id,
        **nights.root_of(ledger, night),
        **story.prepare_records(ledger, night, with_dump=night.with_dump),
    }


def work(job: Mapping[str, Any]) -> dict[str, Any]:
    """Write them. RetryableError: the night's folder is not there, or lies on another disk."""
    check_root(job["root"], job["marker"])
    if not is_folder(night_folder(job["folder"])):
        msg = f"{job['folder']}: not there; is its disk?"
        raise RetryableError(msg)
    return story.write_story(job)


def record(ledger: Ledger, _config: Config, job: Any, outcome: Outcome) -> None:
    """Note up to where they go; what could not be written is tried again with the next ones."""
    if outcome.error is not None:
        night = nights.get_night(ledger, job["night"])
        log.warning("%s: its papers are not written: %s", nights.label(night), outcome.error)
    exports.record_written(ledger, job["night"], outcome.result if outcome.error is None else None)


JOB = BackgroundJob(
    name="papers", uses_network=False, due=due, body=work, record=record, is_light=True
)
