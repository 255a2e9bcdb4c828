"""A disk that is absent, or another one, tells nothing of what lies on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from vampd.errors import RetryableError
from vampd.io.disk import MarkerState, check_marker

T = TypeVar("T")


def check_root(root: str, marker: str) -> None:
    """RetryableError: *root* does not bear the *marker* by which its disk is known."""
    state = check_marker(Path(root), marker)
    if state is not MarkerState.OK:
        msg = f"{root}: its marker is {state}: not the disk that it was, or not mounted"
        raise RetryableError(msg)


def on_its_disk(body: Callable[[Mapping[str, Any]], T], job: Mapping[str, Any]) -> T:
    """Do *body* of *job*, which names its `root` and `marker`, while that disk is there.

    RetryableError: it is not, or was gone in the end: then whatever was found counts for nothing.
    """
    check_root(job["root"], job["marker"])
    try:
        return body(job)
    finally:
        check_root(job["root"], job["marker"])
