"""Nights as the earlier pipeline's tables have them: three yes or no, and three times."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from msgspec import Struct

from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.states import NightStatus, Stage

#: In the order of `ARCHIVE_LOG.csv` and `PROCESSING_LOG.csv`.
COLUMNS = (
    "scexao5_path",
    "utc_date",
    "processed",
    "processed_timestamp",
    "transferred_to_scexao6",
    "transferred_timestamp",
    "safe_on_scexao6",
    "safe_timestamp",
)

_SAFE = frozenset({NightStatus.SAFE, NightStatus.RECLAIMED})


class Mark(Struct, frozen=True, kw_only=True):
    """Whether something is done, and when, as those tables write it. '': nobody knows when."""

    done: bool = False
    at: str = ""


class TableRow(Struct, frozen=True, kw_only=True):
    """One night of those tables."""

    folder: str
    date: str  #: YYYY-MM-DD
    processed: Mark
    transferred: Mark
    safe: Mark

    def cells(self) -> tuple[str, ...]:
        """The cells under `COLUMNS`; yes and no as `True` and `False`."""
        cells = [self.folder, self.date]
        for mark in (self.processed, self.transferred, self.safe):
            cells += [str(mark.done), mark.at]
        return tuple(cells)


def table_rows(ledger: Reader, chosen: Collection[Night]) -> list[TableRow]:
    """The nights *chosen*, in their order.

    Of a night that the earlier pipeline processed, what its table said of processing and
    transfer; `safe` is vampd's own word only: a digest recomputed from the far bytes.
    """
    stages = _stages(ledger)
    adopted = _adopted(ledger)
    return [
        TableRow(
            folder=night.folder,
            date=f"{night.date[:4]}-{night.date[4:6]}-{night.date[6:]}",
            processed=_mark(stages.get((night.id, Stage.BUILD)), adopted.get((night.id, 0))),
            transferred=_mark(stages.get((night.id, Stage.TRANSFER)), adopted.get((night.id, 1))),
            safe=Mark(done=True, at=_text(night.safe_us)) if night.status in _SAFE else Mark(),
        )
        for night in chosen
    ]


def _stages(ledger: Reader) -> dict[tuple[int, str], Mark]:
    """By night and stage, of every batch: whether all its work is done, and since when."""
    rows = ledger.execute(
        "select night, stage, min(state = 'done'), max(finished_us) from task"
        " where stage in ('build', 'transfer') group by night, stage"
    )
    return {
        (night, stage): Mark(done=True, at=_text(at_us))
        for night, stage, is_done, at_us in rows
        if is_done
    }


def _adopted(ledger: Reader) -> dict[tuple[int, int], Mark]:
    """By night, and 0 for processed or 1 for transferred: the word of the earlier table."""
    rows = ledger.execute(
        "select legacy_row.night, processed, processed_at, transferred, transferred_at"
        " from legacy_row join adoption on adoption.night = legacy_row.night"
        " where adoption.state = 'adopted' and processed is not null order by legacy_row.id"
    )
    marks = {}
    for night, processed, processed_at, transferred, transferred_at in rows:
        if processed:
            marks[night, 0] = Mark(done=True, at=processed_at or "")
        if transferred:
            marks[night, 1] = Mark(done=True, at=transferred_at or "")
    return marks


def _mark(own: Mark | None, adopted: Mark | None) -> Mark:
    return own or adopted or Mark()


def _text(us: int | None) -> str:
    """A time as those tables write it: UTC, whole seconds, no zone."""
    if us is None:
        return ""
    return datetime.fromtimestamp(us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
