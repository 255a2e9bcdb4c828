"""Where a night goes, and how the other machine is reached: for the stages that send and verify."""

from __future__ import annotations

from msgspec.structs import replace

from vampd.errors import OperatorError
from vampd.ledger import destination_markers
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.remote.commands import Reach
from vampd.remote.destination_marker import Disk
from vampd.settings.sections import Config, Delivery


def delivery_of(config: Config, night: Night) -> Delivery:
    """Where a night goes. OperatorError: the settings do not say."""
    delivery = config.delivery.of(night.kind)
    if delivery is None:
        msg = f"delivery.{night.kind} is not configured: nobody knows where this night goes"
        raise OperatorError(msg)
    return delivery


def reach_of(config: Config, delivery: Delivery) -> Reach:
    """How the far machine is reached."""
    return Reach(
        ssh_options=tuple(config.ssh.options),
        connect_timeout_seconds=config.ssh.connect_timeout_seconds,
        helper=delivery.far_helper,
    )


def disks_of(ledger: Ledger, delivery: Delivery, *, is_sent_to: bool) -> list[Disk]:
    """What is known of the disks of the far folders, as the jobs of transfer and verify take it.

    One that was never marked may be, where it *is_sent_to*, or where nights count as safe. Where
    somebody moves nights on to, an operator may have claimed the disk: then its marker counts too.
    """
    place, moved_to = str(delivery.destination), delivery.safe_base()
    marker = destination_markers.marker_of(ledger, place)
    sent = Disk(place=place, marker=marker)
    if marker is None and (is_sent_to or moved_to is None):
        sent = replace(
            sent,
            may_claim=True,
            is_known=destination_markers.was_used(ledger, place),
            is_moved_on=moved_to is not None,
            copies=destination_markers.copies_at(ledger, place),
        )
    disks = [sent]
    if moved_to is not None and str(moved_to) != place:
        disks.append(
            Disk(place=str(moved_to), marker=destination_markers.marker_of(ledger, str(moved_to)))
        )
    return disks
