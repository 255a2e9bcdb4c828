"""The times of a cube, as the texts that its header and its name carry.

Everything comes from the same integer microseconds, and is formatted once for a
cube: the next program down the line pairs files by equality of their MJD.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HAWAII = timedelta(hours=-10)  # Hawaii has no daylight saving time
_EPOCH_MJD_E8 = 40_587 * 10**8  # 1970-01-01 is MJD 40587; in units of 1e-8 day
_US_PER_E8_DAY = 864  # 86 400 000 000 us / 1e8


Times = TypeVar("Times", int, "NDArray[np.int64]")
"""Microseconds since the Unix epoch: one time, or of many frames."""


def pair_time_us(one_us: Times, two_us: Times) -> Times:
    """The acquisition time of a pair of frames: floor((t1 + t2) / 2) of the cameras' own times."""
    return (one_us + two_us) // 2


class CubeTimes(Struct, frozen=True, kw_only=True):
    """First, last and middle acquisition time of a cube, as its cards say them."""

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
    """Format the times of a cube.

    *first_us* and *last_us* are the acquisition times of its first and last frame
    before deinterleaving, UTC microseconds since the Unix epoch. The middle is
    floor((first + last) / 2). DATE-OBS is the UTC date of the first frame.
    """
    middle_us = (first_us + last_us) // 2
    return CubeTimes(
        ut_str=name_time(first_us),
        ut_end=name_time(last_us),
        ut=name_time(middle_us),
        hst_str=_hawaii_time(first_us),
        hst_end=_hawaii_time(last_us),
        hst=_hawaii_time(middle_us),
        mjd_str=_modified_julian_date(first_us),
        mjd_end=_modified_julian_date(last_us),
        mjd=_modified_julian_date(middle_us),
        date_obs=_moment(first_us).strftime("%Y-%m-%d"),
    )


def name_time(time_us: int) -> str:
    """UTC time of day of *time_us* (microseconds since the epoch) as HH:MM:SS.ffffff."""
    return _moment(time_us).strftime("%H:%M:%S.%f")


def moment_text(time_us: int) -> str:
    """Date and time of *time_us* (microseconds since the epoch), for messages."""
    return _moment(time_us).strftime("%Y-%m-%d %H:%M:%S.%f")


def _hawaii_time(time_us: int) -> str:
    return (_moment(time_us) + _HAWAII).strftime("%H:%M:%S.%f")


def _moment(time_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time_us)


def _modified_julian_date(time_us: int) -> str:
    """Eight decimals, as printf's %.8f gives; ties to even, as printf does it.

    Integer arithmetic: a float of days since 1858 has no more than 11 good decimals,
    and two of them that differ in the last bit would no longer be equal files.
    """
    whole, rest = divmod(time_us, _US_PER_E8_DAY)
    if 2 * rest > _US_PER_E8_DAY or (2 * rest == _US_PER_E8_DAY and whole % 2):
        whole += 1
    days, decimals = divmod(_EPOCH_MJD_E8 + whole, 10**8)
    return f"{days}.{decimals:08d}"
