"""Whether only a person, a date, or an absent far side is awaited. Pure but for its arguments."""

from __future__ import annotations

from vampd.schedule.dispatch import DELIVERY, NightSnapshot, current_stage
from vampd.schedule.engine import Engine
from vampd.states import FINAL, ErrorClass, NightStatus, TaskState
from vampd.time_units import date_ends_us
from vampd.watch.naming import night_date
from vampd.watch.scan_cycle import ScanCycle


def is_idle(engine: Engine, scan_cycle: ScanCycle, now_us: int) -> bool:
    """Whether `run --until-idle` may end."""
    if engine.busy or engine.is_gathering:
        return False
    if any(watch.wanted for watch in scan_cycle.nights.values()):
        return False
    return all(_needs_others(night, now_us) for night in engine.facts)


def _needs_others(night: NightSnapshot, now_us: int) -> bool:
    if (night.unread_again and night.pause is None) or _goes_on(night):
        return False
    if night.status in FINAL or night.status in {NightStatus.FAILED, NightStatus.HELD}:
        return True
    if night.pause is not None:
        return not night.is_unread  # that is tried again, and held if it goes wrong again
    if night.status is NightStatus.COLLECTING:
        date = night_date(night.date)
        return date is None or (now_us < date_ends_us(date) and not night.close_asked)
    if night.status is not NightStatus.WAITING or night.digests_missing:
        return False
    return _waits_far(night) or not night.troubles


def _goes_on(night: NightSnapshot) -> bool:
    """Whether something is to be done of a night that goes on, and did not go wrong."""
    if not night.is_live or night.hold is not None or night.pause is not None:
        return False
    pending = sum(count for (_, state), count in night.counts.items() if state == TaskState.PENDING)
    return pending > sum(trouble.state is TaskState.PENDING for trouble in night.troubles)


def _waits_far(night: NightSnapshot) -> bool:
    """Whether the night waits for the far side alone."""
    stage = current_stage(night)
    return stage in DELIVERY and any(
        trouble.state is TaskState.PENDING
        and trouble.error_class is ErrorClass.TRANSIENT
        and trouble.due_us > 0
        for trouble in night.troubles
    )
