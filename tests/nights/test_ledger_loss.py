"""A ledger that is lost is made again of its newest copy, and the nights end as if it never was."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.ledger_series import Series

_DATES = ("20251106", "20251107")


def _series(folder: Path, *, lost_at: int = 0, is_damaged: bool = False) -> Series:
    return Series(
        folder=folder,
        dates=_DATES,
        scenes=("one-frame",),
        lost_at=lost_at,
        is_damaged=is_damaged,
    )


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Series:
    series = _series(tmp_path_factory.mktemp("calm"))
    series.run()
    return series


@pytest.mark.parametrize(
    ("share", "is_damaged"),
    [(0.35, False), pytest.param(0.85, True, marks=pytest.mark.campaign)],
)
def test_at_whatever_moment_a_ledger_is_lost_its_copy_and_the_papers_make_it_good(
    tmp_path: Path, calm: Series, share: float, is_damaged: bool
) -> None:
    series = _series(tmp_path, lost_at=round(calm.moments * share), is_damaged=is_damaged)

    series.run()

    assert series.begun_with is not None
    series.check_against(calm)
