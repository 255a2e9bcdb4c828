"""The times of a cube, as its header and its file name say them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class CubeTimes:
    """First, last and middle acquisition time of a cube, as the texts of its cards."""

    ut_str: str
    ut_end: str
    ut: str
    hst_str: str
    hst_end: str
    hst: str
    mjd_str: str
    mjd_end: str
    mjd: str
    date_obs: str


def cube_times(first_us: int, last_us: int) -> CubeTimes:
    """Format the times of a cube from its first and last acquisition time."""
    raise NotImplementedError


def name_time(us: int) -> str:
    """UTC time of day as HH:MM:SS.ffffff."""
    raise NotImplementedError
