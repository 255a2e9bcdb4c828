"""What the ledger says of frame IDs, night by night, and whether it agrees with itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from msgspec import Struct

from vampd.ledger.frame_ids import frame_id_text
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.ledger.rows import fetch_all
from vampd.states import NightStatus, RequestState, WaitCode

_NEEDED_NONE = frozenset(
    {NightStatus.EMPTY, NightStatus.ABANDONED, NightStatus.SAFE, NightStatus.RECLAIMED}
)


class Dealt(Struct, frozen=True, kw_only=True):
    """One row of the ledger's frame IDs."""

    number: int
    batch: int
    state: str
    content_key: str | None
    reserved_us: int
    why: str | None


class Bearer(Struct, frozen=True, kw_only=True):
    """An output that has a frame ID, or is to have one."""

    batch: int
    name: str
    frame_id: int | None
    content_key: str
    is_built: bool
    size_bytes: int | None


class Request(Struct, frozen=True, kw_only=True):
    """A request for frame IDs that was sent to somebody else."""

    number: int
    batch: int
    count: int
    issuer: str
    state: str
    reply: str | None
    error: str | None
    asked_us: int
    changed_us: int
    changed_by: str
    why: str | None


class Numbering(Struct, frozen=True, kw_only=True):
    """All of one archive night that concerns its frame IDs."""

    id: int
    date: str
    folder: str
    status: NightStatus
    cause: str | None
    waits_for_older: bool  #: *cause* names an older night that may need frame IDs first
    seen_us: int
    skip_why: str | None
    is_late: bool  #: while it went on later outputs got numbers before some that came late
    is_foreign: bool  #: the earlier pipeline's: its numbers are known, and not vampd's
    numbered: frozenset[int]  #: the batches that have their numbers
    listed: frozenset[str]  #: what goes to the other machine, relative to the folder
    dealt: Sequence[Dealt]
    bearers: Sequence[Bearer]
    requests: Sequence[Request]
    is_asking: bool = False  #: it is still to get numbers, for outputs that have none
    of_others: frozenset[int] = frozenset()  #: numbers of other nights, between those of this one

    def of_state(self, state: str) -> list[int]:
        """Its numbers in one state, ascending."""
        return [row.number for row in self.dealt if row.state == state]


class _Block(Struct, frozen=True, kw_only=True):
    """The numbers that one batch of a night bears."""

    night: Numbering
    batch: int
    lowest: int
    highest: int
    reserved_us: int  #: the last of them

    def __str__(self) -> str:
        supplement = f" (batch {self.batch})" if self.batch > 1 else ""
        return f"archive {self.night.date}{supplement}"


class _ArchiveNight(Night, frozen=True, kw_only=True):
    """A night with what else is asked of it."""

    is_foreign: bool
    is_late: bool


def numberings(ledger: Reader) -> list[Numbering]:
    """Every archive night, the oldest first."""
    query = f"{_NIGHTS} where kind = 'archive' order by date"
    return [_numbering(ledger, night) for night in fetch_all(_ArchiveNight, ledger, query)]


def numbering_of(ledger: Reader, night: Night) -> Numbering:
    """The same of one night."""
    [found] = fetch_all(_ArchiveNight, ledger, f"{_NIGHTS} where night.id = ?", [night.id])
    return _numbering(ledger, found)


_NIGHTS = (
    "select night.*, exists (select 1 from adoption where adoption.night = night.id"
    " and state in ('noticed', 'adopted')) as is_foreign,"
    " exists (select 1 from live where live.night = night.id and late > 0) as is_late from night"
)


