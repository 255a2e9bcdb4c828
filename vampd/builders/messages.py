"""What the daemon and its bridge to Dask tell each other."""

from __future__ import annotations

from msgspec import Struct

from vampd.builders.card import Card, Question


class Piece(Struct, frozen=True, kw_only=True):
    """To the bridge: have a piece of work done by one builder, and by no other."""

    key: int
    address: str
    process: str  #: the life of that builder's process
    token: str  #: of this piece; a builder begins it once
    work: bytes  #: `Load`, pickled: nobody on the way looks into it
    seconds: float  #: after which it is given up


class Load(Struct, frozen=True, kw_only=True):
    """To the builder: what is to be done."""

    work: object  #: a function of one job, of a module
    job: object
    nice: int


class LeaveOff(Struct, frozen=True, kw_only=True):
    """To the bridge: nobody waits for a piece any more."""

    key: int


class Ask(Struct, frozen=True, kw_only=True):
    """To the bridge: ask the builders this, from now on."""

    question: Question


class Alive(Struct, frozen=True, kw_only=True):
    """From the bridge: it is; and whether the scheduler answers."""

    away: str | None  #: why it does not
    is_looking: bool = False  #: it was never asked so far


class Introduced(Struct, frozen=True, kw_only=True):
    """From the bridge: a builder is there."""

    address: str
    name: str
    card: Card | None
    problem: str = ""  #: why there is no card


class Left(Struct, frozen=True, kw_only=True):
    """From the bridge: a builder is not there any more."""

    address: str


class Ended(Struct, frozen=True, kw_only=True):
    """From the bridge: how a piece ended."""

    key: int
    outcome: bytes | None  #: an `Outcome`, pickled; None: nothing came of it, see *problem*
    problem: str = ""
