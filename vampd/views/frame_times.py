"""The times of a night's frames, as arrays, for plots."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from vampd.ledger.blobs import unpack_times
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.ledger.rows import fetch_all
from vampd.records import Segment
from vampd.science.quality import pair_times
from vampd.states import FlcState
from vampd.views.exposures import settings

# A plot shows no more; every so many-th is taken where there are more.
_MOST_POINTS = 200_000

_NO_TIMES = np.empty(0, np.int64)
_NO_STATES = np.empty(0, np.str_)


class TargetSpan(Struct, frozen=True, kw_only=True):
    """From the first to the last frame of outputs of one target that follow each other."""

    target: str
    first_us: int
    last_us: int


class Offsets(Struct, frozen=True, kw_only=True):
    """Pairs of frames, (pairs,) each, in the order of time."""

    times_us: NDArray[np.int64]  #: camera 1's
    offsets_us: NDArray[np.int64]  #: camera 2's time less that
    states: NDArray[np.str_]  #: of the crystal


def target_spans(ledger: Reader, night: Night) -> list[TargetSpan]:
    """What was looked at, in the order of time; outputs without a target are of none."""
    spans: list[TargetSpan] = []
    for first_us, last_us, cards in ledger.execute(
        "select output.first_us, output.last_us, cube.cards from output"
        " join cube on cube.raw_file = output.header_file where output.night = ?"
        " order by output.first_us, output.id",
        (night.id,),
    ):
        target = settings(cards).target
        if spans and spans[-1].target == target:
            spans[-1] = replace(spans[-1], last_us=max(last_us, spans[-1].last_us))
        else:
            spans.append(TargetSpan(target=target, first_us=first_us, last_us=last_us))
    return spans


def pair_offsets(ledger: Reader, night: Night) -> Offsets:
    """The offset of the cameras in each pair; of more than 200 000, so many of them, evenly."""
    total = ledger.execute(
        "select coalesce(sum(frames), 0) from output where night = ? and synchronised"
        " and camera = 1",
        (night.id,),
    ).fetchone()[0]
    every = max(1, total // _MOST_POINTS)
    times, offsets, states = [_NO_TIMES], [_NO_TIMES], [_NO_STATES]
    known: dict[int, NDArray[np.int64]] = {}
    for state, segments in _segments(ledger, night, "synchronised and camera = 1"):
        wanted = {each.raw_file for each in segments} | {
            each.partner_file for each in segments if each.partner_file is not None
        }
        known = _times(ledger, wanted, known)
        own_us, partner_us = (each[::every] for each in pair_times(segments, known))
        times.append(own_us)
        offsets.append(partner_us - own_us)
        states.append(np.full(len(own_us), state))
    order = np.argsort(np.concatenate(times), kind="stable")
    return Offsets(
        times_us=np.concatenate(times)[order],
        offsets_us=np.concatenate(offsets)[order],
        states=np.concatenate(states)[order],
    )


def flc_intervals(ledger: Reader, night: Night) -> dict[str, NDArray[np.int64]]:
    """Intervals after frames of each state, less the middle of their cube's two peaks; us."""
    found: dict[str, list[NDArray[np.int64]]] = defaultdict(list)
    known: dict[int, NDArray[np.int64]] = {}
    for state, segments in _segments(ledger, night, "flc_state != ''"):
        known = _times(ledger, {each.raw_file for each in segments}, known)
        for segment in segments:
            intervals = _intervals_after(segment, known[segment.raw_file])
            if len(intervals):
                found[state].append(intervals)
    joined = {state: np.concatenate(parts) for state, parts in sorted(found.items())}
    every = max(1, sum(map(len, joined.values())) // _MOST_POINTS)
    return {state: intervals[::every] for state, intervals in joined.items()}


def _intervals_after(segment: Segment, times: NDArray[np.int64]) -> NDArray[np.int64]:
    steps = np.diff(times)
    timed = (times[:-1] > 0) & (times[1:] > 0)
    if not timed.any():
        return _NO_TIMES
    middle = int(np.percentile(steps[timed], [25, 75]).mean())  # a quarter lies in either peak
    frames = segment.first + np.arange(segment.count) * segment.step
    frames = frames[frames < len(steps)]
    return steps[frames][timed[frames]] - middle


def _segments(ledger: Reader, night: Night, which: str) -> Iterator[tuple[FlcState, list[Segment]]]:
    """The segments of each output, and its state; *which*: a condition of SQL, of ours."""
    outputs = ledger.execute(
        f"select id, flc_state from output where night = ? and {which}"  # noqa: S608
        " order by first_us, id",
        (night.id,),
    ).fetchall()
    for output, state in outputs:
        query = "select * from segment where output = ? order by position"
        yield FlcState(state), fetch_all(Segment, ledger, query, (output,))


def _times(
    ledger: Reader, wanted: set[int], known: dict[int, NDArray[np.int64]]
) -> dict[int, NDArray[np.int64]]:
    """The acquisition times of the raw cubes that are *wanted*; only new ones are read."""
    return {
        number: known[number] if number in known else _read_times(ledger, number)
        for number in wanted
    }


def _read_times(ledger: Reader, raw_file: int) -> NDArray[np.int64]:
    query = "select acquired from cube where raw_file = ?"
    (acquired,) = ledger.execute(query, (raw_file,)).fetchone()
    return unpack_times(acquired)
