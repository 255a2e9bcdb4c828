"""The times of a night's frames, as arrays, for plots."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vampd.ledger.blobs import unpack_times
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.ledger.rows import fetch_all
from vampd.records import Segment
from vampd.science.quality import pair_times
from vampd.science.rules import flc_applies

# A plot shows no more; every so many-th is taken where there are more.
_MOST_POINTS = 200_000


def pair_offsets(ledger: Reader, night: Night) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Camera 1's time of each pair, and camera 2's less that; (pairs,) each, us, in order.

    Of a night of more than 200 000 pairs, so many of them, evenly.
    """
    times: list[NDArray[np.int64]] = []
    offsets: list[NDArray[np.int64]] = []
    total = ledger.execute(
        "select coalesce(sum(frames), 0) from output where night = ? and synchronised"
        " and camera = 1",
        (night.id,),
    ).fetchone()[0]
    every = max(1, total // _MOST_POINTS)
    known: dict[int, NDArray[np.int64]] = {}
    for segments in _pair_segments(ledger, night):
        wanted = {each.raw_file for each in segments} | {
            each.partner_file for each in segments if each.partner_file is not None
        }
        known = {
            number: known[number] if number in known else _times(ledger, number)
            for number in wanted
        }
        own_us, partner_us = pair_times(segments, known)
        times.append(own_us[::every])
        offsets.append((partner_us - own_us)[::every])
    if not times:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    own, differences = np.concatenate(times), np.concatenate(offsets)
    order = np.argsort(own, kind="stable")
    return own[order], differences[order]


def flc_intervals(ledger: Reader, night: Night) -> NDArray[np.int64]:
    """Intervals between frames with the FLC on, less the middle of their cube's two peaks; us."""
    intervals = []
    for cards, acquired in ledger.execute(
        "select cards, acquired from cube join raw_file on raw_file.id = cube.raw_file"
        " where night = ? and raw_file.state = 'whole' and has_acquisition",
        (night.id,),
    ):
        if flc_applies(json.loads(cards)):
            times = unpack_times(acquired)
            steps = np.diff(times[times > 0])
            if len(steps):
                quarters = np.percentile(steps, [25, 75])  # one in either peak
                intervals.append(steps - int(quarters.mean()))
    if not intervals:
        return np.empty(0, np.int64)
    found = np.concatenate(intervals)
    return found[:: max(1, len(found) // _MOST_POINTS)]


def _pair_segments(ledger: Reader, night: Night) -> Iterator[list[Segment]]:
    """The segments of each synchronised output of camera 1."""
    outputs = ledger.execute(
        "select id from output where night = ? and synchronised and camera = 1 order by ordinal",
        (night.id,),
    ).fetchall()
    for (output,) in outputs:
        query = "select * from segment where output = ? order by position"
        yield fetch_all(Segment, ledger, query, (output,))


def _times(ledger: Reader, raw_file: int) -> NDArray[np.int64]:
    query = "select acquired from cube where raw_file = ?"
    (acquired,) = ledger.execute(query, (raw_file,)).fetchone()
    return unpack_times(acquired)
