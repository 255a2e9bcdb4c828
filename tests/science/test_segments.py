"""Progressions: few, and exactly the numbers they were made from."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vampd.science.segments import progressions

PROPERTY = settings(derandomize=True, deadline=None, max_examples=300)
ROW = st.tuples(st.integers(0, 1), st.integers(1, 3), st.integers(1, 2))


@PROPERTY
@given(st.lists(ROW, max_size=30))
def test_the_numbers_come_back_and_no_key_is_mixed(rows: list[tuple[int, int, int]]) -> None:
    table = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    keys, columns = np.cumsum(table[:1], axis=1), np.cumsum(table[1:], axis=1)

    runs = list(progressions(keys, columns))

    back = [
        [columns[row, run.first] + run.steps[row] * k for row in (0, 1)]
        for run in runs
        for k in range(run.last - run.first)
    ]
    assert back == columns.T.tolist()
    assert [run.first for run in runs[1:]] == [run.last for run in runs[:-1]]
    assert all(len(set(keys[0, run.first : run.last])) == 1 for run in runs)


def test_alternate_frames_are_one_progression() -> None:
    columns = np.array([[1, 3, 5, 7], [0, 2, 4, 6]])

    (run,) = progressions(np.zeros((1, 4), dtype=np.int64), columns)

    assert (run.first, run.last, run.steps) == (0, 4, (2, 2))
