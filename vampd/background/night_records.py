"""Keeps each night's records abreast of the ledger: a lost ledger is made again from them."""

from __future__ import annotations

import logging

from msgspec import Struct

from vampd.errors import RetryableError
from vampd.io.beneath import is_folder, night_folder
from vampd.io.root import NightPlace
from vampd.ledger import exports, nights
from vampd.ledger.connection import Ledger
from vampd.ledger.exports import Written
from vampd.schedule.background_job import BackgroundJob
from vampd.schedule.executor import Outcome
from vampd.schedule.work import Seat
from vampd.settings.sections import Config
from vampd.stages import story
from vampd.stages.story import StoryJob

log = logging.getLogger(__name__)


class StoryOfNight(Struct, frozen=True, kw_only=True):
    """The records of one night that are behind its events."""

    place: NightPlace
    story: StoryJob


def due(ledger: Ledger, _config: Config) -> StoryOfNight | None:
    """The records of the next night."""
    night = exports.next_to_export(ledger)
    if night is None:
        return None
    return StoryOfNight(
        place=nights.place_of(ledger, night),
        story=story.prepare_records(ledger, night, with_dump=night.with_dump),
    )


def work(job: StoryOfNight) -> Written:
    """Write them. RetryableError: the night's folder is not there, or lies on another disk."""
    job.place.check()
    if not is_folder(night_folder(job.place.folder)):
        msg = f"{job.place.folder}: not there; is its disk?"
        raise RetryableError(msg)
    return story.write_story(job.story)


def record(ledger: Ledger, _config: Config, job: StoryOfNight, outcome: Outcome[Written]) -> None:
    """Note up to where they go; what could not be written is tried again with the next ones."""
    number = job.story.number
    if outcome.error is not None:
        night = nights.get_night(ledger, number)
        log.warning("%s: its papers are not written: %s", nights.label(night), outcome.error)
    exports.record_written(ledger, number, outcome.result if outcome.error is None else None)


JOB = BackgroundJob(
    name="papers", seat=Seat.NONE, due=due, work=work, result=Written, record=record
)
