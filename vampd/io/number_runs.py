"""Frame numbers in succession, and how many of them a night can have. Imports next to nothing."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

#: So many numbers may stand in one night's folder: the largest night has 10^4 cubes, of each of
#: which not more than 6 outputs are made. And so far above all that is known; that jump would cost
#: 0.1 % of all numbers.
MOST_OF_A_NIGHT = 100_000

Run = tuple[int, int, str]
"""The first and the last of successive numbers, and the file that bears the first."""


def runs_of(numbers: Iterable[tuple[int, str]]) -> list[Run]:
    """Numbers, each with its place, as runs."""
    places: dict[int, str] = {}
    for number, place in numbers:
        places.setdefault(number, place)
    groups = groupby(enumerate(sorted(places)), key=lambda each: each[1] - each[0])
    found = []
    for _, group in groups:
        of_run = [number for _, number in group]
        found.append((of_run[0], of_run[-1], places[of_run[0]]))
    return found
