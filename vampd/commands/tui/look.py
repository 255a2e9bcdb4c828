"""What the full screen shows, gathered at one moment; nothing here is painted.

One look is made of what `status`, `explain` and `log` are made of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

from vampd.allowed import Verdict
from vampd.commands.explain import Explained, explained
from vampd.commands.status_picture import Picture, Wish, take
from vampd.commands.tui.offers import verdicts
from vampd.errors import VampdError
from vampd.ledger.reading import Reader, daemon_lock, has_ledger, reading
from vampd.ledger.records import Night
from vampd.settings.sections import Config
from vampd.time_units import SECOND_US
from vampd.views.history import Event, events, last_event
from vampd.views.inflow import Inflow, inflows
from vampd.views.summaries import nights

#: Of so many of the newest events the log is made.
_NEWEST_EVENTS = 400

#: Where nothing is at work and no event came, disks and ages are looked at so seldom.
_STALE_US = 10 * SECOND_US

#: How much of a stage at work is done moves without events.
_MOVING_US = SECOND_US

_Pulse: TypeAlias = tuple[int, str | None]


class Wanted(Struct, frozen=True, kw_only=True):
    """What the screen is to show. *night*: its number, of which all is told."""

    night: int | None = None
    everything: bool = False  #: all nights that are at rest, too


class NightLook(Struct, frozen=True, kw_only=True):
    """All that is told of the night that is chosen."""

    explained: Explained
    verdicts: Mapping[str, Verdict]  #: what comes of each order that is offered, by its name


class Look(Struct, frozen=True, kw_only=True):
    """All that the screen shows. Where the ledger could not be read, what was seen last."""

    now_us: int
    wanted: Wanted = field(default_factory=Wanted)
    trouble: str | None = None  #: why the ledger could not be read
    picture: Picture | None = None
    night: NightLook | None = None
    log: Sequence[Event] = ()
    arriving: Sequence[Inflow] = ()


class Looker:
    """Looks again and again; what cannot have changed is not gathered anew. For one thread."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._last = Look(now_us=0)
        self._taken_us = 0
        self._pulse: _Pulse | None = None

    def look(self, wanted: Wanted, *, now_us: int) -> Look:
        """Gather what is *wanted*; whatever goes wrong is told in the look."""
        try:
            self._last = self._look(wanted, now_us)
        except (VampdError, OSError) as error:
            self._last = replace(self._last, now_us=now_us, trouble=str(error))
        return self._last

    def _look(self, wanted: Wanted, now_us: int) -> Look:
        picture = self._picture(wanted, now_us)
        if not picture.summaries:
            return Look(now_us=now_us, wanted=wanted, picture=picture)
        with reading(self._config.state_dir, self._config.reading_socket) as ledger:
            every = nights(ledger)
            night = next((night for night in every if night.id == wanted.night), None)
            of_night = None if night is None else [night]
            return Look(
                now_us=now_us,
                wanted=wanted,
                picture=picture,
                night=None if night is None else self._night(ledger, night, every, picture),
                log=events(ledger, nights=of_night, newest=_NEWEST_EVENTS),
                arriving=inflows(ledger, every, now_us=now_us),
            )

    def _picture(self, wanted: Wanted, now_us: int) -> Picture:
        """All nights; as they were at the last look, where nothing can have changed since."""
        last, before = self._last.picture, self._pulse
        self._pulse = self._felt()
        if last is not None and last.full == wanted.everything and self._pulse == before:
            age_us = now_us - self._taken_us
            if 0 <= age_us < (_MOVING_US if last.running else _STALE_US):
                return replace(last, now_us=now_us)
        self._taken_us = now_us
        return take(self._config, Wish(everything=wanted.everything), now_us=now_us)

    def _felt(self) -> _Pulse | None:
        """What is another whenever something happened: the newest event, and who the daemon is."""
        state_dir, socket = self._config.state_dir, self._config.reading_socket
        if not has_ledger(state_dir, socket):
            return None
        with reading(state_dir, socket) as ledger:
            return last_event(ledger), daemon_lock(state_dir, socket)

    def _night(
        self, ledger: Reader, night: Night, every: list[Night], picture: Picture
    ) -> NightLook:
        found = explained(
            ledger,
            night,
            every,
            daemon_runs=picture.daemon_runs,
            now_us=picture.now_us,
            has_mail=self._config.mail.is_configured,
        )
        return NightLook(explained=found, verdicts=verdicts(ledger, night))
