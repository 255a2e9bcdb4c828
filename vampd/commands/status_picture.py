"""What `vampd status` shows, gathered at one moment; nothing here is printed."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from vampd.commands import dates
from vampd.errors import OperatorError
from vampd.io.disk import read_marker
from vampd.io.patience import Inquiry
from vampd.ledger.alerts import Condition
from vampd.ledger.builders import Roster, roster_of
from vampd.ledger.counter import strange_places
from vampd.ledger.local_copies import Side, oldest_proofs
from vampd.ledger.reading import Reader, daemon_lock, has_ledger, reading
from vampd.ledger.records import Night
from vampd.settings.sections import Config
from vampd.states import ErrorClass, Kind, Stage
from vampd.views.activity import Progress, Queue, bytes_of_nights, far_verified_us, progress, queue
from vampd.views.conditions import conditions
from vampd.views.limits import limits
from vampd.views.oddities import Beside, beside
from vampd.views.past import daemon_at, nights_at, summarise_at
from vampd.views.summaries import (
    DaemonRow,
    Summary,
    last_daemon,
    nights,
    recent,
    root_markers,
    summarise,
)

#: A disk that does not answer for this long is taken as hanging; a mounted one takes 1 ms.
ROOT_SECONDS = 1.0

_DELIVERY = frozenset({Stage.TRANSFER, Stage.VERIFY})


class RootView(Struct, frozen=True, kw_only=True):
    """A root of the settings. *present*: the disk that bears its marker is there."""

    path: Path
    kind: Kind
    present: bool
    answers: bool = True  #: whether the system said anything of it within `ROOT_SECONDS`
    known: bool = True  #: whether a daemon ever found a disk or files there
    device: int | None = None
    free_bytes: int | None = None
    total_bytes: int | None = None


class DiskView(Struct, frozen=True, kw_only=True):
    """A disk that bears one or more roots, under the shortest of their paths."""

    path: Path
    free_bytes: int
    total_bytes: int
    spare_bytes: int  #: free, beyond what is kept for the cameras
    night_bytes: int | None  #: what a night put onto it lately, in the mean

    @property
    def nights_left(self) -> float | None:
        """For how many more such nights there is room; None: no night to judge by."""
        return max(0, self.spare_bytes) / self.night_bytes if self.night_bytes else None


class FarView(Struct, frozen=True, kw_only=True):
    """The other machines, as far as the ledger knows."""

    verified_us: int | None  #: when a night was last found whole over there
    failing_since_us: int | None  #: since when work fails for the network's sake
    error: str | None


class Picture(Struct, frozen=True, kw_only=True):
    """All that the screen shows, at one moment."""

    now_us: int
    at_us: int | None = None  #: the past that is shown; None: the present
    host: str
    lock: str | None  #: who holds the daemon's lock
    daemon: DaemonRow | None
    roots: tuple[RootView, ...]
    disks: tuple[DiskView, ...]
    far: FarView
    mail: dict[str, int] | None  #: how many archive nights' mails are how far; None: nobody asks
    queue: Queue
    running: tuple[Progress, ...]
    summaries: list[Summary]
    left_out: int
    full: bool  #: the grid is asked for, whether all is well or not
    to_be_mailed: tuple[str, ...] = ()  #: dates whose mail goes out on an operator's word alone
    strange_ids: tuple[tuple[str, str], ...] = ()  #: frame IDs not believed, and where they stand
    beside: tuple[Beside, ...] = ()  #: what could be the cameras' and is in no night
    told: tuple[Condition, ...] = ()  #: what `vampd check` tells as well, the worst first
    oldest_proofs: Mapping[Side, int] = field(default_factory=dict)  #: copies read longest ago
    builders: Roster | None = None  #: of other hosts; None: all is done here
    is_over: bool = False  #: the daemon ended because it was to end when all was done

    @property
    def daemon_runs(self) -> bool:
        """Whether somebody holds the lock."""
        return self.lock is not None

    @property
    def pauses(self) -> str | None:
        """Why the daemon begins nothing now."""
        return self.daemon.pauses if self.daemon is not None and self.daemon_runs else None


class Wish(Struct, frozen=True, kw_only=True):
    """Which nights are asked for."""

    texts: tuple[str, ...] = ()
    kind: str | None = None
    everything: bool = False
    at_us: int | None = None


def take(config: Config, wish: Wish, *, now_us: int) -> Picture:
    """Gather everything. A disk that hangs costs `ROOT_SECONDS`, and is told.

    OperatorError: the ledger cannot be read, or knows no such night.
    """
    inquiries = [Inquiry(partial(_look_at, root.path)) for root in config.roots]
    until_ns = time.monotonic_ns() + round(ROOT_SECONDS * 1e9)
    try:
        socket = config.reading_socket
        known = has_ledger(config.state_dir, socket)
        lock = daemon_lock(config.state_dir, socket) if known else None
        if not known and not wish.texts:
            answers = [inquiry.answer(until_ns=until_ns) for inquiry in inquiries]
            return _fresh(_roots(config, {}, answers, ran=False), now_us)
        with reading(config.state_dir, socket) as ledger:
            answers = [inquiry.answer(until_ns=until_ns) for inquiry in inquiries]
            inquiries = []
            ran = last_daemon(ledger) is not None
            roots = _roots(config, root_markers(ledger), answers, ran=ran)
            if wish.at_us is not None:
                return _past(ledger, wish, wish.at_us, now_us)
            return _present(ledger, config, wish, roots, lock, now_us)
    finally:
        for inquiry in inquiries:
            inquiry.answer(until_ns=0)


def host_name() -> str:
    """The name of the machine that this runs on, without its domain."""
    return os.uname().nodename.partition(".")[0]


def _fresh(roots: tuple[RootView, ...], now_us: int) -> Picture:
    return Picture(
        now_us=now_us,
        host=host_name(),
        lock=None,
        daemon=None,
        roots=roots,
        disks=(),
        far=FarView(verified_us=None, failing_since_us=None, error=None),
        mail=None,
        queue=Queue(running=0, pending=0),
        running=(),
        summaries=[],
        left_out=0,
        full=False,
    )


def _present(  # noqa: PLR0917 - what was gathered, once
    ledger: Reader,
    config: Config,
    wish: Wish,
    roots: tuple[RootView, ...],
    lock: str | None,
    now_us: int,
) -> Picture:
    every = nights(ledger)
    chosen = _chosen(every, wish)
    summaries = summarise(ledger, chosen)
    mails = _mails(ledger, config)
    return Picture(
        now_us=now_us,
        host=host_name(),
        lock=lock,
        daemon=last_daemon(ledger),
        roots=roots,
        disks=_disks(ledger, config, roots, every),
        far=_far(ledger, summaries),
        mail=_counted(mails),
        queue=queue(summaries),
        running=tuple(progress(ledger, summaries, now_us=now_us)) if lock is not None else (),
        summaries=summaries,
        left_out=0 if wish.texts else len(every) - len(chosen),
        full=bool(wish.texts) or wish.everything,
        beside=tuple(beside(ledger)),
        told=tuple(conditions(ledger, limits(config), now_us)),
        oldest_proofs=oldest_proofs(ledger),
        builders=roster_of(ledger) if lock is not None else None,
        to_be_mailed=_to_be_mailed(config, every, mails),
        strange_ids=tuple(
            (ids, place) for place, ids in strange_places(ledger, config.frame_ids.first).items()
        ),
    )


def _past(ledger: Reader, wish: Wish, at_us: int, now_us: int) -> Picture:
    """What the events say of that time; disks, mail and rates are in no event."""
    every = nights_at(ledger, at_us)
    if not every:
        msg = "the ledger's events begin later than that"
        raise OperatorError(msg)
    chosen = _chosen(every, wish)
    return Picture(
        now_us=now_us,
        at_us=at_us,
        host=host_name(),
        lock=None,
        daemon=daemon_at(ledger, at_us),
        roots=(),
        disks=(),
        far=FarView(verified_us=None, failing_since_us=None, error=None),
        mail=None,
        queue=Queue(running=0, pending=0),
        running=(),
        summaries=summarise_at(ledger, chosen, at_us),
        left_out=0 if wish.texts else len(every) - len(chosen),
        full=True,
    )


def _chosen(every: Sequence[Night], wish: Wish) -> list[Night]:
    if wish.texts:
        return dates.chosen(every, wish.texts, wish.kind)
    of_kind = [night for night in every if wish.kind is None or night.kind == wish.kind]
    return of_kind if wish.everything else recent(of_kind)


def _look_at(path: Path) -> dict[str, Any]:
    """What the system says of a root; for a process of its own, since a dead disk never answers."""
    try:
        status, device = os.statvfs(path), path.stat().st_dev
    except OSError:
        return {"is_there": False}
    try:
        marker = read_marker(path)
    except OSError:
        marker = None
    return {
        "is_there": True,
        "marker": marker,
        "device": device,
        "free_bytes": status.f_bavail * status.f_frsize,
        "total_bytes": status.f_blocks * status.f_frsize,
    }


def _roots(
    config: Config,
    markers: dict[str, str],
    answers: Sequence[dict[str, Any] | None],
    *,
    ran: bool,
) -> tuple[RootView, ...]:
    """The roots as they are; *ran*: a daemon did, so that each should have a marker on record."""
    found = []
    for root, answer in zip(config.roots, answers, strict=True):
        expected = markers.get(str(root.path))
        said = answer or {"is_there": False}
        known = expected is not None or not ran
        right = known and (expected is None or said.get("marker") == expected)
        present = bool(said.get("is_there")) and right
        found.append(
            RootView(
                path=root.path,
                kind=root.kind,
                present=present,
                answers=answer is not None,
                known=known,
                device=said.get("device") if present else None,
                free_bytes=said.get("free_bytes") if present else None,
                total_bytes=said.get("total_bytes") if present else None,
            )
        )
    return tuple(found)


def _disks(
    ledger: Reader, config: Config, roots: Sequence[RootView], every: Sequence[Night]
) -> tuple[DiskView, ...]:
    devices: dict[int, list[RootView]] = {}
    for root in roots:
        if root.device is not None:
            devices.setdefault(root.device, []).append(root)
    kept = round(config.disk.keep_free_gb * 1e9)
    found = []
    for sharing in devices.values():
        first = min(sharing, key=lambda root: len(str(root.path)))
        weights = bytes_of_nights(ledger, every, {str(root.path) for root in sharing})
        free = first.free_bytes or 0
        found.append(
            DiskView(
                path=first.path,
                free_bytes=free,
                total_bytes=first.total_bytes or 0,
                spare_bytes=free - kept,
                night_bytes=sum(weights) // len(weights) if weights else None,
            )
        )
    return tuple(found)


def _mails(ledger: Reader, config: Config) -> dict[int, str] | None:
    """How far the mail of each archive night is, by the night's number; None: nobody is told."""
    if not config.mail.is_configured:
        return None
    # Late: where nobody is told of nights, nothing of mails is needed.
    from vampd.ledger.mail_tracks import tracks

    return {night: track.state for night, track in tracks(ledger, configured=True).items()}


def _counted(mails: dict[int, str] | None) -> dict[str, int] | None:
    return None if mails is None else dict(Counter(mails.values()))


def _to_be_mailed(
    config: Config, every: Sequence[Night], mails: dict[int, str] | None
) -> tuple[str, ...]:
    if not mails or config.mail.mode != "ask":
        return ()
    return tuple(sorted(night.date for night in every if mails.get(night.id) == "ready"))


def _far(ledger: Reader, summaries: Sequence[Summary]) -> FarView:
    """Reachable or not, as the last attempts found it: nobody is asked now."""
    failing = [
        (trouble.failing_since_us or summary.night.changed_us, trouble.error)
        for summary in summaries
        if (trouble := summary.trouble) is not None
        and trouble.stage in _DELIVERY
        and trouble.error_class is ErrorClass.TRANSIENT
        and not summary.elsewhere
    ]
    since_us, error = min(failing, default=(None, None))
    return FarView(verified_us=far_verified_us(ledger), failing_since_us=since_us, error=error)
