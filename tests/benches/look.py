"""Measure what one event costs the daemon: `./dev bench look --cubes 100 1000 10000`.

For nights of so many cubes: the processor time of a look at the two files of one cube, of judging
a batch of 50 cubes that was read, and of a look at the whole night. Exit 1 when what one event or
one reading costs grows with the night.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.support.fake_ledger import FakeClock, opened, settings
from vampd.watch.hints import Hint, Hints
from vampd.watch.scan_cycle import ScanCycle

_DATE = "20251106"
_BATCH_CUBES = 50
_REPEATS = 7
_MOST_GROWTH = 1.5


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench look", description=__doc__)
    parser.add_argument("--cubes", type=int, nargs="+", default=[100, 1000, 10000])
    arguments = parser.parse_args()
    print("cubes  an event  a reading of 50  a whole look  (processor time, ms)")
    found = []
    for cubes in arguments.cubes:
        with tempfile.TemporaryDirectory() as folder:
            found.append(_measure(Path(folder), cubes))
        event, reading, whole = found[-1]
        print(f"{cubes:5d}  {event:8.2f}  {reading:15.1f}  {whole:12.1f}", flush=True)
    growth = max(found[-1][0] / found[0][0], found[-1][1] / found[0][1])
    print(f"events and readings grow {growth:.2f} times (goal {_MOST_GROWTH:g})")
    raise SystemExit(0 if growth <= _MOST_GROWTH else 1)


def _measure(folder: Path, cubes: int) -> tuple[float, float, float]:
    config, clock = settings(folder), FakeClock()
    night = folder / "archive" / _DATE
    stems = _make_night(night, cubes)
    with closing(opened(config.state_dir, clock)) as ledger:
        scan_cycle = ScanCycle(ledger, clock, config)
        scan_cycle.go()
        ledger.execute("update raw_file set state = 'whole', reason = null")
        scan_cycle.go()
        [watch] = scan_cycle.nights.values()
        hints = Hints()
        for ending in (".fits", ".txt"):
            hints.add(Hint(night, f"vcam1/{stems[-1]}{ending}"))
        return (
            _least_ms(lambda: scan_cycle.glance(hints)),
            _least_ms(lambda: scan_cycle.judge_again(watch.night, stems[-_BATCH_CUBES:])),
            _least_ms(scan_cycle.go),
        )


def _make_night(night: Path, cubes: int) -> list[str]:
    (night / "vcam1").mkdir(parents=True)
    stems = [
        f"vcam1_{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}.000000000"
        for number in range(cubes)
    ]
    for stem in stems:
        for ending in (".fits", ".txt"):
            (night / "vcam1" / f"{stem}{ending}").write_bytes(b"x")
    return stems


def _least_ms(do: Callable[[], object]) -> float:
    taken = []
    for _ in range(_REPEATS):
        began = time.process_time()
        do()
        taken.append(time.process_time() - began)
    return 1000 * min(taken)


if __name__ == "__main__":
    main()
