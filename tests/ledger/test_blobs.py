"""Times come out of the ledger as they went in."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vampd.ledger.blobs import pack_times, unpack_times

_ANY = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(_ANY, max_size=50))
def test_any_times_come_back_to_the_microsecond(times_us: list[int]) -> None:
    times = np.array(times_us, dtype=np.int64)

    back = unpack_times(pack_times(times))

    assert back.dtype == np.int64
    assert back.tolist() == times_us


def test_the_times_of_a_long_cube_with_unreadable_rows_take_little_room() -> None:
    times = 1_762_405_800_000_000 + 10_000 * np.arange(20_000, dtype=np.int64)
    times += np.random.default_rng(1).integers(-40, 40, times.size)
    times[[0, 7, -1]] = 0

    packed = pack_times(times)

    assert unpack_times(packed).tolist() == times.tolist()
    assert len(packed) < 3 * times.size
