"""What reading them says of raw files; and which of them cannot be read, so that they are bad.

A worker that dies, or tells nothing that can be kept, says little of a batch of files. So they are
taken one by one from then on, and one whose reading goes wrong alone, again and again, is bad.
"""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

from vampd.causes import Cause
from vampd.io.disk import MarkerState, check_marker
from vampd.ledger import files, nights, strays
from vampd.ledger.connection import Ledger
from vampd.states import FileCode, FileState
from vampd.watch.inspect import Digest

log = logging.getLogger(__name__)

_MOST_FAILURES = 3  # of readings of one file, the first among others


class Suspects:
    """Counts the readings that went wrong, by night and path."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._failures: Counter[tuple[int, str]] = Counter()

    def of(self, night: int) -> set[str]:
        """The files of a night that are to be read alone."""
        return {path for each, path in self._failures if each == night}

    def take_digest(self, night: int, path: str, found: Digest) -> None:
        """Keep a digest; or count that there is none, where that is a word about the file."""
        if found.sha256 is not None and found.identity is not None:
            files.record_digest(self._ledger, night, path, found.sha256, found.identity)
            if strays.take_digest(self._ledger, night, path, found.sha256, found.identity):
                self._review(night)
            self._failures.pop((night, path), None)
        elif self._counts_against(night, path, found) and not is_away(self._ledger, night):
            code = FileCode.UNREADABLE if found.is_unreadable else FileCode.READING_FAILS
            self.count(night, path, Cause(code, {"error": found.problem}))

    def count(self, night: int, path: str, cause: Cause) -> None:
        """Reading a file went wrong; quarantine it when that is enough."""
        self._failures[night, path] += 1
        if self._failures[night, path] >= _MOST_FAILURES:
            self._quarantine(night, path, cause)

    def _counts_against(self, night: int, path: str, found: Digest) -> bool:
        """Whether what kept a file from being read is a word about it.

        That it is written to is none, but of a stray, which no look may find still again.
        """
        row = files.file_of(self._ledger, night, path)
        return found.is_unreadable or strays.is_stray(self._ledger, row.id)

    def _quarantine(self, night: int, path: str, cause: Cause) -> None:
        log.error("%s quarantined: %s", path, cause, extra={"FILE": path})
        row = files.find_file(self._ledger, night, path)
        if row is not None and strays.is_stray(self._ledger, row.id):
            self._failures.pop((night, path), None)
            strays.note_unreadable(self._ledger, night, path, str(cause))
            self._review(night)
        elif row is not None and row.state != FileState.QUARANTINED:
            files.quarantine(self._ledger, night, path, cause)

    def _review(self, night: int) -> None:
        """Hold a night for what became of its raw files, or let it go on."""
        why = strays.review(self._ledger, night)
        if why is not None:
            row = nights.get_night(self._ledger, night)
            log.error("%s held: %s", nights.label(row), why, extra={"NIGHT": row.date})


def is_away(ledger: Ledger, night: int) -> bool:
    """Whether a night's disk is absent, or another one, at this moment."""
    known = nights.place_of(ledger, nights.get_night(ledger, night))
    is_there = check_marker(Path(known.root), known.marker) is MarkerState.OK
    return bool(known.marker) and not is_there
