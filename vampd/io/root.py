"""A disk that is absent, or another one, tells nothing of what lies on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from vampd.errors import RetryableError
from vampd.io.disk import MarkerState, check_marker


class NightPlace(Struct, frozen=True, kw_only=True):
    """Where a night lies, and by what its disk is known."""

    folder: str  #: absolute
    root: str
    marker: str  #: "": none

    def check(self) -> None:
        """RetryableError: its disk is not there."""
        check_root(self.root, self.marker)


def check_root(root: str, marker: str) -> None:
    """RetryableError: *root* does not bear the *marker* by which its disk is known."""
    state = check_marker(Path(root), marker)
    if state is not MarkerState.OK:
        msg = f"{root}: its marker is {state}: not the disk that it was, or not mounted"
        raise RetryableError(msg)


@contextmanager
def on_its_disk(place: NightPlace) -> Iterator[None]:
    """While the disk of *place* is there.

    RetryableError: it is not, or was gone in the end: then whatever was found counts for nothing.
    """
    place.check()
    try:
        yield
    finally:
        place.check()
