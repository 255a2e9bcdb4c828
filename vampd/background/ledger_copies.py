"""The ledger is copied every night, and the copy delivered to where the nights go.

Made when no camera writes and no cube is built, by a worker that only reads the ledger; put off
for a day at most. `vampd.ledger.copy_files` says what a copy is; `vampd admin rebuild-db` begins
with it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from vampd.errors import IntegrityError
from vampd.io.listed_files import ListedFile
from vampd.ledger import destination_markers, ledger_copies, local_copies
from vampd.ledger.connection import Ledger
from vampd.ledger.copy_files import MadeCopy, make_copy
from vampd.ledger.ledger_copies import HERE, KeptCopy
from vampd.plain_text import plain_text
from vampd.remote.commands import LEDGER_COPIES
from vampd.remote.location import Location
from vampd.remote.table import store_of
from vampd.schedule.background_job import BackgroundJob
from vampd.schedule.executor import Outcome
from vampd.schedule.work import Seat
from vampd.settings.sections import Config, Delivery
from vampd.stages import transfer
from vampd.stages.destinations import disks_of, reach_of
from vampd.stages.transfer import TransferJob
from vampd.states import ErrorClass, Kind
from vampd.time_units import MINUTE_US

log = logging.getLogger(__name__)

_HOUR_US = 60 * MINUTE_US
#: After a failure it is tried again so much later.
_REST_US = _HOUR_US


class CopyJob(Struct, frozen=True, kw_only=True):
    """The ledger is to be copied."""

    ledger: str  #: its path
    folder: str  #: of the copies
    keep: int
    now_us: int


class SendJob(Struct, frozen=True, kw_only=True):
    """The newest copy is to be delivered."""

    copy: MadeCopy
    transfer: TransferJob
    keep: int  #: so many lie there afterwards


class Sent(Struct, frozen=True, kw_only=True):
    """It lies there, and was read back."""

    sha256: str


def due(ledger: Ledger, config: Config) -> CopyJob | None:
    """Whether it is time for a new copy, and a good moment."""
    if not config.ledger_copies.enabled:
        return None
    last = ledger_copies.at(ledger, HERE)
    every_us = round(config.ledger_copies.every_hours * _HOUR_US)
    waited_us = _waited_us(ledger, last)
    if waited_us < every_us or _rests(ledger, last):
        return None
    if last is not None and last.event == ledger_copies.last_event(ledger.connection):
        return None  # nothing happened since
    quiet_us = round(config.night.quiet_minutes * MINUTE_US)
    if waited_us < 2 * every_us and not local_copies.is_quiet(ledger, quiet_us):
        return None
    return CopyJob(
        ledger=str(ledger.path),
        folder=str(config.copies_folder),
        keep=config.ledger_copies.keep,
        now_us=ledger.now_us(),
    )


def work(job: CopyJob) -> MadeCopy:
    """Copy it: the worker's part."""
    return make_copy(Path(job.ledger), Path(job.folder), keep=job.keep, now_us=job.now_us)


def record(ledger: Ledger, _config: Config, job: CopyJob, outcome: Outcome[MadeCopy]) -> None:
    """Keep what came of it."""
    if outcome.error is not None or outcome.result is None:
        error = plain_text(outcome.error or "its worker died")
        is_damaged = outcome.error_class is ErrorClass.INTEGRITY
        ledger_copies.record_failure(ledger, HERE, error, is_damaged=is_damaged)
        log.warning("the ledger was not copied to %s: %s", job.folder, error)
        return
    made = outcome.result
    ledger_copies.record(ledger, HERE, made)
    log.info("the ledger was copied: %s/%s, %d bytes", job.folder, made.name, made.size_bytes)


