"""Raw cubes as the plan of a night sees them."""

from __future__ import annotations

import json

import numpy as np
from msgspec import Struct

from vampd.errors import InputError
from vampd.ledger import clock_words
from vampd.ledger.blobs import unpack_times
from vampd.ledger.records import Cube
from vampd.records import RawCube


class SeenCube(Struct, frozen=True, kw_only=True, eq=False):
    """A cube as the plan sees it, and the file that it is."""

    cube: RawCube
    row: Cube


def raw_cube(row: Cube) -> RawCube:
    """A cube as the plan sees it, from its row. InputError: it has more or fewer times."""
    acquired_us = unpack_times(row.acquired)
    # As the logger wrote them: what proved its clock at an earlier plan may be gone.
    acquired_us = np.where(acquired_us > 0, acquired_us + row.ahead_us, 0)
    if len(acquired_us) != row.frames:
        msg = f"{row.path}: {len(acquired_us)} times for {row.frames} frames"
        raise InputError(msg, path=row.path)
    return RawCube(
        raw_file=row.raw_file,
        path=row.path,
        camera=row.camera,
        width=row.width,
        height=row.height,
        cards=json.loads(row.cards),
        acquired_us=acquired_us,
        rejected={int(frame): why for frame, why in json.loads(row.rejected).items()},
        has_acquisition=row.has_acquisition,
        is_old=row.is_old,
        lag_us=row.lag_us,
        written_us=row.written_us,
        counts=_counts(row),
        stated_clock=clock_words.stated_clock(row),
    )


def _counts(row: Cube) -> tuple[int, int] | None:
    if row.first_count is None or row.last_count is None:
        return None
    return row.first_count, row.last_count
