"""The whole life of the receiver.

1. Take the lock of the state directory; open the ledger.
2. Look into the inboxes, and go on looking: events are hints, the scan is the truth.
3. Move on what is right, say what is not, reduce what was received; until stopped.
4. What a killed process or a power cut left is found again by looking: nothing but the ledger and
   the folders is needed for going on.
"""

from __future__ import annotations

import logging
import os
from multiprocessing.connection import wait
from pathlib import Path

from vampd import __version__
from vampd.errors import ConfigError
from vampd.io import systemd
from vampd.io.clock import Clock, SystemClock
from vampd.io.lock import StateLock
from vampd.io.private import make_private_folder
from vampd.io.signals import Alarm
from vampd.layout import OUTPUT_FOLDER, OWN_FOLDER
from vampd.ledger.barrier import Barrier
from vampd.ledger.connection import Ledger
from vampd.ledger.dates import Dates
from vampd.orders.socket import ControlServer
from vampd.receive import ledger as books
from vampd.receive import ledger_steps
from vampd.receive.desk import Desk
from vampd.receive.letters import MAIL, Letters
from vampd.receive.orders import Orders
from vampd.receive.reduction import Reduction
from vampd.receive.rounds import Rounds
from vampd.receive.settings import ReceiveConfig, load
from vampd.receive.states import NightState
from vampd.schedule.executor import Readable
from vampd.schedule.fork_server import end_fork_server
from vampd.schedule.workers import Workers
from vampd.time_units import SECOND_NS, SECOND_US
from vampd.watch.events import EventHints

log = logging.getLogger(__name__)

_TICK_SECONDS = 1.0
_HEARTBEAT_SECONDS = 10.0
_DRAIN_SECONDS = 25.0
_PRELOAD = ("vampd.receive.carry", "vampd.receive.look")


def run(config_path: Path, *, until_idle: bool, clock: Clock | None = None) -> int:
    """Run until told to stop, or *until_idle*; return the exit status."""
    config = load(config_path)
    clock = clock or SystemClock()
    make_private_folder(config.state_dir)
    with StateLock.acquire(config.state_dir) as lock:
        ledger = books.opened(config.state_dir, version=__version__, clock=clock)
        try:
            return Receiver(config_path, config, ledger, lock).live(until_idle=until_idle)
        finally:
            ledger.close()


