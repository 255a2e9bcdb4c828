"""What `vampd admin doctor` finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

State: TypeAlias = Literal["ok", "warn", "bad"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
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
