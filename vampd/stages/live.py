"""Plan a night that goes on as far as nothing can change it; and at its close, confirm that.

The stage sync of an open night has a unit of its own. It adds outputs, in their order, and what
follows from them: frame IDs, building. The close plans all of the night as ever. What comes out the
same stays, with its frame ID and what was built and delivered of it; the rest is made anew.
"""

from __future__ import annotations

from msgspec import Struct

from vampd.errors import RetryableError
from vampd.io.root import NightPlace
from vampd.ledger import cubes, live, outputs, tasks
from vampd.ledger.connection import Ledger
from vampd.ledger.nights import get_night, place_of
from vampd.ledger.records import Cube, Night, Output
from vampd.ledger.tasks import Task
from vampd.science.cubes import CubeLimits
from vampd.science.live import Advance, Place, advance, first_to_know
from vampd.science.remembered import REMEMBERED_CUBES
from vampd.stages import doubles
from vampd.stages.raw_cubes import SeenCube, raw_cube
from vampd.states import Kind, Stage

#: So many cubes of the night so far are known to a plan, at least. Twice as many as it remembers:
#: those that are there twice are not planned.
KNOWN_CUBES = 2 * REMEMBERED_CUBES

_MORE = "more of the night is planned"


class MoreJob(Struct, frozen=True, kw_only=True, eq=False):
    """More of a night that goes on is to be planned."""

    attempt: int
    place: NightPlace
    limits: CubeLimits
    cubes: tuple[Cube, ...]
    through_us: int  #: so far all is known
    after: Place | None  #: of the last output that is planned
    taken_names: tuple[str, ...]


def prepare_more(ledger: Ledger, night: Night, limits: CubeLimits, *, attempt: int) -> MoreJob:
    """The job of `plan_more`."""
    row = live.row_of(ledger, night.id)
    assert row is not None, night.id
    assert row.asked_us is not None, night.id
    after = live.last_place(ledger, night.id)
    begins_us = 0
    if after is not None:
        begins_us = first_to_know(
            live.spans(ledger, night.id),
            from_us=after[0],
            gap_seconds=limits.max_gap_seconds,
            cubes=KNOWN_CUBES,
        )
    return MoreJob(
        attempt=attempt,
        place=place_of(ledger, night),
        limits=limits,
        cubes=tuple(cubes.cubes_between(ledger, night.id, begins_us, row.asked_us)),
        through_us=row.asked_us,
        after=after,
        taken_names=tuple(live.names_before(ledger, night.id, begins_us)),
    )


def plan_more(job: MoreJob) -> Advance:
    """Plan more of a night that goes on."""
    # A cube that is there twice is used once, as at the close, which also says so.
    seen = [SeenCube(cube=raw_cube(row), row=row) for row in job.cubes]
    known = doubles.find(job.place, seen)
    return advance(
        known.cubes,
        job.limits,
        through_us=job.through_us,
        after=job.after,
        taken_names=job.taken_names,
    )


def record_more(ledger: Ledger, task: Task, found: Advance) -> None:
    """Add outputs to the plan of a night that still goes on."""
    night = get_night(ledger, task.night)
    number, made = night.id, found.outputs
    raw = {segment.raw_file: None for output in made for segment in output.segments}
    raw |= {
        segment.partner_file: None
        for output in made
        for segment in output.segments
        if segment.partner_file is not None
    }
    changed = next(live.not_as_planned(ledger, number, raw), None)
    if night.closed_us is not None or changed is not None:
        return  # what is not known any more is planned by the next, or at the close
    with ledger.transaction():
        outputs.add_outputs(ledger, number, made)
        live.planned(ledger, number, max((output.last_us for output in made), default=None))
        if not made:
            return
        if night.kind == Kind.ARCHIVE:
            live.renew_task(ledger, number, Stage.FRAME_IDS, "", _MORE)
        for output in outputs.unbuilt_of_batch(ledger, number):
            tasks.add_task(ledger, number, Stage.BUILD, outputs.unit_of(output))


def confirm(ledger: Ledger, night: Night, before: list[Output]) -> None:
    """Tell what the close kept of what was planned *before*; what failed is tried again."""
    after = outputs.outputs_of_batch(ledger, night.id)
    left, known = ({row.content_key for row in rows} for rows in (after, before))
    kept = [row for row in after if row.content_key in known]
    last = max((row.ordinal for row in kept), default=-1)
    late = [row for row in after if row.content_key not in known and row.ordinal < last]
    anew = [row for row in before if row.content_key not in left and row.size_bytes is not None]
    live.confirm(ledger, night.id, kept=len(kept), anew=len(anew), late=len(late))
    # What failed while the night went on may have failed for what its close set right.
    tasks.retry_failed(ledger, night.id, "its close tries it again")


def demand_settled(ledger: Ledger, night: Night, rows: list[Output], raw_files: set[int]) -> None:
    """RetryableError: what was planned of a night that goes on cannot be built as it was planned.

    An output of an archive night has no frame ID, or a raw file is not what it was.
    """
    if not live.goes_on(ledger, night):
        return
    if night.kind == Kind.ARCHIVE and any(row.frame_id is None for row in rows):
        msg = f"{rows[0].name}: it has no frame ID yet"
        raise RetryableError(msg)
    changed = next(live.not_as_planned(ledger, night.id, dict.fromkeys(raw_files)), None)
    if changed is not None:
        msg = f"{changed}: not the file any more of which {rows[0].name} was planned"
        raise RetryableError(msg)
