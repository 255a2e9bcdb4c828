"""Measure what nights at rest cost: `./dev bench idle --nights 500 --files 2000`.

Makes a ledger of so many safe nights and their raw files; starts the daemon twice, since
the first start looks at every file and later ones need not. Prints for each start how long it took
until the first heartbeat and until the daemon rests, then the share of a core that it takes while
nothing happens, and its peak memory. Exit 1 when the second start misses a goal.
"""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from tests.benches.status import _FIRST, _add_night
from tests.support.ledger_site import Site
from vampd.ledger.connection import HEADERS_NAME

_MOST_CORE_PERCENT = 1.0
_MOST_RESIDENT_MIB = 150.0
_MOST_SECONDS_TO_HEARTBEAT = 10.0
_TICK = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench idle", description=__doc__)
    parser.add_argument("--nights", type=int, default=500)
    parser.add_argument("--files", type=int, default=2000, help="raw files of each night")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long idleness is measured")
    parser.add_argument("--folder", type=Path, help="where the nights lie (default: a temporary)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        site = _site(Path(folder), arguments.nights, arguments.files)
        print(f"{arguments.nights} safe nights of {arguments.files} raw files each")
        _measure("first start", site, arguments.seconds)
        kept = _measure("second start", site, arguments.seconds)
    raise SystemExit(0 if kept else 1)


def _site(folder: Path, nights: int, files: int) -> Site:
    """Nights that are safe and settled in every way, so that nothing is due."""
    site = Site(folder=folder)
    site.make_ledger()
    (site.state / HEADERS_NAME).touch()
    with closing(sqlite3.connect(site.ledger)) as ledger:
        ledger.execute("pragma synchronous = off")
        for number in range(nights):
            day = (_FIRST + timedelta(days=number)).strftime("%Y%m%d")
            _add_night(ledger, site, day, files, safe=True)
            ledger.commit()
        ledger.execute("update output set headed = 1")
        for night, date in ledger.execute("select id, date from night").fetchall():
            _make_files(ledger, site.folder / "archive" / date, night)
        ledger.execute("update raw_file set headed = 1")
        now_us = time.time_ns() // 1000
        ledger.execute("update night set safe_us = ?1, last_change_us = ?1", [now_us])
        ledger.execute(
            "insert into paper (night, event, written_us) select id,"
            " (select max(id) from event where night = night.id), ? from night",
            [now_us],
        )
        ledger.execute("update paper set event = (select max(id) from event)")
        ledger.commit()
    return site


def _make_files(ledger: sqlite3.Connection, folder: Path, night: int) -> None:
    """Sparse files as the ledger's rows have them; the rows get their inodes."""
    for camera in ("vcam1", "vcam2"):
        (folder / camera).mkdir(parents=True)
    inodes = []
    for number, path in ledger.execute("select id, path from raw_file where night = ?", [night]):
        descriptor = os.open(folder / path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.ftruncate(descriptor, 1000)
        os.utime(descriptor, ns=(1, 1))
        inodes.append((os.fstat(descriptor).st_ino, number))
        os.close(descriptor)
    ledger.executemany("update raw_file set inode = ? where id = ?", inodes)
    ledger.commit()


def _measure(name: str, site: Site, seconds: float) -> bool:
    before = _lives(site)
    began = time.monotonic()
    command = [sys.executable, "-m", "vampd", "--config", str(site.config), "admin", "run"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
    ) as daemon:
        try:
            while _lives(site) == before:
                time.sleep(0.02)
            heartbeat = time.monotonic() - began
            while _core_percent(daemon.pid, 2.0) > 20:
                pass
            rest = time.monotonic() - began
            idle = _core_percent(daemon.pid, seconds)
            resident = _peak_mib(daemon.pid)
        finally:
            daemon.send_signal(signal.SIGTERM)
    print(
        f"{name}: first heartbeat after {heartbeat:.1f} s (goal {_MOST_SECONDS_TO_HEARTBEAT:g}),"
        f" at rest after {rest:.0f} s; then {idle:.2f} % of a core (goal {_MOST_CORE_PERCENT:g}),"
        f" peak {resident:.0f} MiB (goal {_MOST_RESIDENT_MIB:g})"
    )
    return (
        heartbeat <= _MOST_SECONDS_TO_HEARTBEAT
        and idle <= _MOST_CORE_PERCENT
        and resident <= _MOST_RESIDENT_MIB
    )


def _lives(site: Site) -> int:
    with closing(sqlite3.connect(f"file:{site.ledger}?mode=ro", uri=True)) as ledger:
        count: int = ledger.execute("select count(*) from daemon").fetchone()[0]
    return count


def _core_percent(pid: int, seconds: float) -> float:
    before = _ticks(pid)
    time.sleep(seconds)
    return 100 * (_ticks(pid) - before) / _TICK / seconds


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