def _numbering(ledger: Reader, night: _ArchiveNight) -> Numbering:
    number = (night.id,)
    done = ledger.execute(
        "select distinct batch from task where night = ? and stage = 'frame_ids'"
        " and state = 'done'",
        number,
    )
    listed = ledger.execute("select path from deliverable where night = ?", number)
    return Numbering(
        id=night.id,
        date=night.date,
        folder=night.folder,
        status=night.status,
        cause=night.cause,
        waits_for_older=night.cause_code == WaitCode.OLDER_NIGHT,
        seen_us=night.seen_us,
        skip_why=night.ids_skip_why,
        is_late=night.is_late,
        is_foreign=night.is_foreign,
        numbered=frozenset(batch for (batch,) in done),
        listed=frozenset(path for (path,) in listed),
        dealt=fetch_all(Dealt, ledger, _DEALT, number),
        bearers=fetch_all(Bearer, ledger, _BEARERS, number),
        requests=fetch_all(Request, ledger, _REQUESTS, number),
        is_asking=ledger.execute(_ASKING, number).fetchone() is not None,
        of_others=frozenset(of for (of,) in ledger.execute(_OF_OTHERS, number)),
    )


_DEALT = (
    "select number, batch, state, content_key, reserved_us, why from frame_id where night = ?"
    " order by number"
)
_BEARERS = (
    "select batch, name, frame_id, content_key, state != 'planned' as is_built, size_bytes"
    " from output where night = ? order by ordinal"
)
_ASKING = (
    "select 1 from task where night = ? and stage = 'frame_ids' and state in ('pending', 'running')"
)
_OF_OTHERS = (
    "select number from frame_id where night != ?1"
    " and number > (select min(number) from frame_id where night = ?1)"
    " and number < (select max(number) from frame_id where night = ?1)"
)
_REQUESTS = (
    "select id as number, batch, count, issuer, state, reply, error, asked_us, changed_us,"
    " changed_by, why from frame_request where night = ? order by id"
)


def incomplete(night: Numbering) -> Iterator[str]:
    """What the ledger's own rows of a night do not agree upon."""
    bound = {
        (row.batch, row.content_key): row.number for row in night.dealt if row.state == "bound"
    }
    begun = {bearer.batch for bearer in night.bearers if bearer.frame_id is not None}
    numbered = night.numbered if night.is_asking else night.numbered | begun
    for bearer in night.bearers:
        number = bound.pop((bearer.batch, bearer.content_key), None)
        if bearer.frame_id is None and bearer.batch in numbered:
            yield f"{bearer.name}: has no frame ID, though its batch has its numbers"
        elif bearer.frame_id is not None and number != bearer.frame_id:
            yield f"{bearer.name}: {frame_id_text(bearer.frame_id)} is not bound to it"
    if night.bearers:
        for number in bound.values():
            yield f"{frame_id_text(number)}: bound to a content that no output has"
    yield from _undecided(night)
    yield from _twice(night)
    yield from _unordered(night)
    yield from _skipped(night)


def _undecided(night: Numbering) -> Iterator[str]:
    for row in night.dealt:
        if row.state == "reserved" and row.batch in night.numbered:
            yield f"{frame_id_text(row.number)}: reserved, and neither bound nor void"
        if row.state == "void" and not row.why:
            yield f"{frame_id_text(row.number)}: void, and no row says why"
    for request in night.requests:
        if request.state == RequestState.UNCLEAR:
            yield f"request {request.number}: unclear what was dealt of {request.count} frame IDs"


def _twice(night: Numbering) -> Iterator[str]:
    bearers: dict[int, str] = {}
    for bearer in night.bearers:
        if bearer.frame_id is not None:
            first = bearers.setdefault(bearer.frame_id, bearer.name)
            if first != bearer.name:
                yield f"{first} and {bearer.name}: both are {frame_id_text(bearer.frame_id)}"


