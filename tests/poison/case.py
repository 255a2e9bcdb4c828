"""A bad or odd file, and what must come of it.

`Refused` names the reason for which the cube is quarantined; `Taken` the frames of it that are
delivered; `Unseen` what is told of a thing that nobody takes, and for which its night is held.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from tests.poison.place import FRAMES, Make


@dataclass(frozen=True, slots=True)
class Refused:
    reason: str  #: an expression that the told reason contains


@dataclass(frozen=True, slots=True)
class Taken:
    frames: int = FRAMES


@dataclass(frozen=True, slots=True)
class Unseen:
    told: str  #: an expression that the told text contains; {stem} is the case's


Expected: TypeAlias = Refused | Taken | Unseen


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    name: str
    make: Make
    expected: Expected
