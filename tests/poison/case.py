"""A bad or odd file, and what must come of it.

`Refused` names the reason for which the cube is quarantined; `Taken` the frames of it that are
delivered; `Unseen` what is told of a thing that nobody takes, and for which its night is held.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from tests.poison.place import FRAMES, Make


class Refused(Struct, frozen=True):
    reason: str  #: an expression that the told reason contains


class Taken(Struct, frozen=True):
    frames: int = FRAMES


class Unseen(Struct, frozen=True):
    told: str  #: an expression that the told text contains; {stem} is the case's


Expected: TypeAlias = Refused | Taken | Unseen


class Case(Struct, frozen=True, kw_only=True):
    name: str
    make: Make
    expected: Expected
