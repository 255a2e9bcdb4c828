"""Files that lie here and are not what is on record any more, as conditions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from vampd.ledger.alerts import Condition
from vampd.ledger.local_copies import WrongCopy, wrong_copies
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.plain_text import first_line
from vampd.states import Severity


def scrub_conditions(
    reader: Reader, names: Mapping[int, str], every: Mapping[int, Night]
) -> Iterator[Condition]:
    """Until they are right: one condition a night for raw files, and one for vampd's own.

    *names*: how commands know each night.
    """
    found: dict[tuple[int, bool], list[WrongCopy]] = defaultdict(list)
    for each in wrong_copies(reader):
        found[each.night, each.is_raw].append(each)
    for (number, is_raw), wrong in found.items():
        night, first = every[number], wrong[0]
        whose = "raw files" if is_raw else "files here"
        what = f"{night}: {len(wrong)} {whose} are not what they were"
        name = names[number]
        text = f"{what}: {first.path} is {first.verdict}: {first_line(first.why or '')}"
        if is_raw:
            file = first.path.rpartition("/")[2]
            text += f": vampd data rebuild-raw {name} --file {file} --to FOLDER"
        yield Condition(
            name=f"{'raw' if is_raw else 'local'}-copies:{number}",
            severity=Severity.CRITICAL,
            text=text if is_raw else f"{text}: vampd show {name}",
            night=number,
            since_us=min(each.changed_us for each in wrong),
        )