def _skipped(night: Numbering) -> Iterator[str]:
    """Numbers within a batch that nobody bears, and of which the ledger has no row.

    Where others deal, those in between may have been dealt to anybody.
    """
    dealing = {RequestState.ANSWERED, RequestState.ADOPTED}
    if any(request.state in dealing for request in night.requests):
        return
    known = {row.number for row in night.dealt} | night.of_others
    for batch in sorted({bearer.batch for bearer in night.bearers}):
        borne = {
            bearer.frame_id
            for bearer in night.bearers
            if bearer.batch == batch and bearer.frame_id is not None
        }
        for number in range(min(borne, default=0), max(borne, default=0)):
            if number not in borne and number not in known:
                yield f"{frame_id_text(number)}: skipped, and no row says why"


def _unordered(night: Numbering) -> Iterator[str]:
    """Within a batch numbers follow the outputs, unless a new plan came between."""
    replanned = {row.batch for row in night.dealt if row.state == "void"}
    replanned |= {1} if night.is_late else set()
    for earlier, later in pairwise(night.bearers):
        if earlier.batch != later.batch or earlier.batch in replanned:
            continue
        if (later.frame_id or earlier.frame_id or 0) < (earlier.frame_id or 0):
            yield (
                f"{later.name}: {frame_id_text(later.frame_id or 0)} comes after"
                f" {frame_id_text(earlier.frame_id or 0)}"
            )


def chronology(ledger: Reader, nights: Sequence[Numbering]) -> tuple[list[str], list[str]]:
    """Where numbers do not follow the dates: what nothing explains, and the exceptions on record.

    An exception is a night that was skipped on an operator's word, that came late, that needed
    no numbers when the younger one got its own, or a supplement, or planned anew.
    """
    problems: list[str] = []
    exceptions: list[str] = []
    blocks = sorted(_blocks(nights), key=lambda block: (block.night.date, block.batch))
    for older in blocks:
        for younger in blocks:
            if younger.night.date <= older.night.date or younger.lowest > older.highest:
                continue
            said = (
                f"{older}: {frame_id_text(older.highest)} comes after"
                f" {frame_id_text(younger.lowest)} of {younger}"
            )
            why = _exception(ledger, older, younger)
            if why is None:
                problems.append(f"{said}, and nothing says why")
            else:
                exceptions.append(f"{said}: {why}")
    return problems, exceptions


def gaps(nights: Sequence[Numbering]) -> list[str]:
    """Runs of numbers between those that the ledger knows, of which it knows nothing.

    The issuer dealt them to somebody else, or to nobody; or vampd's own counter was set higher.
    """
    dealt = sorted((row.number, night.date) for night in nights for row in night.dealt)
    return [
        f"{frame_id_text(below + 1)} to {frame_id_text(above - 1)}, before those of archive {date}:"
        f" {above - below - 1} frame IDs of which the ledger knows nothing"
        for (below, _), (above, date) in pairwise(dealt)
        if above > below + 1
    ]


def _blocks(nights: Sequence[Numbering]) -> Iterator[_Block]:
    for night in nights:
        for batch in sorted({row.batch for row in night.dealt}):
            rows = [row for row in night.dealt if row.batch == batch and row.state == "bound"]
            if rows:
                yield _Block(
                    night=night,
                    batch=batch,
                    lowest=rows[0].number,
                    highest=rows[-1].number,
                    reserved_us=max(row.reserved_us for row in rows),
                )


def _exception(ledger: Reader, older: _Block, younger: _Block) -> str | None:
    night = older.night
    if night.skip_why is not None:
        return f"it was skipped: {night.skip_why}"
    if older.batch > 1:
        return "it is a supplement"
    if night.seen_us > younger.reserved_us:
        return "its folder came later"
    if any(row.batch == older.batch and row.state == "void" for row in night.dealt):
        return "it was planned anew, and its new outputs got new numbers"
    row = ledger.execute(
        "select became from event where subject = 'night' and subject_id = ? and at_us <= ?"
        " order by id desc limit 1",
        (night.id, younger.reserved_us),
    ).fetchone()
    if row is not None and row[0] in _NEEDED_NONE:
        return f"it was {row[0]} then, and needed none"
    return None
