"""What is odd about nights, as conditions: for `check`, the mails with alerts, and a metric."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vampd.ledger import logger_faults
from vampd.ledger.alerts import Condition
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.states import LoggerFault, Severity, UnseenSort
from vampd.time_units import DAY_US
from vampd.views.oddities import beside, oddities
from vampd.views.summaries import is_at_rest

_TOLD_US = 3 * DAY_US  #: what nobody can mend is told for so long once its night is safe

#: What the logger did that took something from a night.
_TELLING_FAULTS = (LoggerFault.LOST, LoggerFault.DOUBLE, LoggerFault.OVERLAP)
_MOST_AWAY = 3  #: nights whose folders are gone are told one by one


def odd_cubes(
    reader: Reader, names: Mapping[int, str], every: Mapping[int, Night], now_us: int
) -> Iterator[Condition]:
    """Cubes lost, doubled, overlapping: until the night is safe, and for some days in any case."""
    for number, tolls in logger_faults.tolls(reader, every.keys()).items():
        for fault in _TELLING_FAULTS:
            toll, night = tolls.get(fault), every[number]
            if toll is None or (is_at_rest(night) and now_us - toll.found_us > _TOLD_US):
                continue
            yield Condition(
                name=f"{fault}:{night.id}",
                severity=Severity.WARNING,
                text=f"{night}: {toll.text(fault)}: vampd show {names[number]}",
                night=night.id,
                since_us=toll.found_us,
            )


def odd_conditions(
    reader: Reader, names: Mapping[int, str], every: Mapping[int, Night], now_us: int
) -> Iterator[Condition]:
    """What is odd of nights and beside them: until it is mended, or some days where nobody can.

    *names*: each night of *every* as commands take it.
    """
    yield from _of_nights(reader, names, every, now_us)
    yield from _beside(reader, now_us)


def _of_nights(
    reader: Reader, names: Mapping[int, str], every: Mapping[int, Night], now_us: int
) -> Iterator[Condition]:
    away: dict[str, list[Condition]] = defaultdict(list)
    lasting = _with_lasting(reader)
    young = [night for night in every.values() if not is_at_rest(night)]
    young += [
        night
        for night in every.values()
        if is_at_rest(night)
        and (now_us - (night.closed_us or 0) <= _TOLD_US or night.id in lasting)
    ]
    for number, found in oddities(reader, young).items():
        night = every[number]
        for each in found:
            is_old = is_at_rest(night) and now_us - each.found_us > _TOLD_US
            if not each.is_told or (is_old and not each.is_lasting):
                continue
            condition = Condition(
                name=f"odd:{night.id}:{each.sort}:{each.place}",
                severity=Severity.WARNING,
                text=f"{night}: {each.text}: vampd show {names[night.id]}",
                night=night.id,
                since_us=each.found_us,
            )
            if each.sort == UnseenSort.FOLDER:
                away[str(Path(night.folder).parent)].append(condition)
            else:
                yield condition
    for root, missing in away.items():
        yield from missing if len(missing) <= _MOST_AWAY else [_all_away(root, missing)]


def _with_lasting(reader: Reader) -> set[int]:
    """Nights of which somebody is told until it is mended."""
    query = (
        "select night from unseen where is_data and not accepted and night is not null"
        " union select night from stray where state != 'unread'"
    )
    return {row[0] for row in reader.execute(query)}


def _all_away(root: str, missing: Sequence[Condition]) -> Condition:
    return Condition(
        name=f"away:{root}",
        severity=Severity.CRITICAL,
        text=f"the folders of {len(missing)} nights are gone from {root}: vampd status --all",
        since_us=min(each.since_us or 0 for each in missing),
    )


def _beside(reader: Reader, now_us: int) -> Iterator[Condition]:
    """What could be the cameras' beside the nights: for some days."""
    for each in beside(reader):
        if now_us - each.found_us <= _TOLD_US:
            yield Condition(
                name=f"beside:{each.place}",
                severity=Severity.WARNING,
                text=f"{each.text}: nobody takes it",
                since_us=each.found_us,
            )
