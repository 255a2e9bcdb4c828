"""Measure how soon the page answers: `./dev bench page --nights 500 --outputs 10000`.

Makes a ledger of so many nights, the last of which has so many outputs with quick looks; then
serves the page and times each of its addresses, over a socket. Exit 1 when the median of one is
over 1 s, after which people think that it hangs.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from tests.benches.status import ledger_site
from tests.page.site import serving
from tests.support.daemon_site import DaemonSite

_PROMISED_MS = 1000.0
_START_US = 1_762_405_800_000_000
_STEP_US = 4_000_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench page", description=__doc__)
    parser.add_argument("--nights", type=int, default=500)
    parser.add_argument("--outputs", type=int, default=10_000, help="of the last night")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = ledger_site(Path(folder), arguments.nights, 400)
        with closing(sqlite3.connect(made.ledger)) as ledger:
            date = _add_outputs(ledger, arguments.outputs)
            ledger.commit()
        where = f"/night/archive/{date}"
        paths = [
            "/",
            where,
            f"{where}/pictures?page=9",
            f"{where}/exposures?page=50",
            f"{where}/exposures?find=fwhm%3E4.5&sort=peak",
            f"{where}/measures",
            "/calendar",
            "/target",
            "/target/HD%201234",
            f"{where}/cube/{_name(7)}",
        ]
        with serving(DaemonSite(folder=made.config.parent)) as page:
            medians = [_time(page.address, path, arguments.rounds) for path in paths]
    raise SystemExit(0 if max(medians) < _PROMISED_MS else 1)


def _time(address: str, path: str, rounds: int) -> float:
    taken = []
    size = 0
    for _ in range(rounds):
        began = time.perf_counter()
        with urllib.request.urlopen(address + path, timeout=120) as answer:
            size = len(answer.read())
        taken.append(1000 * (time.perf_counter() - began))
    median = statistics.median(taken)
    print(f"{path}: first {taken[0]:.0f} ms, median {median:.0f} ms, {size / 1000:.0f} kB")
    return median


def _add_outputs(ledger: sqlite3.Connection, outputs: int) -> str:
    night, date = ledger.execute("select id, date from night order by id desc limit 1").fetchone()
    raw, first, ordinal = ledger.execute(
        "select (select max(id) from raw_file), (select max(id) from output) + 1,"
        " (select max(ordinal) from output) + 1"
    ).fetchone()
    ledger.execute(
        "insert into cube (raw_file, timing, frames, width, height, cards, has_acquisition,"
        " rejected, reports, acquired) values (?, ?, 100, 536, 536, ?, 1, '{}', '[]', x'')",
        (raw, raw, json.dumps(_CARDS)),
    )
    ledger.executemany(
        "insert into output (id, night, ordinal, cube, camera, synchronised, flc_state, name,"
        " frames, width, height, first_us, last_us, header_file, content_key, state, changed_us,"
        " changed_by) values (?, ?, ?, ?, ?, 1, ?, ?, 100, 536, 536, ?, ?, ?, ?, 'built', 1, 'x')",
        _outputs(outputs, night, raw, first, ordinal),
    )
    ledger.executemany(
        "insert into quick_look (output, night, frames, median_adu, noise_adu, peak_adu,"
        " saturated_pixels, flux_adu, fwhm_pixels, made_us)"
        " values (?, ?, 100, 200.5, 10.1, ?, 0, 1e5, ?, ?)",
        (
            (first + each, night, 9000 + each, 2 + each % 40 / 10, _START_US + each * _STEP_US)
            for each in range(outputs)
        ),
    )
    return str(date)


_CARDS = {
    "OBJECT": "HD 1234",
    "DATA-TYP": "OBJECT",
    "EXPTIME": 0.5,
    "FILTER01": "750-50",
    "FILTER02": "Open",
    "RET-ANG1": 22.5,
}


def _name(each: int) -> str:
    hours, seconds = divmod(each // 4, 3600)
    clock = f"{5 + hours:02d}:{seconds // 60:02d}:{seconds % 60:02d}.000000"
    return f"vsync_{clock}.cam{1 + each // 2 % 2}.{'AB'[each % 2]}"


def _outputs(
    outputs: int, night: int, raw: int, first: int, ordinal: int
) -> Iterator[tuple[object, ...]]:
    """Two cameras, two states of each cube."""
    for each in range(outputs):
        taken_us = _START_US + each // 4 * _STEP_US
        yield (
            first + each,
            night,
            ordinal + each,
            100_000 + each // 4,
            1 + each // 2 % 2,
            "AB"[each % 2],
            _name(each),
            taken_us,
            taken_us + _STEP_US,
            raw,
            f"bench.{night}.{each}",
        )


if __name__ == "__main__":
    main()
