"""Whether a night's space may be given back. Pure: facts in, refusals out.

Nothing raw goes unless, at that moment, every frame has its copy verified afresh at the far
end, the night is safe, its retention has passed since it became safe, nothing of it is
quarantined, late, held, unacknowledged by the archive or kept by an operator, and the raw files
are proved to be rebuildable from what was delivered. That holds for the way into the trash,
and again for the way out of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from vampd.states import Kind, NightStatus, Space
from vampd.time_units import DAY_US

#: So old may the proof be that the far copies are right.
FRESH_US = DAY_US

_AT_REST = {
    Space.RAW: frozenset({NightStatus.SAFE}),
    # Once the raw files have gone, the local outputs may follow: the far copies are what is left.
    Space.OUTPUTS: frozenset({NightStatus.SAFE, NightStatus.RECLAIMED}),
}


class Moment(Struct, frozen=True, kw_only=True):
    """A time by two clocks: the host's date, and what a daemon saw to pass (never too much)."""

    now_us: int
    passed_us: int


class Retention(Struct, frozen=True, kw_only=True):
    """How long things are kept."""

    outputs_us: int
    raw_us: int
    trash_us: int

    def of(self, space: Space) -> int:
        """How long *space* is kept after its night became safe."""
        return self.raw_us if space is Space.RAW else self.outputs_us


class SpaceFacts(Struct, frozen=True, kw_only=True):
    """What decides about one kind of space of one night."""

    kind: Kind
    space: Space
    final: bool  #: out of the trash for ever, rather than into it
    status: NightStatus
    hold: str | None
    kept: str | None  #: why an operator wants the night kept
    is_acknowledged: bool  #: by the archive, every batch
    late: int  #: files that came after the night was closed
    undecided: int  #: quarantined files on which no operator has decided
    unfinished: int  #: units of work that are not done: a supplement is under way
    on_their_way: int  #: files whose move was not seen to its end
    safe_since: Moment | None  #: seen to be safe since
    trashed: Moment | None  #: when the last file came into the trash
    verified: Moment | None  #: when this run found every far copy right
    unverified: int  #: delivered files that are not right at the far end, as last seen
    unproved: tuple[str, ...]  #: what is wrong with the audit of its frames, and with the proof
    files: int
    size_bytes: int
    strays: int = 0  #: raw files that do not lie in their folder as they were recorded


def refusals(facts: SpaceFacts, now: Moment, keep: Retention) -> tuple[str, ...]:
    """Why the space may not be given back, whatever a verification would find; () is: it may."""
    if not facts.files:
        return ("there is nothing to give back",)
    return (*_of_the_night(facts), *_of_time(facts, now, keep), *_of_files(facts))


def why_stale(facts: SpaceFacts, now: Moment) -> str | None:
    """Why the far copies must be verified first; None: they were, within 24 hours."""
    if facts.verified is None:
        return "its far copies are to be verified afresh"
    if facts.unverified:
        return f"{facts.unverified} files are not verified at the far end"
    dated_us = now.now_us - facts.verified.now_us
    seen_us = now.passed_us - facts.verified.passed_us
    if not (0 <= dated_us <= FRESH_US and 0 <= seen_us <= FRESH_US):
        return f"its far copies were verified {days(max(abs(dated_us), seen_us))} days ago"
    return None


def days(time_us: int) -> str:
    """Days, as sentences give them."""
    return f"{time_us / DAY_US:.1f}"


def _of_the_night(facts: SpaceFacts) -> Iterator[str]:
    if facts.status not in _AT_REST[facts.space]:
        yield f"it is {facts.status}, not safe"
    if facts.hold is not None:
        yield f"it is held: {facts.hold}"
    if facts.kept is not None:
        yield f"it is kept: {facts.kept}"
    if facts.late:
        yield f"{facts.late} late files are not processed"
    if facts.unfinished:
        yield f"{facts.unfinished} units of work are not done"
    if facts.on_their_way:
        yield f"{facts.on_their_way} files are on their way into or out of the trash"
    if facts.kind is Kind.ARCHIVE and not facts.is_acknowledged:
        yield "the archive has not acknowledged it"


def _of_time(facts: SpaceFacts, now: Moment, keep: Retention) -> Iterator[str]:
    least_us = keep.of(facts.space)
    if facts.safe_since is None:
        yield f"it was not seen to be safe yet, of {days(least_us)} days"
    else:
        yield from _too_short("safe", facts.safe_since, now, least_us)
    if facts.final and facts.trashed is not None:
        yield from _too_short("in the trash", facts.trashed, now, keep.trash_us)


def _too_short(what: str, since: Moment, now: Moment, least_us: int) -> Iterator[str]:
    """Both clocks must agree: a date can be set, and a daemon is not always there to see."""
    dated_us, seen_us = now.now_us - since.now_us, now.passed_us - since.passed_us
    if dated_us < least_us:
        yield f"{what} for {days(dated_us)} of {days(least_us)} days"
    elif seen_us < least_us:
        yield f"{what} by the host's date, but seen so for {days(seen_us)} of {days(least_us)} days"


def _of_files(facts: SpaceFacts) -> Iterator[str]:
    if facts.space is Space.RAW:
        if facts.undecided:
            yield f"{facts.undecided} quarantined files are undecided"
        if facts.strays:
            yield f"{facts.strays} raw files do not lie there as they were recorded"
    # Outputs wait for the proof, too: it is from them that raw files are rebuilt.
    yield from facts.unproved


def fit(sizes_bytes: Sequence[int], *, max_bytes: float, max_nights: int) -> list[str | None]:
    """Why each night, in the order of their turns, does not go in this run; None: it goes.

    A night goes whole or not at all; one that does not fit does not stop those behind it.
    """
    answers: list[str | None] = []
    left, nights = max_bytes, max_nights
    for size_bytes in sizes_bytes:
        answer = None
        if size_bytes > max_bytes:
            answer = f"{gigabytes(size_bytes)} GB, and a run takes {gigabytes(max_bytes)} at most"
        elif nights == 0:
            answer = f"a run takes {max_nights} nights at most: it goes with a later one"
        elif size_bytes > left:
            answer = f"{gigabytes(size_bytes)} GB, and {gigabytes(left)} are left of this run"
        else:
            left, nights = left - size_bytes, nights - 1
        answers.append(answer)
    return answers


def gigabytes(size_bytes: float) -> str:
    """Units of 10^9 bytes, as sentences give them."""
    return f"{size_bytes / 1e9:.1f}"