class Receiver:
    """Everything that lives as long as the receiver does."""

    def __init__(
        self, config_path: Path, config: ReceiveConfig, ledger: Ledger, lock: StateLock
    ) -> None:
        self._config_path = config_path
        self._config = config
        self._ledger = ledger
        self._lock = lock
        self._alarm = Alarm()
        self._barrier = Barrier(ledger)
        self._workers = Workers(nice=config.workers.nice, preload=_PRELOAD)
        self._desk = Desk(self._workers, self._barrier)
        self._rounds = Rounds(ledger, config, self._desk)
        self._reduction = Reduction(ledger, config, self._desk)
        self._letters = Letters(ledger, config, self._desk)
        self._orders = Orders(ledger, config, self._rounds.hint)
        self._control = ControlServer(config.socket, ledger.clock, group=config.control.group)
        self._hints = EventHints(
            [inbox.folder for inbox in config.inbox], self._alarm.ring, (OUTPUT_FOLDER, OWN_FOLDER)
        )
        self._dates = Dates(ledger, books.PUT_OFF, books.SINCE)
        self._updated = 0  # after which look the watches were made
        self._life = 0
        self._heard_ns = 0

    def live(self, *, until_idle: bool) -> int:
        """Begin, go round until stopped, end; return the exit status."""
        self._begin()
        try:
            while not self._alarm.stop.is_set() and self._lock.still_held():
                self._go_round()
                if until_idle and self._is_idle():
                    break
        finally:
            self._end()
        return 1 if until_idle and self._needs_somebody() else 0

    def _needs_somebody(self) -> bool:
        states = {row.state for row in books.nights(self._ledger)}
        is_unwell = books.has_trouble(self._ledger) or ledger_steps.any_failed(self._ledger)
        return is_unwell or bool(states - {NightState.RECEIVED})

    def _begin(self) -> None:
        self._barrier.forget_all()
        self._reduction.begin()
        self._life = books.begin_life(self._ledger, pid=os.getpid(), version=__version__)
        self._alarm.listen()
        if self._config.watch.events:
            self._hints.start()
        systemd.notify("READY=1\nSTATUS=looking into the inboxes")
        log.info("vampd receive %s began, %d inboxes", __version__, len(self._config.inbox))

    def _go_round(self) -> None:
        barrier = self._barrier
        barrier.regularly("the receiver's heartbeat", self._beat)
        if self._alarm.reload.is_set():
            barrier.attempt("reading the configuration again", self._reload)
        barrier.regularly("mending dates", self._mend_dates)
        barrier.regularly("hearing of changes", self._hear)
        barrier.attempt("taking back work", self._desk.collect)
        barrier.attempt("answering commands", self._serve)
        barrier.regularly("handing out work", self._rounds.hand_out)
        barrier.regularly("reducing what was received", self._reduction.hand_out)
        barrier.regularly("telling the operators", self._letters.hand_out)
        signs: list[int | Readable] = [
            self._alarm.fileno(),
            self._control.fileno(),
            *self._desk.pipes(),
        ]
        wait(signs, timeout=_TICK_SECONDS)
        self._alarm.silence()

    def _mend_dates(self) -> None:
        retry = self._config.retry
        self._dates.mend(round(max(retry.longest_seconds, retry.first_seconds) * SECOND_US))

    def _serve(self) -> None:
        self._control.serve(self._orders.carry_out)

    def _hear(self) -> None:
        if not self._config.watch.events:
            return
        if self._hints.take():
            self._rounds.hint()
        if self._rounds.looks == self._updated:
            return
        self._updated = self._rounds.looks
        self._hints.update(self._rounds.folders)

    def _is_idle(self) -> bool:
        return self._rounds.is_idle and self._reduction.is_idle and not self._desk.count(MAIL)

    def _beat(self) -> None:
        now_ns = self._ledger.clock.monotonic_ns()
        if now_ns - self._heard_ns < _HEARTBEAT_SECONDS * SECOND_NS:
            return
        self._heard_ns = now_ns
        nights = books.nights(self._ledger)
        systemd.notify(f"WATCHDOG=1\nSTATUS={len(nights)} nights, {len(self._desk)} at work")
        books.note_alive(self._ledger, self._life)
        self._ledger.fold_in()

    def _reload(self) -> None:
        """Take good settings; keep the old ones otherwise."""
        self._alarm.reload.clear()
        try:
            config = load(self._config_path)
        except (ConfigError, OSError, ValueError) as error:
            log.error("the old configuration is kept: %s", error)  # noqa: TRY400 - no traceback
            return
        old = self._config
        if (config.state_dir, config.socket, config.inbox) != (
            old.state_dir,
            old.socket,
            old.inbox,
        ):
            log.error(
                "state_dir, [control] and [[inbox]] change at a restart only: the old configuration"
                " is kept"
            )
            return
        self._config = self._rounds.config = self._orders.config = config
        self._reduction.config = self._letters.config = config
        self._rounds.hint()
        log.info("the configuration was read again")

    def _end(self) -> None:
        systemd.notify("STOPPING=1")
        self._hints.stop()
        if self._lock.still_held():
            self._drain()
            self._workers.stop()
            self._reduction.stop()
            books.end_life(self._ledger, self._life)
        self._workers.stop()
        end_fork_server()
        self._control.close()
        log.info("vampd receive ended")

    def _drain(self) -> None:
        clock = self._ledger.clock
        deadline_ns = clock.monotonic_ns() + round(_DRAIN_SECONDS * SECOND_NS)
        while len(self._desk) and clock.monotonic_ns() < deadline_ns:
            wait(self._desk.pipes(), timeout=_TICK_SECONDS)
            self._desk.collect()
