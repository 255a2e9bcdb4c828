"""How far a night that goes on is worked on: the lag, as times of acquisition."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from vampd.ledger.reading import Reader
from vampd.ledger.records import LiveNight
from vampd.ledger.rows import fetch_all


class Lag(Struct, frozen=True, kw_only=True):
    """Up to which time of acquisition all is done; None: nothing is. Microseconds, UTC."""

    newest_us: int | None  #: the last frame of a whole cube
    through_us: int | None  #: the watermark: all that began before it is known
    planned_us: int | None
    built_us: int | None
    verified_us: int | None
    first_us: int | None  #: the first output that is planned
    held_by: str  #: what holds the watermark back; "": nothing
    unnumbered: int  #: outputs that wait for their frame IDs
    confirmed_us: int | None = None  #: when its close confirmed it; then it goes on no more
    kept: int | None = None
    anew: int | None = None
    late: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether the night goes on."""
        return self.confirmed_us is None

    def behind_us(self, done_us: int | None) -> int:
        """By how much what is *done_us* is behind what can be done; 0 where all is."""
        if self.newest_us is None or (done_us or 0) >= self.newest_us:
            return 0
        can_us = min(self.through_us or 0, self.newest_us)
        return max(0, can_us - (done_us or self.first_us or can_us))


def lags(reader: Reader, nights: Sequence[int]) -> dict[int, Lag]:
    """The lag of each of the *nights* that goes on, or went on until it was closed."""
    marks = ", ".join("?" * len(nights))
    query = f"select * from live where night in ({marks})"  # noqa: S608 - marks alone
    return {row.night: _lag(reader, row) for row in fetch_all(LiveNight, reader, query, nights)}


def _lag(reader: Reader, row: LiveNight) -> Lag:
    return Lag(
        newest_us=row.newest_us,
        through_us=row.through_us,
        planned_us=row.planned_us or None,
        built_us=_through(reader, row, "state != 'planned'"),
        verified_us=_through(reader, row, "state = 'verified'"),
        first_us=reader.execute(
            "select min(first_us) from output where night = ? and batch = 1", (row.night,)
        ).fetchone()[0],
        held_by=row.held_by,
        unnumbered=_unnumbered(reader, row.night),
        confirmed_us=row.confirmed_us,
        kept=row.kept,
        anew=row.anew,
        late=row.late,
    )


def _through(reader: Reader, row: LiveNight, is_done: str) -> int | None:
    """Where the outputs end before the first of which that is not so."""
    (last_us,) = reader.execute(
        "select max(last_us) from output where night = ?1 and batch = 1 and ordinal <"  # noqa: S608
        f" coalesce((select min(ordinal) from output where night = ?1 and batch = 1"
        f" and not ({is_done})), 9e9)",
        (row.night,),
    ).fetchone()
    return None if last_us is None else int(last_us)


def _unnumbered(reader: Reader, night: int) -> int:
    (count,) = reader.execute(
        "select count(*) from output join night on night.id = output.night"
        " where night = ? and kind = 'archive' and frame_id is null",
        (night,),
    ).fetchone()
    return int(count)
