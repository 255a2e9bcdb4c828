"""Giving space back, step by step: verify afresh, decide again, move, a day later unlink.

Every step is decided anew from the ledger, and its files are written down as leaving before they
are touched. A step whose worker ended in between is looked after first: by looking where
its files are. Nothing of this begins by itself unless `reclaim.enabled`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vampd.background.reclaim.facts import Proposal, now, proposals, propose
from vampd.background.reclaim.moves import CopiesJob, Done, MoveJob, Step, work
from vampd.background.reclaim.outcome import end_refused, log_run, mark_reclaimed, record
from vampd.background.reclaim.rules import Moment, fit, gigabytes, why_stale
from vampd.errors import OperatorError
from vampd.ledger import elapsed, nights, reclaims, roots, trash
from vampd.ledger.connection import Ledger
from vampd.ledger.reclaims import Reclaim
from vampd.ledger.records import Night, TrashFile
from vampd.ledger.rows import fetch_all
from vampd.schedule.background_job import BackgroundJob
from vampd.schedule.work import Seat
from vampd.settings.sections import Config
from vampd.stages.verify import verify_job
from vampd.states import ReclaimState, Space, TrashState
from vampd.time_units import HOUR_US

# Files that go on one decision: a hold or a `vampd space keep` stops a run after so many at the
# latest. What is moved can be moved back; to remove one takes the disk longer, and is for ever.
_MOVED_AT_ONCE = 1000
_REMOVED_AT_ONCE = 200

#: Why a run of vampd's own choice began.
CHOSEN = "its time has come"


def due(ledger: Ledger, config: Config) -> CopiesJob | MoveJob | None:
    """The next step, if there is one.

    1. Time is witnessed, whether anything is to be given back or not.
    2. Files whose worker ended in between are looked for.
    3. If it is enabled and time, a new run is chosen.
    4. What was begun goes on, as long as nothing speaks against it.
    """
    passed_us = elapsed.record_elapsed(ledger)
    unsettled = trash.unsettled(ledger, _MOVED_AT_ONCE, passed_us)
    if unsettled:
        return move_job(ledger, unsettled, "settle", row=None)
    if config.reclaim.enabled and _is_time(ledger, config, passed_us):
        begin_run(ledger, config, CHOSEN)
    for row in reclaims.open_ones(ledger):
        if row.due_passed_us <= passed_us:
            job = _next_step(ledger, config, row)
            if job is not None:
                return job
    return None


def begin_run(ledger: Ledger, config: Config, why: str) -> list[Proposal]:
    """Begin a run over all nights, within the limits of one run; return what was begun."""
    with ledger.transaction():
        elapsed.note_run(ledger)
        elapsed.mend_dates(ledger)
        for night in fetch_all(Night, ledger, "select * from night where status = 'safe'"):
            mark_reclaimed(ledger, night)
        run = reclaims.next_run(ledger)
        begun = [each for each, answer in chosen(ledger, config) if answer is None]
        for each in begun:
            begin_one(ledger, run, each, why)
    return begun


def chosen(ledger: Ledger, config: Config) -> list[tuple[Proposal, str | None]]:
    """What could go of every night, the longest safe first, and why it does not go in this run.

    Of each night one thing at a time: what lies in the trash, then outputs, then raw files.
    """
    found = []
    for night in fetch_all(
        Night,
        ledger,
        "select night.* from night join safe_since on safe_since.night = night.id"
        " where night.id not in (select night from reclaim where state in ('verifying', 'moving'))"
        " and night.status in ('safe', 'reclaimed') order by safe_since.since_us, night.date",
    ):
        allowed = [each for each in proposals(ledger, config, night) if not each.refusals]
        found += allowed[:1]
    answers = fit(
        [each.facts.size_bytes for each in found],
        max_bytes=config.reclaim.max_gb_per_run * 1e9,
        max_nights=config.reclaim.max_nights_per_run,
    )
    return list(zip(found, answers, strict=True))


def begin_one(ledger: Ledger, run: int, proposal: Proposal, why: str) -> None:
    """Begin to give back what *proposal* names."""
    facts, night = proposal.facts, proposal.night
    number = reclaims.begin(ledger, run, night.id, facts.space, final=facts.final, why=why)
    size = f"{facts.files} files, {gigabytes(facts.size_bytes)} GB"
    log_run(reclaims.get(ledger, number), night, f"begins, {size}: {why}")


def _is_time(ledger: Ledger, config: Config, passed_us: int) -> bool:
    last_us = elapsed.last_run_us(ledger)
    return last_us is None or passed_us - last_us >= config.reclaim.every_hours * HOUR_US


def _next_step(ledger: Ledger, config: Config, row: Reclaim) -> CopiesJob | MoveJob | None:
    """The job with which *row* goes on; None: it ended."""
    night = nights.get_night(ledger, row.night)
    if row.state == ReclaimState.MOVING and row.life != reclaims.life(ledger):
        reclaims.verify_again(ledger, row.id, "another daemon goes on: it verifies anew")
        row = reclaims.get(ledger, row.id)
    if row.state == ReclaimState.VERIFYING:
        return _verify_job(ledger, config, row, night)
    most = _REMOVED_AT_ONCE if row.final else _MOVED_AT_ONCE
    going = reclaims.next_files(ledger, row, most)
    if not going:
        size = f"{row.files} files, {gigabytes(row.size_bytes)} GB"
        reclaims.end(ledger, row.id, ReclaimState.DONE, size)
        log_run(row, night, f"done, {size}")
        return None
    against = _against(ledger, config, row, night)
    if against:
        end_refused(ledger, row, night, against)
        return None
    intended = TrashState.UNLINKING if row.final else TrashState.LEAVING
    with ledger.transaction():
        trash.set_states(ledger, [each.id for each in going], intended)
    going = [trash.get(ledger, each.id) for each in going]
    return move_job(ledger, going, "unlink" if row.final else "move", row=row)


def _against(ledger: Ledger, config: Config, row: Reclaim, night: Night) -> str:
    """What speaks, at this moment, against the next files of *row*; "" where nothing does."""
    assert row.verified_us is not None, row.id
    assert row.verified_passed_us is not None, row.id
    verified = Moment(now_us=row.verified_us, passed_us=row.verified_passed_us)
    space, final = Space(row.space), bool(row.final)
    proposal = propose(ledger, config, night, space, final=final, verified=verified)
    stale = why_stale(proposal.facts, now(ledger))
    return "; ".join((*proposal.refusals, stale) if stale else proposal.refusals)


def _verify_job(ledger: Ledger, config: Config, row: Reclaim, night: Night) -> CopiesJob | None:
    """Have every file that was delivered read through, and look at what could go."""
    space = Space(row.space)
    against = propose(ledger, config, night, space, final=bool(row.final)).refusals
    if against:
        end_refused(ledger, row, night, "; ".join(against))
        return None
    try:
        copies = verify_job(ledger, config, night, afresh=True)
    except OperatorError as error:
        end_refused(ledger, row, night, str(error))
        return None
    moment = now(ledger)
    paths = [] if row.final else trash.candidates(ledger, night.id, space)
    return CopiesJob(
        **_place(ledger, night),
        reclaim=row.id,
        us=moment.now_us,
        passed_us=moment.passed_us,
        paths=[each.path for each in paths],
        copies=copies,
    )


def _place(ledger: Ledger, night: Night) -> dict[str, str]:
    """Where a night lies, and by what its disk is known: the fields of `OnDisk`."""
    root = Path(night.folder).parent
    marker = roots.marker_of(ledger, str(root))
    return {
        "label": nights.label(night),
        "root": str(root),
        "marker": marker or "",
        "date": Path(night.folder).name,
    }


def move_job(
    ledger: Ledger, rows: Sequence[TrashFile], step: Step, *, row: Reclaim | None
) -> MoveJob:
    """A step for files of one night, whose rows say what is intended with them."""
    return MoveJob(
        **_place(ledger, nights.get_night(ledger, rows[0].night)),
        step=step,
        reclaim=None if row is None else row.id,
        files=[trash.leaving(ledger, each) for each in rows],
    )


JOB: BackgroundJob[CopiesJob | MoveJob, Done] = BackgroundJob(
    name="reclaim", seat=Seat.NETWORK, due=due, work=work, result=Done, record=record
)
