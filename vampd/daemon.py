"""The whole life of the daemon.

1. Take the lock of the state directory; open the ledger; put back what a dead daemon's
   workers had claimed.
2. Look at every night, and go on looking: events are hints, the scan is the truth.
3. Hand out what is due, take back what came of it, answer the operators; until stopped. Whatever
   a piece of it meets, the next one is done: see `vampd.ledger.barrier`.
4. Stop in reverse: no new work, a moment for what runs, then it is killed and put back.

One thread does all of it but the waiting. Timers, events and signals only wake it.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path

from vampd import __version__
from vampd.background.table import BACKGROUND_JOBS
from vampd.builders.executor import Builders
from vampd.errors import ConfigError
from vampd.io import rice, systemd
from vampd.io.clock import Clock, SystemClock
from vampd.io.lock import StateLock
from vampd.io.private import make_private_folder
from vampd.io.signals import Alarm
from vampd.ledger import builders, daemons, tasks
from vampd.ledger.connection import Ledger, ledger_path, open_ledger
from vampd.ledger.write_ahead import too_long
from vampd.legacy.shadow import Mirror, refuse_order
from vampd.orders.night import Orders
from vampd.orders.reading_socket import ReadingServer
from vampd.orders.socket import ControlServer
from vampd.schedule.dispatch import NightSnapshot, needs_somebody
from vampd.schedule.engine import Engine
from vampd.schedule.executor import Executor, Readable
from vampd.schedule.fork_server import end_fork_server
from vampd.schedule.idle import is_idle
from vampd.schedule.timers import Timers
from vampd.schedule.workers import Workers
from vampd.settings.load import load
from vampd.settings.sections import Config
from vampd.stages import build
from vampd.stages.attempt_folder import clear_all
from vampd.stages.lost_papers import refuse_to_forget
from vampd.time_units import SECOND_NS
from vampd.watch import inspect
from vampd.watch.events import EventHints
from vampd.watch.hints import Hints
from vampd.watch.run_mode import NORMAL
from vampd.watch.scan_cycle import ScanCycle
from vampd.watch.settle import SETTLING_LOOKS

log = logging.getLogger(__name__)

#: What builders of other hosts do: what takes long, and knows files and its job alone.
FOR_BUILDERS: frozenset[Callable[..., object]] = frozenset(
    {build.work, inspect.work, inspect.sha256_files}
)

_DRAIN_SECONDS = 25.0  # the unit allows 90 before systemd kills
_TICK_SECONDS = 1.0
_HEARTBEAT_SECONDS = 10.0
_GLANCE_SECONDS = 2.0  # events come one by one; what they hint at is looked at together


def run(
    config_path: Path,
    *,
    until_idle: bool,
    mirror: Mirror | None = None,
    clock: Clock | None = None,
) -> int:
    """Run until told to stop, or *until_idle*; return the exit status.

    With a *mirror* it is a shadow of another pipeline.
    """
    config = _settings(config_path, mirror)
    clock = clock or SystemClock()
    make_private_folder(config.state_dir)
    with StateLock.acquire(config.state_dir) as lock, _opened(config, clock) as ledger:
        daemon = Daemon(config_path, config, ledger, lock, clock, mirror)
        return daemon.live(until_idle=until_idle)


def _settings(config_path: Path, mirror: Mirror | None) -> Config:
    config = load(config_path)
    return config if mirror is None else mirror.settings(config)


@contextlib.contextmanager
def _opened(config: Config, clock: Clock) -> Iterator[Ledger]:
    if not ledger_path(config.state_dir).exists():
        refuse_to_forget((root.path for root in config.roots), config.state_dir)
    ledger = open_ledger(config.state_dir, version=__version__, clock=clock)
    try:
        yield ledger
    finally:
        ledger.close()


class Daemon:
    """Everything that lives as long as the daemon does."""

    def __init__(  # noqa: PLR0917 - one caller, and the order in which they are made
        self,
        config_path: Path,
        config: Config,
        ledger: Ledger,
        lock: StateLock,
        clock: Clock,
        mirror: Mirror | None = None,
    ) -> None:
        self._config_path = config_path
        self._mirror = mirror
        self._config = config
        self._ledger = ledger
        self._lock = lock
        self._clock = clock
        self._alarm = Alarm()
        self._scan_cycle = ScanCycle(
            ledger, clock, config, NORMAL if mirror is None else mirror.run_mode
        )
        self._local = Workers(nice=config.workers.nice)
        self._workers = _executor(lambda: self._config, clock, self._local)
        background_jobs = BACKGROUND_JOBS if mirror is None else ()
        self._engine = Engine(ledger, config, self._scan_cycle, self._workers, background_jobs)
        self._orders = Orders(ledger, config, self._engine.cancel, self._beat)
        group = config.control.group
        self._control = ControlServer(config.socket, clock, group=group)
        self._readers = ReadingServer(config.reading_socket, group, config.state_dir)
        self._hints = EventHints([root.path for root in config.roots], self._alarm.ring)
        self._timers = Timers()
        self._life = 0
        self._heard_ns = 0
        self._hinted = Hints()
        self._scanned_ns = 0
        self._looked_ns = 0
        self._log_told = False

    def live(self, *, until_idle: bool) -> int:
        """Begin, go round until stopped, end; return the exit status."""
        self._begin()
        try:
            while not self._alarm.stop.is_set() and self._lock.still_held():
                self._go_round()
                if until_idle and is_idle(self._engine, self._scan_cycle, self._ledger.now_us()):
                    break
        finally:
            self._end()
        return 1 if until_idle and any(map(needs_somebody, self._engine.facts)) else 0

    def _begin(self) -> None:
        at_work = tasks.folders_at_work(self._ledger)
        reaped = tasks.reap(self._ledger, "its worker died with the daemon")
        for folder in at_work:
            self._scan_cycle.barrier.attempt(f"clearing {folder}", partial(clear_all, folder))
        builders.forget(self._ledger)
        if reaped:
            log.info("%d tasks of the last daemon are put back", reaped)
        self._scan_cycle.barrier.forget_all()
        self._life = daemons.begin(
            self._ledger, pid=os.getpid(), version=__version__, coder_trouble=_coder_trouble()
        )
        self._alarm.listen()
        if self._config.watch.events:
            self._hints.start()
        self._timers.every(self._config.night.scan_seconds, self._alarm.ring_scan)
        self._timers.start()
        self._alarm.ring_scan()
        systemd.notify("READY=1\nSTATUS=looking at the nights for the first time")
        log.info("vampd %s began, %d roots", __version__, len(self._config.roots))

    def _go_round(self) -> None:
        """One turn: look if it is time, take back, answer, hand out; then wait for a ring."""
        barrier = self._scan_cycle.barrier
        barrier.regularly("the daemon's heartbeat", self._beat)
        if self._alarm.reload.is_set():
            barrier.attempt("reading the configuration again", self._reload)
        barrier.regularly("looking at the nights", self._look)
        barrier.attempt("taking back work", self._engine.collect)
        barrier.attempt("answering commands", self._serve)
        barrier.regularly("handing out work", self._engine.hand_out)
        signs: list[int | Readable] = [
            self._alarm.fileno(),
            self._control.fileno(),
            self._readers.fileno(),
            *self._workers.pipes(),
        ]
        wait(signs, timeout=_TICK_SECONDS)
        self._alarm.silence()

    def _serve(self) -> None:
        self._control.serve(self._orders.carry_out if self._mirror is None else refuse_order)
        self._readers.serve()

    def _look(self) -> None:
        """Look where it is time to look: everywhere by the timer, else where hints say.

        Hints of one file after another are one look, and files that settle are looked at with them.
        """
        if self._config.watch.events:
            self._hints.take(self._hinted)
        now_ns = self._clock.monotonic_ns()
        is_due = now_ns - self._scanned_ns > self._seconds_to_scan() * SECOND_NS
        if self._alarm.scan.is_set() or is_due or self._hinted.everything:
            self._scan()
            return
        settle_seconds = self._config.night.settle_seconds
        if now_ns - self._looked_ns < min(_GLANCE_SECONDS, settle_seconds) * SECOND_NS:
            return
        hinted = self._hinted | self._scan_cycle.settled()
        if hinted:
            self._looked_ns, self._hinted = now_ns, Hints()
            self._scan_cycle.glance(hinted, self._beat)
            self._watch_for_events(anew=bool(hinted.nights))

    def _seconds_to_scan(self) -> float:
        """Between whole looks; where a night may be over but for them, they follow each other."""
        seconds = self._config.night.scan_seconds
        if any(self._is_closing(night) for night in self._engine.facts):
            seconds = min(seconds, max(self._config.night.settle_seconds, 0.2))
        return seconds

    def _is_closing(self, night: NightSnapshot) -> bool:
        watch = self._scan_cycle.nights.get(night.number)
        if watch is None or not watch.waits_for or watch.unchanged_looks >= SETTLING_LOOKS:
            return False
        return night.close_asked or watch.due_us <= self._ledger.now_us()

    def _scan(self) -> None:
        self._alarm.scan.clear()
        self._hinted = Hints()
        self._scan_cycle.go(self._beat)
        self._scanned_ns = self._looked_ns = self._clock.monotonic_ns()
        self._watch_for_events(anew=True)

    def _watch_for_events(self, *, anew: bool) -> None:
        if anew and self._config.watch.events:
            self._hints.update(watch.folder for watch in self._scan_cycle.nights.values())

    def _beat(self) -> None:
        """Tell systemd, and the ledger, that the loop still goes round."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._heard_ns < _HEARTBEAT_SECONDS * SECOND_NS:
            return
        self._heard_ns = now_ns
        counts = f"{len(self._engine.facts)} nights, {self._engine.busy} workers busy"
        systemd.notify(f"WATCHDOG=1\nSTATUS={counts}")
        daemons.note_alive(self._ledger, self._life, pauses=self._engine.brake.why)
        for key, why in self._engine.tell_stopped(self._local.stopped()).items():
            self._local.give_up(key, why)
        self._fold_in()

    def _fold_in(self) -> None:
        """Keep the ledger's write-ahead log small; whoever prevents it is told once."""
        if self._ledger.fold_in():
            self._log_told = False
        elif not self._log_told and (told := too_long(ledger_path(self._config.state_dir))):
            log.warning("%s", told)
            self._log_told = True

    def _reload(self) -> None:
        """Take a good configuration; keep the old one otherwise."""
        self._alarm.reload.clear()
        try:
            config = _settings(self._config_path, self._mirror)
        except (ConfigError, OSError, ValueError) as error:
            log.error("the old configuration is kept: %s", error)  # noqa: TRY400 - no traceback
            return
        if _for_good(config) != _for_good(self._config):
            log.error(
                "state_dir, [control], workers.executor and workers.dask_scheduler change at a"
                " restart only: the old configuration is kept"
            )
            return
        self._config = self._engine.config = self._scan_cycle.config = self._orders.config = config
        self._alarm.ring_scan()
        log.info("the configuration was read again")

    def _end(self) -> None:
        systemd.notify("STOPPING=1")
        self._timers.stop()
        self._hints.stop()
        if self._lock.still_held():
            self._drain()
            self._engine.stop()
            daemons.end(self._ledger, self._life)
        else:
            log.error("the lock was lost: stopped without another word to the ledger")
        self._workers.stop()
        end_fork_server()
        self._control.close()
        self._readers.close()
        log.info("vampd ended")

    def _drain(self) -> None:
        deadline_ns = self._clock.monotonic_ns() + round(_DRAIN_SECONDS * SECOND_NS)
        while self._engine.busy and self._clock.monotonic_ns() < deadline_ns:
            wait(self._workers.pipes(), timeout=_TICK_SECONDS)
            self._engine.collect()
        self._engine.refresh()


def _for_good(config: Config) -> tuple[object, ...]:
    """What stays as it is while a daemon runs."""
    dask = (config.workers.executor, config.workers.dask_scheduler)
    return config.state_dir, config.socket, config.control, *dask


def _executor(settings: Callable[[], Config], clock: Clock, local: Workers) -> Executor:
    """Who does the work, as it is set. Dask is loaded by its bridge alone."""
    if settings().workers.executor == "local":
        return local
    return Builders(settings, clock, local, for_builders=FOR_BUILDERS)


def _coder_trouble() -> str | None:
    """What is wrong with the compiled Rice coder; the log says which one does the work."""
    choice = rice.chosen()
    if choice.is_wrong:
        log.error("%s", choice.said)
        return choice.said
    log.log(logging.INFO if choice.is_own else logging.WARNING, "%s", choice.said)
    return None
