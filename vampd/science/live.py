"""Plan of a night that still goes on what nothing later can change.

It is planned as the whole night is, from the cubes that are known, and of that plan those outputs
are taken which ended well before the watermark, in their order, up to the first that did not.
When the night closes, all of it is planned again: that decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from msgspec import Struct

from vampd.records import PlannedOutput, RawCube
from vampd.science.cubes import plan_night
from vampd.science.cutting import CubeLimits
from vampd.science.rules import exposure_us
from vampd.science.timeline import usable_frames
from vampd.science.watermark import CubeSpan, stretches

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
    margin_us = round(limits.max_gap_seconds * 1_000_000) + exposed_us
    plan = plan_night(cubes, limits, taken_names=taken_names)
    taken: list[PlannedOutput] = []
    for output in plan.outputs:
        if output.last_us + margin_us >= through_us:
            break
        taken.append(output)
    left = plan.outputs[len(taken) :]
    new = [output for output in taken if after is None or _place(output) > after]
    # The files of one cube have equal times, so all of them were taken, or none.
    return Advance(outputs=tuple(new), waiting=len(left))


def first_to_know(
    spans: Iterable[CubeSpan], *, from_us: int, gap_seconds: float, cubes: int
) -> int:
    """From which time on the cubes of a night must be known to plan what comes after *from_us*.

    The beginning of a stretch, so far back that at least *cubes* that ended before are among them:
    they tell the offset between the cameras and the noise, as those of the whole night would.
    """
    begins_us = 0
    known = 0
    for stretch in reversed(list(stretches(spans, gap_seconds=gap_seconds))):
        begins_us = stretch.first_us
        if stretch.last_us < from_us:
            known += len(stretch.raw_files)
            if known >= cubes:
                break
    return begins_us


def _place(output: PlannedOutput) -> Place:
    return place_of(output.first_us, output.camera, synchronised=output.synchronised)