def due_to_send(ledger: Ledger, config: Config) -> SendJob | None:
    """The newest copy, for a destination that does not have it, and whose disk is known.

    Not one where no night ever was: the first delivery of a night marks the disk.
    """
    here = ledger_copies.at(ledger, HERE)
    if not (config.ledger_copies.enabled and config.ledger_copies.deliver):
        return None
    if here is None or here.name is None:
        return None
    made = _made(here)
    if not (config.copies_folder / made.name).exists():
        return None
    for kind, delivery in _destinations(config):
        place = str(delivery.destination)
        last = ledger_copies.at(ledger, place)
        if (last is not None and last.name == made.name) or _rests(ledger, last):
            continue
        if destination_markers.marker_of(ledger, place) is not None:
            job = _transfer(ledger, config, kind, delivery, made)
            return SendJob(copy=made, transfer=job, keep=config.ledger_copies.keep_delivered)
    return None


def send(job: SendJob) -> Sent:
    """Deliver it as any file of a night, have it read back there, and let old ones go there.

    IntegrityError: what lies there is not what was sent. Errors of `transfer.work` as well.
    """
    transfer.work(job.transfer)
    store = store_of(job.transfer, Location.parse(job.transfer.destination))
    found = store.digests(job.transfer.files, below=LEDGER_COPIES)[job.copy.name]
    if found.sha256 != job.copy.sha256:
        msg = f"{job.copy.name} at {job.transfer.destination}: {found.why or found.sha256}"
        raise IntegrityError(msg)
    store.thin(job.keep)
    return Sent(sha256=found.sha256)


def record_sent(ledger: Ledger, _config: Config, job: SendJob, outcome: Outcome[Sent]) -> None:
    """Keep what came of it; it is tried again, or the next copy is."""
    place = job.transfer.destination
    if outcome.error is not None or outcome.result is None:
        error = plain_text(outcome.error or "its worker died")
        ledger_copies.record_failure(ledger, place, error)
        log.warning("the ledger's copy was not delivered to %s: %s", place, error)
        return
    ledger_copies.record(ledger, place, job.copy)
    log.info("the ledger's copy lies at %s/%s", place, LEDGER_COPIES)


def _waited_us(ledger: Ledger, last: KeptCopy | None) -> int:
    """How long ago the last copy was made; one made at a time to come counts as very old."""
    made_us = last.made_us if last is not None else None
    if made_us is None:
        made_us = ledger_copies.since_us(ledger.connection)
    return abs(ledger.now_us() - made_us)


def _rests(ledger: Ledger, last: KeptCopy | None) -> bool:
    """Whether the last try failed a short while ago."""
    if last is None or last.error is None:
        return False
    return 0 <= ledger.now_us() - last.tried_us < _REST_US


def _made(here: KeptCopy) -> MadeCopy:
    assert here.name is not None
    assert here.size_bytes is not None
    assert here.event is not None
    assert here.made_us is not None
    return MadeCopy(
        name=here.name,
        size_bytes=here.size_bytes,
        sha256=here.name.rpartition("-")[2].partition(".")[0],
        event=here.event,
        made_us=here.made_us,
    )


def _destinations(config: Config) -> Iterator[tuple[Kind, Delivery]]:
    """Each place once, with a kind of nights that goes there."""
    seen = set()
    for kind in Kind:
        delivery = config.delivery.of(kind)
        if delivery is not None and str(delivery.destination) not in seen:
            seen.add(str(delivery.destination))
            yield kind, delivery


def _transfer(
    ledger: Ledger, config: Config, kind: Kind, delivery: Delivery, made: MadeCopy
) -> TransferJob:
    return TransferJob(
        night=f"the ledger's copy, with {kind} nights",
        folder=str(config.copies_folder),
        destination=str(delivery.destination),
        date=LEDGER_COPIES,
        files=[ListedFile(path=made.name, size_bytes=made.size_bytes, sha256=made.sha256)],
        bandwidth_kib=delivery.bandwidth_kib_per_second,
        bandwidth_by_time=delivery.bandwidth_by_time,
        reach=reach_of(config, delivery),
        disks=disks_of(ledger, delivery, is_sent_to=True),
    )


MAKE = BackgroundJob(
    name="ledger copy", seat=Seat.BUILDER, due=due, work=work, result=MadeCopy, record=record
)
SEND = BackgroundJob(
    name="ledger copy delivery",
    seat=Seat.NETWORK,
    due=due_to_send,
    work=send,
    result=Sent,
    record=record_sent,
)
