"""The `Executor` that has builders' work done by builders, and the rest on this machine.

Each builder has one piece at a time, chosen here: Dask carries it there, and decides nothing.

1. An attempt's scratch folder is made here before it is handed out: see `attempt_folder`.
2. An attempt that is lost, or that nobody wants any more, is over once that folder is gone. Only
   then is its end told, so that the next attempt never goes on beside one that could still publish.
3. What comes of an attempt that is over is dropped.
"""

from __future__ import annotations

import logging
import pickle
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from vampd.builders.bridge_process import BridgeProcess
from vampd.builders.card import Question, Share, leave_word
from vampd.builders.messages import Alive, Ask, Ended, Introduced, LeaveOff, Left, Load, Piece
from vampd.builders.roll import Known, Roll
from vampd.errors import RetryableError
from vampd.io.clock import Clock
from vampd.io.scratch import Owner
from vampd.ledger.builders import Roster
from vampd.schedule.executor import Outcome, Readable
from vampd.schedule.workers import Workers
from vampd.settings.sections import Config
from vampd.stages.attempt_folder import give_up_place, make_place
from vampd.stages.build_job import BuildJob
from vampd.stages.sidecar_job import SidecarJob
from vampd.states import ErrorClass
from vampd.time_units import SECOND_NS

log = logging.getLogger(__name__)

J = TypeVar("J")

_GATHERING_SECONDS = 60.0
_FENCE_AGAIN_SECONDS = 5.0
_WORD_SECONDS = 30.0


class _Given(Struct, kw_only=True):
    """A piece that a builder has."""

    job: object
    address: str
    host: str
    token: str


class _Unfenced(Struct, kw_only=True):
    """A lost attempt whose scratch is still there."""

    given: _Given
    outcome: Outcome[object]  #: to be told then
    due_ns: int


