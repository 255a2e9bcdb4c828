"""Plan of a night that still goes on what nothing later can change.

It is planned as the whole night is, from the cubes that are known. What is said of a frame rests on
frames shortly before and after it, and each part of a plan tells until when. So of that plan those
outputs are taken, in their order, up to the first that anything may change which begins after the
watermark. When the night closes, all of it is planned again: that decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from msgspec import Struct

from vampd.records import PlannedOutput, RawCube
from vampd.science.cubes import plan_night
from vampd.science.cutting import CubeLimits
from vampd.science.pieces import SECTION_GAP_US, settled_us
from vampd.science.rules import exposure_us
from vampd.science.timeline import usable_frames
from vampd.science.watermark import CubeSpan, stretches
from vampd.time_units import SECOND_US

#: Where an output stands in the order of frame IDs: its first time, solo ones later, its camera.
Place: TypeAlias = tuple[int, bool, int]


class Advance(Struct, frozen=True, kw_only=True):
    """What can be decided now, beyond what was decided before."""

    outputs: tuple[PlannedOutput, ...]  #: in the order of their frame IDs
    waiting: int  #: outputs of the same cubes that something may still change


def place_of(first_us: int, camera: int, *, synchronised: bool) -> Place:
    """The place of an output in the order of frame IDs, the same for all files of its cube."""
    return first_us, not synchronised, 1 if synchronised else camera


def span_of(cube: RawCube) -> CubeSpan | None:
    """When the usable frames of a cube were taken; None: it has none."""
    times_us = cube.acquired_us[usable_frames(cube)]
    if not len(times_us):
        return None
    return CubeSpan(
        raw_file=cube.raw_file,
        camera=cube.camera,
        first_us=int(times_us.min()),
        last_us=int(times_us.max()),
        exposure_us=exposure_us(cube.cards),
        is_timed=cube.has_acquisition,
    )


def advance(
    cubes: Sequence[RawCube],
    limits: CubeLimits,
    *,
    through_us: int,
    after: Place | None,
    taken_names: Iterable[str] = (),
) -> Advance:
    """Plan *cubes*, and take what ended before *through_us* for good and comes *after* a place.

    *cubes* begin with a stretch: nothing earlier was merged with them. *taken_names* are those of
    outputs that were made of other cubes. Raises as `plan_night` does.
    """
    spans = [span for cube in cubes if (span := span_of(cube)) is not None]
    exposed_us = max((span.exposure_us for span in spans), default=0)
    margin_us = round(limits.max_gap_seconds * SECOND_US) + exposed_us
    plan = plan_night(cubes, limits, taken_names=taken_names)
    known_us = _ended_us(spans, through_us)
    for found in plan.rests:  # the states of pairs rest on the pairs
        known_us = settled_us(found, known_us)
    ends_us = {span.raw_file: span.last_us for span in spans}
    taken: list[PlannedOutput] = []
    for output in plan.outputs:
        # Any frame of its cube may yet be one without a partner.
        last_us = output.last_us if output.synchronised else ends_us[output.header_file]
        if last_us + margin_us >= known_us:
            break
        taken.append(output)
    left = plan.outputs[len(taken) :]
    new = [output for output in taken if after is None or _place(output) > after]
    # The files of one cube have equal times, so all of them were taken, or none.
    return Advance(outputs=tuple(new), waiting=len(left))


def _ended_us(spans: Iterable[CubeSpan], through_us: int) -> int:
    """Until when no cube was taken that goes on beyond the watermark, or is mingled with such.

    Another one may overlap it, by a fault of a clock, and make all of it doubtful.
    """
    ended_us = {1: through_us, 2: through_us}
    for span in sorted(spans, key=lambda span: -span.last_us):
        if span.last_us >= ended_us[span.camera]:
            ended_us[span.camera] = min(ended_us[span.camera], span.first_us)
    return min(ended_us.values())


def first_to_know(
    spans: Iterable[CubeSpan], *, from_us: int, gap_seconds: float, cubes: int
) -> int:
    """From which time on the cubes of a night must be known to plan what comes after *from_us*.

    The beginning of a stretch, so far back that at least *cubes* that ended before are among them:
    all that the plan of the whole night remembers of the offset between the cameras and the noise.
    """
    begins_us = 0
    known = 0
    gap_seconds = max(gap_seconds, SECTION_GAP_US / SECOND_US)
    for stretch in reversed(list(stretches(spans, gap_seconds=gap_seconds))):
        begins_us = stretch.first_us
        if stretch.last_us < from_us:
            known += len(stretch.raw_files)
            if known >= cubes:
                break
    return begins_us


def _place(output: PlannedOutput) -> Place:
    return place_of(output.first_us, output.camera, synchronised=output.synchronised)
