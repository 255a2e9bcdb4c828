"""Whether a root is the disk that it was; a new one is claimed."""

from __future__ import annotations

from pathlib import Path

from vampd.errors import OperatorError
from vampd.io.disk import MarkerState, check_marker, claim_root
from vampd.ledger import roots
from vampd.ledger.connection import Ledger


def why_absent(ledger: Ledger, root: Path) -> str | None:
    """Why *root* must be left alone: a missing disk is not an empty one. None: it is there."""
    expected = roots.marker_of(ledger, str(root))
    if expected is None:
        return _claim(ledger, root)
    state = check_marker(root, expected)
    if state is MarkerState.OK:
        return None
    return f"its marker is {state}: not the disk that it was, or not mounted"


def _claim(ledger: Ledger, root: Path) -> str | None:
    try:
        marker = claim_root(root)
    except OperatorError as error:
        return str(error)
    if marker is None:
        return "not there, or an empty folder on which nothing is mounted"
    roots.record(ledger, str(root), marker)
    return None