class Builders:
    """Builders on other hosts, beside the processes of this one. For the daemon's one thread."""

    def __init__(
        self,
        settings: Callable[[], Config],
        clock: Clock,
        local: Workers,
        *,
        for_builders: frozenset[Callable[..., object]],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._local = local
        self._for_builders = for_builders
        self._daemon = uuid.uuid4().hex
        scheduler = settings().workers.dask_scheduler
        self._bridge = BridgeProcess(scheduler, clock)
        self._roll = Roll(scheduler, clock)
        self._given: dict[int, _Given] = {}
        self._said: deque[object] = deque()  #: what the bridge said, and was not heeded yet
        self._unfenced: list[_Unfenced] = []
        self._ended: list[Outcome[object]] = []
        self._keys = count(-1, -1)  # those of this machine's processes are positive
        self._seen_ns = clock.monotonic_ns()  #: when a builder was there last
        self._word_ns = 0
        self._shares: tuple[Share, ...] = ()
        self._troubles: dict[str, str] = {}

    def submit(self, work: Callable[[J], object], job: J) -> int:
        """Have *work* done: by a builder, if it is builders' work. RetryableError: none is free."""
        if work not in self._for_builders:
            return self._local.submit(work, job)
        builder = self._roll.free()
        if builder is None or builder.owner is None:
            msg = "no builder is free"
            raise RetryableError(msg)
        return self._give(builder, builder.owner, work, job)

    def finished(self) -> list[Outcome[object]]:
        """What has ended since the last call, each once."""
        self._keep_word()
        self._said.extend(self._bridge.messages())
        while self._said:
            self._take(self._said.popleft())
        if self._bridge.has_ended():
            self._lose_all("its bridge has ended")
        self._fence_again()
        if self.away is None:
            self._seen_ns = self._clock.monotonic_ns()
        ended, self._ended = self._ended, []
        return [*self._local.finished(), *ended]

    def cancel(self, keys: Iterable[int]) -> None:
        """End the work of *keys*: when this returns, nothing of it is published any more.

        RetryableError: a builder has it, and its scratch cannot be taken away.
        """
        keys = list(keys)
        held = self._given | {each.outcome.key: each.given for each in self._unfenced}
        for key in keys:
            if key in held:
                self._demand_fence(held[key])
        self._unfenced = [each for each in self._unfenced if each.outcome.key not in keys]
        for key in keys:
            if key in self._given:
                self._forget(key)
                self._bridge.send(LeaveOff(key=key))
        self._local.cancel(keys)

    def stop(self) -> None:
        """End all work."""
        for key in list(self._given):
            with suppress(RetryableError):  # the next daemon's attempt does it
                self.cancel([key])
        self._bridge.stop()
        self._local.stop()

    def pipes(self) -> Sequence[Readable]:
        """What becomes readable when there may be an outcome."""
        return [*self._local.pipes(), *self._bridge.pipes()]

    @property
    def elsewhere(self) -> Builders:
        """These builders."""
        return self

    @property
    def places(self) -> int:
        """How many pieces builders may have at once."""
        return self._roll.places + len(self._unfenced)  # their work still counts as going on

    @property
    def away(self) -> str | None:
        """Why no builder can be given work."""
        return self._roll.away

    @property
    def is_gathering(self) -> bool:
        """Whether builders may be about to join: there was one, or time for one, a minute ago."""
        since_ns = self._clock.monotonic_ns() - self._seen_ns
        return self.away is not None and since_ns < _GATHERING_SECONDS * SECOND_NS

    @property
    def roster(self) -> Roster:
        """All that is known of builders, for people."""
        return self._roll.roster

    def builder_of(self, key: int) -> str | None:
        """The host that has a piece."""
        given = self._given.get(key)
        return None if given is None else given.host

    def _give(self, builder: Known, owner: Owner, work: object, job: object) -> int:
        if isinstance(job, BuildJob | SidecarJob):
            job = replace(job, place=make_place(job, owner))
        key, token = next(self._keys), uuid.uuid4().hex
        load = Load(work=work, job=job, nice=self._settings().workers.nice)
        given = _Given(job=job, address=builder.row.address, host=builder.row.host, token=token)
        self._bridge.send(
            Piece(
                key=key,
                address=given.address,
                process=builder.process,
                token=token,
                work=pickle.dumps(load),
                seconds=self._settings().workers.give_up_minutes * 60,
            )
        )
        self._given[key] = given
        builder.key = key
        builder.given += 1
        return key

    def _take(self, message: object) -> None:
        match message:
            case Alive(away=away):
                self._roll.note_scheduler(away)
            case Introduced():
                self._roll.introduce(message)
            case Left(address=address):
                self._roll.note_left(address)
            case Ended(key=key, outcome=outcome, problem=problem) if key in self._given:
                if outcome is None:
                    self._lose(key, problem)
                else:
                    self._end(key, outcome)

    def _end(self, key: int, told: bytes) -> None:
        """A builder has answered."""
        try:
            outcome = pickle.loads(told)  # noqa: S301 - of a builder that was taken
            assert isinstance(outcome, Outcome), outcome
        except Exception as error:  # noqa: BLE001 - the other side of a task's boundary
            self._lose(key, f"its answer cannot be read: {error}")
            return
        given = self._forget(key)
        self._fence_or_wait(given, replace(outcome, key=key, builder=given.host))

    def _lose(self, key: int, why: str) -> None:
        """Nothing will be heard of a piece: it counts as over when it can publish no more."""
        given = self._forget(key)
        self._roll.note_given_up(given.address, given.token)
        error = f"builder {given.host} was lost: {why}"
        transient = ErrorClass.TRANSIENT
        lost: Outcome[object] = Outcome(
            key=key, error_class=transient, error=error, lost=True, builder=given.host
        )
        log.warning("%s", error)
        self._fence_or_wait(given, lost)

    def _forget(self, key: int) -> _Given:
        given = self._given.pop(key)
        self._roll.take_back(given.address, key)
        return given

    def _fence_or_wait(self, given: _Given, outcome: Outcome[object]) -> None:
        try:
            _fence(given.job)
        except OSError as error:
            log.warning("what builder %s was at cannot be ended yet: %s", given.host, error)
            due_ns = self._clock.monotonic_ns() + round(_FENCE_AGAIN_SECONDS * SECOND_NS)
            self._unfenced.append(_Unfenced(given=given, outcome=outcome, due_ns=due_ns))
        else:
            self._ended.append(outcome)

    def _demand_fence(self, given: _Given) -> None:
        try:
            _fence(given.job)
        except OSError as error:
            msg = f"what builder {given.host} is at cannot be ended: {error}"
            raise RetryableError(msg) from error

    def _fence_again(self) -> None:
        now_ns = self._clock.monotonic_ns()
        due = [each for each in self._unfenced if each.due_ns <= now_ns]
        for each in due:
            self._unfenced.remove(each)
            self._fence_or_wait(each.given, each.outcome)

    def _lose_all(self, why: str) -> None:
        self._roll.note_all_left(why)
        for key in list(self._given):
            self._lose(key, why)

    def _keep_word(self) -> None:
        """Leave the daemon's word in all roots, and ask the builders for it."""
        now_ns = self._clock.monotonic_ns()
        is_new = self._bridge.keep()
        if not is_new and self._word_ns and now_ns - self._word_ns < _WORD_SECONDS * SECOND_NS:
            return
        self._word_ns = now_ns
        shares = tuple(
            share
            for root in self._settings().roots
            if (share := self._share(root.path)) is not None
        )
        if is_new or shares != self._shares:
            self._shares = shares
            self._bridge.send(Ask(question=Question(daemon=self._daemon, shares=shares)))

    def _share(self, root: Path) -> Share | None:
        try:
            return leave_word(str(root), self._daemon)
        except OSError as error:
            if self._troubles.get(str(root)) != str(error):
                log.warning("builders are not asked for %s: %s", root, error)
            self._troubles[str(root)] = str(error)
            return None


def _fence(job: object) -> None:
    """Let nothing of an attempt be published any more. OSError: that is not so."""
    if isinstance(job, BuildJob | SidecarJob):
        give_up_place(job)
