"""Which body does a stage's work, how its job is made, and how its result is recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vampd.errors import OperatorError
from vampd.ledger import destination_markers
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.ledger.tasks import Task
from vampd.remote.destination_marker import Disk
from vampd.schedule.workers import Body
from vampd.science.cubes import CubeLimits
from vampd.science.quality import QualityLimits
from vampd.settings.sections import Config, Delivery
from vampd.stages import build_jobs, frame_ids, live, manifest, transfer, verify
from vampd.stages.frame_ids import Surroundings
from vampd.states import Kind, Stage

#: Stands for every date where places are named; no night has it.
_SOME_DATE = "99991231"


@dataclass(frozen=True, kw_only=True, slots=True)
class StageHandler:
    """One stage: the ledger's side before, the worker's part, the ledger's side after."""

    prepare: Callable[[Ledger, Config, Night, str], Any]
    body: Body
    record: Callable[[Ledger, Task, Any], str | None]  #: what is still awaited, if anything
    record_progress: Callable[[Ledger, Task, Any], None] | None = None  #: of work that went wrong


def _delivery(config: Config, night: Night) -> Delivery:
    delivery = config.delivery.of(Kind(night["kind"]))
    if delivery is None:
        msg = f"delivery.{night['kind']} is not configured: nobody knows where this night goes"
        raise OperatorError(msg)
    return delivery


def remote_settings(config: Config, delivery: Delivery) -> dict[str, Any]:
    """How the far machine is reached, as the jobs of transfer and verify take it."""
    return {
        "ssh_options": list(config.ssh.options),
        "connect_timeout_seconds": config.ssh.connect_timeout_seconds,
        "far_helper": delivery.far_helper,
        "patience_hours": delivery.verify_after_hours,
        "bandwidth_kib": delivery.bandwidth_kib_per_second,
    }


def far_disks_of(ledger: Ledger, delivery: Delivery, *, is_sent_to: bool) -> dict[str, Any]:
    """What is known of the disks of the far folders, as the jobs of transfer and verify take it.

    One that was never marked may be, where it *is_sent_to*, or where nights count as safe. Where
    somebody moves nights on to, an operator may have claimed the disk: then its marker counts too.
    """
    place, moved_to = str(delivery.destination), delivery.safe_base()
    marker = destination_markers.marker_of(ledger, place)
    sent: Disk = {"place": place, "marker": marker}
    if marker is None and (is_sent_to or moved_to is None):
        sent["may_claim"] = True
        sent["is_known"] = destination_markers.was_used(ledger, place)
        sent["is_moved_on"] = moved_to is not None
        sent["copies"] = [
            {"path": row["path"], "size_bytes": row["size_bytes"], "sha256": row["sha256"]}
            for row in destination_markers.copies_at(ledger, place)
        ]
    disks = [sent]
    if moved_to is not None and str(moved_to) != place:
        disks.append(
            {"place": str(moved_to), "marker": destination_markers.marker_of(ledger, str(moved_to))}
        )
    return {"disks": disks}


def quality_limits(config: Config) -> QualityLimits:
    """Outside of what a night is reported, or held."""
    quality = config.quality
    return QualityLimits(
        least_synchronised_percent=quality.least_synchronised_percent,
        most_dubious_percent=quality.most_dubious_percent,
        most_drift_us=quality.most_drift_us,
        most_state_difference_percent=quality.most_state_difference_percent,
        most_rejected_percent=quality.most_rejected_percent,
        hold=quality.hold,
    )


def _prepare_sync(ledger: Ledger, config: Config, night: Night, unit: str) -> Any:
    limits = CubeLimits(
        max_seconds=config.cubes.max_seconds,
        max_gap_seconds=config.cubes.max_gap_seconds,
        max_bytes=config.cubes.max_bytes,
    )
    return live.prepare(ledger, night, unit, limits, quality_limits(config))


def _prepare_frame_ids(ledger: Ledger, config: Config, night: Night, _unit: str) -> Any:
    around = Surroundings(root=config.root_of(Kind.ARCHIVE), far=_far_nights(config))
    return frame_ids.prepare(ledger, night, config.frame_ids, around)


def _far_nights(config: Config) -> list[dict[str, Any]]:
    """Where delivered archive nights lie: in folders *before*, their date, *after*."""
    delivery = config.delivery.of(Kind.ARCHIVE)
    if delivery is None:
        return []
    found = []
    for place in dict.fromkeys((delivery.sent_to(_SOME_DATE), delivery.safe_at(_SOME_DATE))):
        before, _, after = place.path.partition(_SOME_DATE)
        if _SOME_DATE not in after:
            told = str(place).replace(_SOME_DATE, "YYYYMMDD")
            where = {"place": told, "host": place.host, "before": before, "after": after}
            found.append({**where, **remote_settings(config, delivery)})
    return found


def _prepare_build(ledger: Ledger, config: Config, night: Night, unit: str) -> Any:
    return build_jobs.prepare(ledger, night, unit, config)


def _prepare_manifest(ledger: Ledger, config: Config, night: Night, _unit: str) -> Any:
    return manifest.prepare(ledger, night, digests=config.manifest.digests)


def _prepare_transfer(ledger: Ledger, config: Config, night: Night, _unit: str) -> Any:
    delivery = _delivery(config, night)
    words = remote_settings(config, delivery) | far_disks_of(ledger, delivery, is_sent_to=True)
    words["list_digests"] = delivery.list_digests
    return transfer.prepare(
        ledger, night, str(delivery.destination), words, newest_first=delivery.order == "newest"
    )


def _prepare_verify(ledger: Ledger, config: Config, night: Night, _unit: str) -> Any:
    return verify_job(ledger, config, night, afresh=False)


def verify_job(ledger: Ledger, config: Config, night: Night, *, afresh: bool) -> dict[str, Any]:
    """The job for `verify.work`: what is not verified yet, or *afresh* every file of a night."""
    delivery = _delivery(config, night)
    date = night["date"]
    safe, sent = str(delivery.safe_at(date)), str(delivery.sent_to(date))
    words = remote_settings(config, delivery) | far_disks_of(ledger, delivery, is_sent_to=False)
    return verify.prepare(ledger, night, safe, sent, words, afresh=afresh)


def _record_verify(ledger: Ledger, task: Task, result: Any) -> str | None:
    return verify.record(ledger, task, result)


STAGES: dict[Stage, StageHandler] = {
    Stage.SYNC: StageHandler(prepare=_prepare_sync, body=live.work, record=live.record),
    Stage.FRAME_IDS: StageHandler(
        prepare=_prepare_frame_ids, body=frame_ids.work, record=frame_ids.record
    ),
    Stage.BUILD: StageHandler(
        prepare=_prepare_build, body=build_jobs.work, record=build_jobs.record
    ),
    Stage.MANIFEST: StageHandler(
        prepare=_prepare_manifest, body=manifest.work, record=manifest.record
    ),
    Stage.TRANSFER: StageHandler(
        prepare=_prepare_transfer,
        body=transfer.send,
        record=transfer.record,
        record_progress=transfer.record,
    ),
    Stage.VERIFY: StageHandler(prepare=_prepare_verify, body=verify.work, record=_record_verify),
}
