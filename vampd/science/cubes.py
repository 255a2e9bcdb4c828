"""Decide which frames go into which output cube."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vampd.records import CardValue, Plan, RawCube

#: The header cards that the plan needs; the scanner stores just these.
DECIDING_CARDS: tuple[str, ...] = (
    "DETECTOR",
    "EXTTRIG",
    "U_DETMOD",
    "PRD-RNG2",
    "EXPTIME",
    "U_FLCEN",
    "U_FLCST",
    "U_FLC",
    "U_TRIGJT",
    "RET-ANG1",
    "FILTER01",
    "FILTER02",
    "OBJECT",
    "DATA-TYP",
    "PROP-ID",
    "OBS-MOD",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CubeLimits:
    """Where merged cubes are cut."""

    max_seconds: float = 10.0
    max_gap_seconds: float = 3.0
    max_bytes: int = 2_000_000_000


def tolerance_us(cards1: Mapping[str, CardValue], cards2: Mapping[str, CardValue]) -> int:
    """How far the times of one exposure in the two cameras may differ, microseconds."""
    raise NotImplementedError


def flc_applies(cards: Mapping[str, CardValue]) -> bool:
    """Whether a cube with these cards is deinterleaved."""
    raise NotImplementedError


def can_synchronise(cards: Mapping[str, CardValue]) -> bool:
    """Whether a cube with these cards may have partners in the other camera."""
    raise NotImplementedError


def plan_night(cubes: Sequence[RawCube], limits: CubeLimits) -> Plan:
    """Put every frame of every cube into one output segment, or reject it with a reason."""
    raise NotImplementedError
