"""Measure what a night's records cost the daemon: `./dev bench records`.

For nights with so many events: the processor time of the daemon's own part, of a worker that adds
100 events to the journal, and of one that writes all rows as well. Exit 1 when the daemon's part or
the journal's grows with the night.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from msgspec.structs import replace

from tests.support.fake_ledger import FakeClock, opened
from vampd.background import night_records
from vampd.ledger import exports, nights
from vampd.ledger.connection import Ledger
from vampd.stages import story
from vampd.stages.story import StoryJob
from vampd.states import Kind

_MOST_GROWTH = 1.5
_REPEATS = 5
_ADDED = 100


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench records", description=__doc__)
    parser.add_argument("--events", type=int, nargs="+", default=[1000, 10_000, 100_000])
    arguments = parser.parse_args()
    print("events  the daemon  the journal  all  (processor time, ms)")
    found = []
    for events in arguments.events:
        with tempfile.TemporaryDirectory() as folder:
            found.append(_measure(Path(folder), events))
        daemon, journal, everything = found[-1]
        print(f"{events:6d}  {daemon:10.2f}  {journal:11.2f}  {everything:.0f}", flush=True)
    growth = max(found[-1][0] / found[0][0], found[-1][1] / found[0][1])
    print(f"the daemon's part and the journal's grow {growth:.2f} times (goal {_MOST_GROWTH:g})")
    raise SystemExit(0 if growth <= _MOST_GROWTH else 1)


def _measure(folder: Path, events: int) -> tuple[float, float, float]:
    clock, night_folder = FakeClock(), folder / "archive" / "20251106"
    night_folder.mkdir(parents=True)
    (folder / "state").mkdir()
    with closing(opened(folder / "state", clock)) as ledger:
        night = nights.sight_night(ledger, Kind.ARCHIVE, night_folder.name, night_folder)
        _happen(ledger, night.id, events)
        job = story.prepare_records(ledger, night, with_dump=False)
        exports.record_written(ledger, night.id, story.write_story(job))

        def one_more(with_dump: bool) -> StoryJob:
            _happen(ledger, night.id, _ADDED)
            clock.pass_seconds(61)
            return replace(job, with_dump=with_dump)

        config: object = None
        return (
            _least_ms(lambda: one_more(False), lambda _: night_records.due(ledger, config)),  # type: ignore[arg-type]
            _least_ms(lambda: one_more(False), story.write_story),
            _least_ms(lambda: one_more(True), story.write_story),
        )


def _happen(ledger: Ledger, night: int, events: int) -> None:
    with ledger.transaction():
        for number in range(events):
            ledger.execute(
                "insert into event (at_us, subject, subject_id, night, was, became, actor, why,"
                " version) values (1, 'raw_file', ?, ?, 'arriving', 'whole', 'vampd', null, '1')",
                [number, night],
            )


def _least_ms(before: Callable[[], StoryJob], do: Callable[[StoryJob], object]) -> float:
    taken = []
    for _ in range(_REPEATS):
        job = before()
        began = time.process_time()
        do(job)
        taken.append(time.process_time() - began)
    return 1000 * min(taken)


if __name__ == "__main__":
    main()
