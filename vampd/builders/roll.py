"""Who builds: the builders that were introduced, whether each is taken, and which is free."""

from __future__ import annotations

import logging

from msgspec import Struct
from msgspec.structs import replace

from vampd.builders.card import objections, own_make
from vampd.builders.messages import Introduced
from vampd.io.clock import Clock
from vampd.io.scratch import Owner, own
from vampd.ledger.builders import Builder, Roster
from vampd.states import BuilderState

log = logging.getLogger(__name__)

_MOST_LEFT = 20  # builders that are not there any more, told all the same


class Known(Struct, kw_only=True):
    """A builder that was introduced."""

    row: Builder
    owner: Owner | None = None  #: None: it is not there, or never said
    process: str = ""
    at_work: str | None = None  #: a piece that was given up, at which it is all the same
    key: int | None = None  #: the piece that it was given
    given: int = 0  #: how many so far

    @property
    def is_ready(self) -> bool:
        """Whether it is there, and taken."""
        return self.row.state is BuilderState.READY

    @property
    def is_free(self) -> bool:
        """Whether it may be given a piece."""
        return self.is_ready and self.key is None and self.at_work is None


class Roll:
    """All builders, and the scheduler that leads to them. For the daemon's one thread."""

    def __init__(self, scheduler: str, clock: Clock) -> None:
        self.scheduler = scheduler
        self._clock = clock
        self._known: dict[str, Known] = {}
        self._given_up: set[str] = set()  #: pieces at which a builder may be all the same
        self._away: str | None = "nobody was asked so far"
        self._since_us = clock.now_us()

    @property
    def places(self) -> int:
        """How many pieces may be with builders."""
        return sum(1 for known in self._known.values() if known.is_free or known.key is not None)

    @property
    def away(self) -> str | None:
        """Why no builder can be given work."""
        if self._away is not None:
            return f"the scheduler {self.scheduler} does not answer: {self._away}"
        if any(known.is_ready for known in self._known.values()):
            return None
        refused = [known.row for known in self._known.values() if known.row.why]
        if refused:
            return f"no builder can be used; {refused[0].host}: {refused[0].why}"
        return f"no builder has joined {self.scheduler}"

    @property
    def roster(self) -> Roster:
        """All that is known, for people."""
        return Roster(
            scheduler=self.scheduler,
            away=self._away,
            since_us=self._since_us,
            builders=tuple(known.row for known in self._known.values()),
        )

    def free(self) -> Known | None:
        """A builder that may be given a piece: one of those that had the fewest."""
        free = (known for known in self._known.values() if known.is_free)
        return min(free, key=lambda known: known.given, default=None)

    def take_back(self, address: str, key: int) -> None:
        """A builder has a piece no more."""
        known = self._known.get(address)
        if known is not None and known.key == key:
            known.key = None

    def note_given_up(self, address: str, token: str) -> None:
        """Nobody waits for a piece, at which its builder may be until it says otherwise."""
        known = self._known.get(address)
        if known is not None:
            self._given_up.add(token)
            known.at_work = token

    def note_scheduler(self, away: str | None) -> None:
        """The scheduler answers, or does not: *away* says why."""
        if away == self._away:
            return
        if self._away is None or away is None:
            self._since_us = self._clock.now_us()
        self._away = away
        if away is None:
            log.info("the scheduler %s answers", self.scheduler)
        else:
            log.warning("the scheduler %s is away: %s", self.scheduler, away)

    def introduce(self, told: Introduced) -> None:
        """A builder says what it is, for the first time or again."""
        before = self._known.get(told.address)
        known = before or Known(row=Builder(address=told.address, host=told.name))
        why = told.problem
        if told.card is not None:
            others = [own(), *(each.owner for each in self._known.values() if each.owner)]
            why = "; ".join(objections(told.card, own_make(), others))
            known.owner, known.process = told.card.owner, told.card.process
            known.at_work = told.card.at_work if told.card.at_work in self._given_up else None
        state = BuilderState.REFUSED if why or told.card is None else BuilderState.READY
        is_news = before is None or (before.row.state, before.row.why) != (state, why)
        known.row = Builder(
            address=told.address,
            host=told.card.owner.host if told.card else known.row.host,
            pid=told.card.owner.pid if told.card else None,
            state=state,
            why=why,
            since_us=self._clock.now_us() if is_news else known.row.since_us,
        )
        self._known[told.address] = known
        if is_news:
            level = logging.WARNING if why else logging.INFO
            how = f"is refused: {why}" if why else "has joined"
            log.log(level, "builder %s (%s) %s", known.row.host, told.address, how)

    def note_left(self, address: str) -> None:
        """A builder is not there any more."""
        known = self._known.get(address)
        if known is None or known.row.state is BuilderState.LEFT:
            return
        log.warning("builder %s (%s) is not there any more", known.row.host, address)
        now_us = self._clock.now_us()
        known.row = replace(known.row, state=BuilderState.LEFT, why="", since_us=now_us)
        known.owner = None
        left = [key for key, each in self._known.items() if each.row.state is BuilderState.LEFT]
        for key in left[:-_MOST_LEFT]:
            if self._known[key].key is None:
                del self._known[key]

    def note_all_left(self, why: str) -> None:
        """Nobody can be reached."""
        self.note_scheduler(why)
        for address in list(self._known):
            self.note_left(address)
