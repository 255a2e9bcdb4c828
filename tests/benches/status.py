"""Measure what `vampd status` promises: `./dev bench status --nights 500 --files 2000`.

Makes a ledger of so many nights, of so many raw files each, with outputs, work and deliveries;
then times status, show, explain and check, the process's start included, and beside them a bare
start of Python with the libraries that any command needs. Exit 1 when the median of one that was
asked for is over 150 ms.
"""

from __future__ import annotations

import argparse
import compileall
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import vampd
from tests.support.ledger_site import NOW_US, Site
from vampd.states import Stage

_PROMISED_MS = 150.0
_UNDER_WAY = 5
_BARE = "import click, dataclasses, datetime, pathlib, socket, sqlite3, tomllib"
_FIRST = date(2024, 6, 1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench status", description=__doc__)
    parser.add_argument("--nights", type=int, default=500)
    parser.add_argument("--files", type=int, default=2000, help="raw files of each night")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("words", nargs="*", help="another command than status, with its words")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        site = ledger_site(Path(folder), arguments.nights, arguments.files)
        size = site.ledger.stat().st_size / 1e6
        print(f"{arguments.nights} nights of {arguments.files} files: a ledger of {size:.0f} MB")
        compileall.compile_dir(Path(vampd.__file__).parent, quiet=1)  # as it is when installed
        night = (_FIRST + timedelta(days=arguments.nights // 2)).strftime("%Y%m%d")
        asked = [["status"], ["show", night], ["explain", night], ["check"]]
        bare = _measure([sys.executable, "-c", _BARE], "a bare start", arguments.rounds)
        medians = [
            _measure(
                [sys.executable, "-m", "vampd", "--config", str(site.config), *words],
                " ".join(words),
                arguments.rounds,
            )
            for words in ([arguments.words] if arguments.words else asked)
        ]
    print(f"promised: under {_PROMISED_MS:.0f} ms; at most {max(medians) / bare:.1f} bare starts")
    raise SystemExit(0 if max(medians) < _PROMISED_MS else 1)


def _measure(command: list[str], name: str, rounds: int) -> float:
    taken = []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run(command, check=False, capture_output=True)
        taken.append(1000 * (time.perf_counter() - began))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    median = statistics.median(taken)
    print(
        f"{name}: least {min(taken):.0f} ms, median {median:.0f} ms,"
        f" processor {1000 * used / rounds:.0f} ms"
    )
    return median


def ledger_site(folder: Path, nights: int, files: int) -> Site:
    """A ledger of so many nights, of so many raw files each; the last ones are under way."""
    site = Site(folder=folder)
    site.make_ledger()
    with closing(sqlite3.connect(site.ledger)) as ledger:
        ledger.execute("pragma synchronous = off")
        for number in range(nights):
            day = (_FIRST + timedelta(days=number)).strftime("%Y%m%d")
            _add_night(ledger, site, day, files, safe=number < nights - _UNDER_WAY)
            ledger.commit()
    return site


def _add_night(ledger: sqlite3.Connection, site: Site, day: str, files: int, *, safe: bool) -> None:
    """A night that is safe, or half built."""
    night = ledger.execute(
        "insert into night (kind, date, folder, status, seen_us, last_change_us, closed_us,"
        " safe_us, changed_us, changed_by) values ('archive', ?, ?, ?, 1, 1, 1, ?, 1, 'vampd')",
        (
            day,
            str(site.folder / "archive" / day),
            "safe" if safe else "running",
            1 if safe else None,
        ),
    ).lastrowid
    assert night is not None
    ledger.executemany(
        "insert into raw_file (night, path, role, camera, stem, inode, size_bytes, modified_ns,"
        " state, seen_us, changed_us, changed_by)"
        " values (?, ?, ?, 1, ?, 1, 1000, 1, 'whole', 1, 1, 'vampd')",
        _raw_files(night, files),
    )
    ledger.executemany(
        "insert into output (night, ordinal, cube, camera, synchronised, flc_state, name, frames,"
        " width, height, first_us, last_us, header_file, content_key, state, changed_us,"
        " changed_by) values (?, ?, ?, 1, 1, '', ?, 100, 536, 536, 1, 2, 1, ?, ?, 1, 'vampd')",
        (
            (
                night,
                each,
                each,
                f"v{each}",
                f"{night}.{each}",
                _output_state(each, files, safe=safe),
            )
            for each in range(files // 2)
        ),
    )
    ledger.executemany(
        "insert into task (night, stage, unit, state, started_us, finished_us, changed_us,"
        " changed_by) values (?, ?, ?, ?, 1, ?, 1, 'vampd')",
        _tasks(night, files, safe=safe),
    )
    ledger.executemany(
        "insert into deliverable (night, path, size_bytes, sha256, sent_us, verified_us)"
        " values (?, ?, 10, '', 1, 1)",
        ((night, f"vgen2/{each}.fits.fz") for each in range(files)),
    )


def _raw_files(night: int, files: int) -> Iterator[tuple[object, ...]]:
    for each in range(files // 2):
        for role, ending in (("cube", "fits"), ("timing", "txt")):
            yield night, f"vcam1/vcam1_{each}.{ending}", role, f"vcam1_{each}"


def _output_state(each: int, files: int, *, safe: bool) -> str:
    if safe:
        return "verified"
    return "built" if each < files // 4 else "planned"


def _tasks(night: int, files: int, *, safe: bool) -> Iterator[tuple[object, ...]]:
    for stage in Stage:
        done = safe or stage in {Stage.SYNC, Stage.FRAME_IDS}
        if stage is not Stage.BUILD:
            yield night, stage, "", "done" if done else "pending", NOW_US
            continue
        for each in range(files // 2):
            yield night, stage, f"{each}.1", "done" if safe or each < files // 4 else "pending", 1


if __name__ == "__main__":
    main()
