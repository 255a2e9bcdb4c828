"""A cube and its timing file: one is nothing without the other."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from vampd.layout import RAW_ENDING, TIMING_ENDING
from vampd.ledger import cubes
from vampd.ledger.records import RawFile
from vampd.states import FileState
from vampd.watch.inspect import Inspection
from vampd.watch.naming import Role

_JUDGED = frozenset({FileState.WHOLE, FileState.QUARANTINED})


class Pair(Struct, frozen=True, kw_only=True):
    """A cube and its timing file, one of which may be missing."""

    stem: str
    cube: RawFile | None
    timing: RawFile | None
    is_rewritten: bool = False  #: a file under the logger's temporary name for it is there, too

    @property
    def rows(self) -> list[RawFile]:
        """The rows of those that are there."""
        return [row for row in (self.cube, self.timing) if row is not None]

    @property
    def paths(self) -> tuple[str, str]:
        """Where its cube and its timing file are, or would be."""
        path: str = self.rows[0].path.rpartition(".")[0]
        return path + RAW_ENDING, path + TIMING_ENDING

    @property
    def is_judged(self) -> bool:
        """Whether nothing need be said anew: a file that changes is renewed, and then arrives.

        A whole cube whose name is being written again may become another one.
        """
        states = {row.state for row in self.rows}
        if not states <= _JUDGED:
            return False
        return FileState.QUARANTINED in states or (len(self.rows) == 2 and not self.is_rewritten)


def pairs_of(rows: Iterable[RawFile]) -> list[Pair]:
    """The cubes and timing files that are there, by stem."""
    by_stem: dict[str, dict[str, RawFile]] = {}
    rewritten = set()
    for row in rows:
        if row.state == FileState.GONE or row.stem is None:
            continue
        if row.role in {Role.CUBE, Role.TIMING}:
            by_stem.setdefault(row.stem, {})[row.role] = row
        elif row.role == Role.TEMPORARY:
            rewritten.add(row.stem)
    return [
        Pair(
            stem=stem,
            cube=pair.get(Role.CUBE),
            timing=pair.get(Role.TIMING),
            is_rewritten=stem in rewritten,
        )
        for stem, pair in sorted(by_stem.items())
    ]


def cube_facts(inspection: Inspection) -> cubes.CubeFacts:
    """What the ledger keeps of a whole cube."""
    return cubes.CubeFacts(
        frames=inspection.frames,
        width=inspection.width,
        height=inspection.height,
        cards=inspection.cards,
        has_acquisition=inspection.has_acquisition,
        rejected=inspection.rejected,
        reports=inspection.reports,
        acquired_us=inspection.acquired_us,
        lost_frames=inspection.lost_frames,
        is_old=inspection.is_old,
        lag_us=inspection.lag_us,
        written_us=inspection.written_us,
    )
