"""What `vampd admin doctor` finds."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

State: TypeAlias = Literal["ok", "warn", "bad"]


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that was looked at; *advice* is the next step where it is not ok."""

    state: State
    what: str
    advice: str = ""


def ok(what: str) -> Finding:
    """All is well with it."""
    return Finding(state="ok", what=what)


def warn(what: str, advice: str) -> Finding:
    """It works, but not as well as it could."""
    return Finding(state="warn", what=what, advice=advice)


def bad(what: str, advice: str) -> Finding:
    """It does not work, or will not."""
    return Finding(state="bad", what=what, advice=advice)
