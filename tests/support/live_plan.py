"""A night planned again and again while its cubes come in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from vampd.records import PlannedOutput, RawCube
from vampd.science.cubes import CubeLimits
from vampd.science.live import Place, advance, first_to_know, place_of, span_of
from vampd.science.watermark import CubeSpan, Patience, closed_stretches, watermark

LIMITS = CubeLimits()
PATIENCE = Patience(allowance_seconds=5, silence_seconds=60, gap_seconds=LIMITS.max_gap_seconds)
LATER_US = 10**17
_BUSY = {1: 0.0, 2: 0.0}
_SILENT = {1: 9e9, 2: 9e9}


def played(
    cubes: Sequence[RawCube], *, every: int = 0, remembered: int = 10_000
) -> list[PlannedOutput]:
    """All outputs, planned as the cubes come in: when a stretch closes, or at *every* so many."""
    done: list[PlannedOutput] = []
    closed = 0
    for number, (arrived, quiet) in enumerate(_arrivals(cubes)):
        spans = {cube.raw_file: span for cube in arrived if (span := span_of(cube)) is not None}
        mark = watermark(spans.values(), [], quiet, PATIENCE, now_us=LATER_US)
        if mark.through_us is None:
            continue
        now = len(closed_stretches(spans.values(), mark.through_us, gap_seconds=3.0))
        if now > closed or (every and number % every == 0):
            done += _advanced(arrived, spans, mark.through_us, done, remembered)
            closed = now
    return done


def _arrivals(cubes: Sequence[RawCube]) -> Iterator[tuple[list[RawCube], dict[int, float]]]:
    ends = {cube.raw_file: span.last_us for cube in cubes if (span := span_of(cube)) is not None}
    order = sorted(cubes, key=lambda cube: (ends.get(cube.raw_file, 0), cube.raw_file))
    for number in range(1, len(order) + 1):
        yield order[:number], _BUSY
    yield order, _SILENT


def _advanced(
    arrived: Sequence[RawCube],
    spans: dict[int, CubeSpan],
    through_us: int,
    done: Sequence[PlannedOutput],
    remembered: int,
) -> Sequence[PlannedOutput]:
    after: Place | None = None
    begins_us = 0
    if done:
        last = done[-1]
        after = place_of(last.first_us, last.camera, synchronised=last.synchronised)
        begins_us = first_to_know(
            spans.values(), from_us=last.first_us, gap_seconds=3.0, cubes=remembered
        )
    chosen = [cube for cube in arrived if _begins(cube, spans) >= begins_us]
    taken = [output.name for output in done if output.first_us < begins_us]
    found = advance(chosen, LIMITS, through_us=through_us, after=after, taken_names=taken)
    return found.outputs


def _begins(cube: RawCube, spans: dict[int, CubeSpan]) -> int:
    return spans[cube.raw_file].first_us if cube.raw_file in spans else 0


def same(live: Sequence[PlannedOutput], whole: Sequence[PlannedOutput]) -> bool:
    """Whether the outputs are equal, in the same order; the numbers of cubes are the ledger's."""
    return [replace(one, cube=0) for one in live] == [replace(one, cube=0) for one in whole]
