"""The facts on which giving space back is decided, read from the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from vampd.background.reclaim.rules import Moment, Retention, SpaceFacts, refusals
from vampd.layout import OUTPUT_FOLDER
from vampd.ledger import deliveries, elapsed, mail_tracks, proofs, trash
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night, TrashFile
from vampd.ledger.trash import Candidate
from vampd.settings.sections import Config, Reclaim
from vampd.states import Kind, NightStatus, OutputState, Space
from vampd.time_units import DAY_US
from vampd.views import frame_audit
from vampd.views.details import OutputRow, outputs
from vampd.views.summaries import nights

_MOST_PROBLEMS = 3  # more do not make a refusal clearer

_Files: TypeAlias = Sequence[TrashFile] | Sequence[Candidate]


class Proposal(Struct, frozen=True, kw_only=True):
    """One kind of space of one night: what would go, and all that speaks against it."""

    night: Night
    facts: SpaceFacts
    refusals: tuple[str, ...]  #: a stale verification apart: it is made when the time comes


def now(ledger: Ledger) -> Moment:
    """What time it is, by both clocks."""
    return Moment(now_us=ledger.now_us(), passed_us=elapsed.passed_us(ledger))


def retention(settings: Reclaim) -> Retention:
    """How long things are kept."""
    return Retention(
        outputs_us=round(settings.outputs_after_days * DAY_US),
        raw_us=round(settings.raw_after_days * DAY_US),
        trash_us=round(settings.trash_days * DAY_US),
    )


def propose(
    ledger: Ledger,
    config: Config,
    night: Night,
    space: Space,
    *,
    final: bool,
    verified: Moment | None = None,
) -> Proposal:
    """All that decides about one kind of space of a night, and the decision.

    *verified*: when the run that asks found every far copy right. The frames are counted, which
    takes long for a night of 10^4 cubes, only if nothing else speaks against it.
    """
    files = _files(ledger, night.id, space, final=final)
    facts = _facts(ledger, night, space, files, final=final, verified=verified)
    return _decide(ledger, config, night, facts)


def _decide(ledger: Ledger, config: Config, night: Night, facts: SpaceFacts) -> Proposal:
    keep, moment = retention(config.reclaim), now(ledger)
    against = refusals(facts, moment, keep)
    if not against:
        unproved = tuple(_unproved(ledger, night, facts.space, final=facts.final))
        facts = replace(facts, unproved=unproved)
        against = refusals(facts, moment, keep)
    return Proposal(night=night, facts=facts, refusals=against)


def proposals(ledger: Ledger, config: Config, night: Night) -> list[Proposal]:
    """What of a night could be given back now or later: what lies in the trash, then the rest."""
    return [
        _decide(ledger, config, night, _facts(ledger, night, space, files, final=final))
        for final in (True, False)
        for space in Space
        if (files := _files(ledger, night.id, space, final=final))
    ]


def _facts(
    ledger: Ledger,
    night: Night,
    space: Space,
    chosen: _Files,
    *,
    final: bool,
    verified: Moment | None = None,
) -> SpaceFacts:
    number = night.id
    kept = trash.pinned(ledger, number)
    since = elapsed.safe_since(ledger, number)
    return SpaceFacts(
        kind=Kind(night.kind),
        space=space,
        final=final,
        status=NightStatus(night.status),
        hold=night.hold,
        kept=None if kept is None else kept.why,
        is_acknowledged=_is_acknowledged(ledger, night),
        late=_count(ledger, "raw_file where night = ? and state in ('late', 'arriving')", number),
        undecided=len(trash.undecided(ledger, number)),
        strays=_count(
            ledger,
            # One that is gone is in nobody's way.
            "stray join raw_file on raw_file.id = stray.raw_file where stray.night = ?"
            " and (stray.state != 'missing' or raw_file.state != 'gone')",
            number,
        ),
        unfinished=_count(ledger, "task where night = ? and state != 'done'", number),
        on_their_way=trash.on_their_way(ledger, number),
        safe_since=None if since is None else _moment(since.since_us, since.passed_us),
        trashed=_last_trashed(chosen),
        verified=verified,
        unverified=_count(ledger, "deliverable where night = ? and verified_us is null", number),
        unproved=(),
        files=len(chosen),
        size_bytes=sum(row.size_bytes for row in chosen),
    )


def _files(ledger: Ledger, night: int, space: Space, *, final: bool) -> _Files:
    if final:
        return trash.in_trash(ledger, night, space)
    return trash.candidates(ledger, night, space)


def _moment(now_us: int, passed_us: int) -> Moment:
    return Moment(now_us=now_us, passed_us=passed_us)


def _count(ledger: Ledger, what: str, night: int) -> int:
    number: int = ledger.value(f"select count(*) from {what}", [night])  # noqa: S608 - constants
    return number


def _is_acknowledged(ledger: Ledger, night: Night) -> bool:
    """Whether the archive has acknowledged every batch; others than archive nights need no word."""
    if night.kind != Kind.ARCHIVE:
        return True
    return mail_tracks.acknowledged_batch(ledger.connection, night.id) >= int(night.batch)


def _last_trashed(chosen: _Files) -> Moment | None:
    rows = [each for each in chosen if isinstance(each, TrashFile)]
    if not rows:
        return None
    return Moment(
        now_us=max(row.moved_us or 0 for row in rows),
        passed_us=max(row.moved_passed_us or 0 for row in rows),
    )


def _unproved(ledger: Ledger, night: Night, space: Space, *, final: bool) -> Iterator[str]:
    """What is wrong with the proofs without which nothing goes.

    Every raw frame is in one output, or rejected with a reason; every output is delivered as it was
    built; and every raw file was rebuilt bit for bit from that. Outputs go only after that, too: it
    is from them that raw files are rebuilt.
    """
    this = next(each for each in nights(ledger.connection) if each.id == night.id)
    yield from _not_delivered(ledger, this)
    if not (space is Space.OUTPUTS and final):
        unproved = proofs.unproved_files(ledger, this.id)
        yield from _told("not proved to be rebuildable", unproved)
    if space is Space.RAW:
        yield from _told("not proved to be rebuildable", trash.unproved(ledger, this.id))
        account = frame_audit.account(ledger.connection, this)
        yield from account.problems[:_MOST_PROBLEMS]
        if account.frames != account.in_outputs + account.rejected:
            yield (
                f"{account.frames} frames, but {account.in_outputs} in outputs and"
                f" {account.rejected} rejected"
            )


def _told(what: str, paths: list[str]) -> Iterator[str]:
    if paths:
        yield f"{len(paths)} raw files are {what}, {paths[0]} first"


def _not_delivered(ledger: Ledger, night: Night) -> Iterator[str]:
    """Outputs that are not listed for the other machine just as they were built."""
    listed = {row.path: row.sha256 for row in deliveries.deliverables_of(ledger, night.id)}
    made = outputs(ledger.connection, night)
    wrong = [row.name for row in made if not _is_listed(row, listed)]
    if wrong:
        yield f"{len(wrong)} of {len(made)} outputs are not delivered as built, {wrong[0]} first"


def _is_listed(row: OutputRow, listed: dict[str, str]) -> bool:
    return (
        row.state is OutputState.VERIFIED
        and row.sha256 is not None
        and row.timing_sha256 is not None
        and listed.get(row.cube_path) == row.sha256
        and listed.get(row.timing_path) == row.timing_sha256
        and row.cube_path.startswith(f"{OUTPUT_FOLDER}/")
    )
