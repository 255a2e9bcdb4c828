"""When something is worth a word, by the settings."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from vampd.settings.sections import Config
from vampd.states import Kind
from vampd.time_units import SECOND_US
from vampd.views.copy_conditions import CopyLimits
from vampd.views.lag_conditions import LagLimits

_STATE_BYTES = 2_000_000_000  # for a ledger of 500 nights


class Limits(Struct, frozen=True, kw_only=True):
    """When something is worth a word. Times in microseconds, sizes in bytes."""

    stalled_us: int  #: a closed night without progress
    grace_us: int  #: a date may be over for so long before its night closes
    silent_us: int  #: the daemon
    ack_us: int  #: a mail without the archive's answer
    unmoved_us: Mapping[str, int]  #: by kind of night: files that nobody moved on at the far end
    least_bytes: int  #: free on a disk with nights: below it nothing is begun
    low_bytes: int  #: free on a disk with nights: worth a word
    state_bytes: int  #: free on the disk of the ledger
    state_dir: str
    mail_is_configured: bool
    copies: CopyLimits | None = None  #: of the ledger; None: none are made
    lag: LagLimits | None = None  #: of a night that goes on; None: it is never told
    first_frame_id: int | None = None  #: as the settings say it


def limits(config: Config) -> Limits:
    """When something is worth a word, by the settings."""
    hour_us = 3600 * SECOND_US
    return Limits(
        stalled_us=round(config.alerts.stalled_hours * hour_us),
        grace_us=round(config.night.grace_minutes * 60 * SECOND_US),
        silent_us=round(config.alerts.silent_minutes * 60 * SECOND_US),
        ack_us=round(config.mail.ack_days * 24 * hour_us),
        unmoved_us={
            kind: round(delivery.verify_after_hours * hour_us)
            for kind in Kind
            if (delivery := config.delivery.of(kind)) is not None
        },
        least_bytes=round(config.disk.keep_free_gb * 1e9),
        low_bytes=round(config.alerts.disk_free_gb * 1e9),
        state_bytes=_STATE_BYTES,
        state_dir=str(config.state_dir),
        mail_is_configured=config.mail.is_configured,
        first_frame_id=config.frame_ids.first,
        copies=_copy_limits(config),
        lag=_lag_limits(config),
    )


def _copy_limits(config: Config) -> CopyLimits | None:
    """A good moment is waited for as long as a copy may be old; half of that is for a failure."""
    if not config.ledger_copies.enabled:
        return None
    every_us = round(config.ledger_copies.every_hours * 3600 * SECOND_US)
    return CopyLimits(here_us=5 * every_us // 2, there_us=every_us)


def _lag_limits(config: Config) -> LagLimits | None:
    if not config.alerts.lag_minutes:
        return None
    streamed = frozenset(
        kind
        for kind in Kind
        if (delivery := config.delivery.of(kind)) is not None
        and delivery.when == "live"
        and delivery.verify_at is None
    )
    return LagLimits(most_us=round(config.alerts.lag_minutes * 60 * SECOND_US), streamed=streamed)
