"""Nights that are worked on while their cameras write: what is asked of the stages for them.

Nothing is decided here of what a night becomes: the watermark says how far it is known, the stages
do what can be done of that, and its close plans all of it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from vampd.io.clock import Clock
from vampd.ledger import deliveries, live, nights
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.schedule.dispatch import NightSnapshot
from vampd.science.watermark import (
    CubeSpan,
    Patience,
    Unsettled,
    begins_at_earliest,
    closed_stretches,
    watermark,
)
from vampd.settings.sections import Config
from vampd.states import FINAL, Kind, Stage
from vampd.time_units import SECOND_NS, SECOND_US
from vampd.watch.naming import named_us
from vampd.watch.night_tracker import NightTracker
from vampd.watch.scan_cycle import ScanCycle

_LOOK_NS = SECOND_NS
#: A stretch that goes on is planned as far as it is decided, every so often; so is one that has
#: closed, while something of it waits.
_AT_LEAST_US = 20 * SECOND_US


def why_not_live(config: Config, kind: Kind) -> str | None:
    """Why nights of a kind are worked on when they are over, and not before; None: they are."""
    if not config.live.enabled:
        return "live.enabled is false"
    if config.quality.hold:
        return "quality.hold names a measure, which is taken of the whole night"
    if kind is Kind.ARCHIVE and config.live.frame_ids == "at_close":
        return 'live.frame_ids is "at_close"'
    return None


def is_live(ledger: Ledger, scan_cycle: ScanCycle, night: Night) -> bool:
    """Whether a night goes on, and is worked on meanwhile: not one whose end is due already."""
    watch = scan_cycle.nights.get(night.id)
    if night.closed_us is not None or night.status in FINAL or watch is None:
        return False
    goes_on = night.close_asked_by is None and watch.due_us > ledger.now_us()
    is_ours = night.batch == 1 and not scan_cycle.run_mode.is_shadow
    return goes_on and is_ours and why_not_live(scan_cycle.config, night.kind) is None


def is_streamed(config: Config, night: Night) -> bool:
    """Whether what is built of a night that goes on is sent at once."""
    delivery = config.delivery.of(night.kind)
    return delivery is not None and delivery.when == "live"


class Follower:
    """Follows nights that go on; for the daemon's one thread."""

    def __init__(self, ledger: Ledger, scan_cycle: ScanCycle) -> None:
        self._ledger = ledger
        self._scan_cycle = scan_cycle
        self._looked_ns: dict[int, int] = {}

    def follow_all(
        self,
        facts: Iterable[NightSnapshot],
        for_night: Callable[[int, str, Callable[[], object]], None],
    ) -> None:
        """Follow each night that goes on, *for_night*: what goes wrong stops no other."""
        for night in facts:
            if night.is_live and night.hold is None and night.pause is None:
                for_night(night.number, "following it", partial(self.follow, night.number))

    def follow(self, number: int) -> None:
        """Judge how far a night is known; ask for what can be planned, sent and verified of it."""
        clock: Clock = self._ledger.clock
        looked_ns = self._looked_ns.get(number)
        if looked_ns is not None and 0 <= clock.monotonic_ns() - looked_ns < _LOOK_NS:
            return
        watch = self._scan_cycle.nights[number]
        night = nights.get_night(self._ledger, number)
        with self._ledger.transaction():
            self._follow_cubes(number, watch)
            self._follow_outputs(night)
        self._looked_ns[number] = clock.monotonic_ns()

    def _follow_cubes(self, number: int, watch: NightTracker) -> None:
        ledger, config = self._ledger, self._scan_cycle.config
        if number not in self._looked_ns:
            live.find_spans(ledger, number)
        row = live.row_of(ledger, number)
        spans = live.spans(ledger, number, after_us=(row and row.planned_us) or 0)
        patience = Patience(
            allowance_seconds=config.live.allowance_seconds,
            silence_seconds=config.live.silence_seconds,
            gap_seconds=config.cubes.max_gap_seconds,
        )
        mark = watermark(
            spans,
            self._unsettled(number, watch),
            self._quiet_seconds(number, watch),
            patience,
            now_us=ledger.now_us(),
        )
        newest_us = max((span.last_us for span in spans), default=None)
        live.note(ledger, number, mark, newest_us)
        if mark.through_us is not None:
            self._ask_for_plan(number, spans, mark.through_us)

    def _ask_for_plan(self, number: int, spans: list[CubeSpan], through_us: int) -> None:
        """Where a stretch has closed, or one goes on for long, let it be planned."""
        row = live.row_of(self._ledger, number)
        assert row is not None, number
        gap_seconds = self._scan_cycle.config.cubes.max_gap_seconds
        planned_us = row.planned_us or 0
        beyond = [span for span in spans if span.last_us > planned_us]
        closed = closed_stretches(beyond, through_us, gap_seconds=gap_seconds)
        ends_us = closed[-1].last_us if closed else 0
        is_long = through_us >= (row.asked_us or 0) + _AT_LEAST_US
        is_news = any(span.last_us < through_us for span in beyond)
        if ends_us <= (row.stretch_us or 0) and not (is_long and is_news):
            return
        if live.without_digest(self._ledger, number, through_us):
            return
        live.ask_for_plan(self._ledger, number, through_us=through_us, stretch_us=ends_us or None)

    def _follow_outputs(self, night: Night) -> None:
        """Where something is built and not sent, or sent and not verified, let that be done."""
        if not is_streamed(self._scan_cycle.config, night):
            return
        number = night.id
        unsent, unverified = deliveries.open_counts(self._ledger, number)
        if unsent:
            live.renew_task(self._ledger, number, Stage.TRANSFER, "", "more of it is built")
        delivery = self._scan_cycle.config.delivery.of(night.kind)
        # Where somebody moves the files on, they are verified when the night is over.
        if unverified and delivery is not None and delivery.verify_at is None:
            live.renew_task(self._ledger, number, Stage.VERIFY, "", "more of it was sent")

    def _unsettled(self, number: int, watch: NightTracker) -> list[Unsettled]:
        now_ns = self._ledger.clock.monotonic_ns()
        found = []
        for row in live.unsettled(self._ledger, number):
            watched = watch.watched.get(row.path)
            since_ns = now_ns if watched is None else watched.since_ns
            found.append(
                Unsettled(
                    path=row.path,
                    begins_us=begins_at_earliest(named_us(row.stem or ""), row.modified_ns // 1000),
                    unchanged_seconds=(now_ns - since_ns) / 1e9,
                )
            )
        return found

    def _quiet_seconds(self, number: int, watch: NightTracker) -> dict[int, float]:
        """For how long nothing of each camera came or changed, by the clock that says less."""
        now_ns, now_us = self._ledger.clock.monotonic_ns(), self._ledger.now_us()
        night = nights.get_night(self._ledger, number)
        by_date = live.changed_us(self._ledger, number)
        since_ns = {
            camera: max(
                (
                    watched.since_ns
                    for path, watched in watch.watched.items()
                    if path.startswith(f"vcam{camera}/")
                ),
                default=watch.begun_ns,
            )
            for camera in (1, 2)
        }
        return {
            camera: min(
                (now_ns - since_ns[camera]) / 1e9,
                (now_us - by_date.get(camera, night.seen_us)) / 1e6,
            )
            for camera in (1, 2)
        }
