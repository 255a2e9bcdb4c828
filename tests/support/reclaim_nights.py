"""Nights in every detail that decides about their space, and the truth about them."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from random import Random
from typing import Any

from msgspec import Struct, field

from vampd.ledger import nights as night_rows
from vampd.ledger import proofs
from vampd.ledger.connection import Ledger
from vampd.states import STAGES_OF, Kind, NightStatus

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
RAW_DAYS, OUTPUT_DAYS, TRASH_DAYS = 30.0, 1.0, 1.0

#: 2025-11-10 00:00:00 UT
START_US = 1_762_732_800_000_000

_MANIFEST = "manifest_VMP_{date}.csv"
_SIDECAR = ".vampd/raw_sidecar.tar"


class CrashError(BaseException):
    """The daemon dies here."""


class Connection(sqlite3.Connection):
    """Dies at the statement that is named beforehand."""

    statements_left: int | None = None

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        self._count(str(arguments[0]))
        return super().execute(*arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        self._count(str(arguments[0]))
        return super().executemany(*arguments)

    def _count(self, sql: str) -> None:
        if self.statements_left is None or sql.startswith("rollback"):
            return
        self.statements_left -= 1
        if self.statements_left < 0:
            raise CrashError(sql)


class TwoClocks(Struct, kw_only=True):
    """The host's date, which anybody sets, and its time since the start; the truth beside."""

    true_us: int = START_US
    date_error_us: int = 0
    started_us: int = START_US - DAY_US  #: of the host, in true time

    def now_us(self) -> int:
        return self.true_us + self.date_error_us

    def monotonic_ns(self) -> int:
        return (self.true_us - self.started_us) * 1000


class RawTruth(Struct, kw_only=True):
    """A raw file as the cameras left it."""

    path: str
    inode: int
    quarantined: bool = False
    is_another: bool = False  #: somebody put another file in its place
    removed: bool = False  #: by vampd, for ever


class NightTruth(Struct, kw_only=True):
    """What really is with a night, whatever the ledger says."""

    number: int
    kind: Kind
    date: str
    folder: Path
    raw: dict[str, RawTruth] = field(default_factory=dict)
    far: dict[str, str | None] = field(default_factory=dict)  #: digests over there
    listed: dict[str, str] = field(default_factory=dict)  #: what was sent
    safe_us: int = 0  #: true time
    kept: bool = False
    held: bool = False
    acked: bool = False
    let_go: bool = False
    proved: bool = True
    strangers: dict[str, int] = field(default_factory=dict)  #: others' files, by their inodes
    right_us: int | None = None  #: true time: somebody read all copies through, and all were right
    trashed_us: dict[str, int] = field(default_factory=dict)  #: raw files, true time

    @property
    def far_is_right(self) -> bool:
        return all(self.far.get(path) == sha256 for path, sha256 in self.listed.items())

    @property
    def has_quarantined(self) -> bool:
        return any(raw.quarantined and not raw.removed for raw in self.raw.values())


def make_night(ledger: Ledger, clock: TwoClocks, random: Random, folder: Path) -> NightTruth:
    """A safe archive night of two cubes, perhaps with a bad one, proved to be rebuildable."""
    date, kind = folder.name, Kind.ARCHIVE
    for name in ("vcam1", "vcam2", "vgen2", ".vampd"):
        (folder / name).mkdir(parents=True)
    now_us = ledger.now_us()
    number = ledger.insert(
        "night",
        kind=kind,
        date=date,
        folder=str(folder),
        status=NightStatus.RUNNING,
        seen_us=now_us,
        last_change_us=now_us,
        closed_us=now_us,
        closed_by="vampd",
        **ledger.stamp(),
    )
    night = NightTruth(number=number, kind=kind, date=date, folder=folder)
    cubes = [_make_cube(ledger, night, camera, "whole") for camera in (1, 2)]
    if random.random() < 0.4:
        _make_cube(ledger, night, 1, "quarantined")
    _make_products(ledger, night, cubes)
    row = night_rows.get_night(ledger, number)
    night_rows.set_status(ledger, row, NightStatus.SAFE, None)
    night.safe_us = clock.true_us
    return night


def _make_cube(ledger: Ledger, night: NightTruth, camera: int, state: str) -> int:
    stem = f"vcam{camera}_0{len(night.raw)}:00:00.000000000"
    numbers = []
    for role, ending in (("timing", ".txt"), ("cube", ".fits")):
        path = f"vcam{camera}/{stem}{ending}"
        (night.folder / path).write_text(f"{night.date} {path}")
        status = (night.folder / path).lstat()
        numbers.append(
            ledger.insert(
                "raw_file",
                night=night.number,
                path=path,
                role=role,
                camera=camera,
                stem=stem,
                inode=status.st_ino,
                size_bytes=status.st_size,
                modified_ns=status.st_mtime_ns,
                state=state,
                sha256="0" * 64,
                seen_us=0,
                **ledger.stamp(),
            )
        )
        night.raw[path] = RawTruth(
            path=path, inode=status.st_ino, quarantined=state == "quarantined"
        )
    if state == "whole":
        ledger.insert(
            "cube",
            raw_file=numbers[1],
            timing=numbers[0],
            frames=2,
            width=4,
            height=4,
            cards="{}",
            has_acquisition=1,
            rejected="{}",
            reports="[]",
            acquired=b"",
        )
    return numbers[1]


def _make_products(ledger: Ledger, night: NightTruth, cubes: list[int]) -> None:
    for ordinal, cube in enumerate(cubes):
        number = night.number * 10 + ordinal
        name = f"VMPA{number:08}" if night.kind is Kind.ARCHIVE else f"vcam1_{ordinal}"
        digests = {f"vgen2/{name}{end}": f"{number:060}{end[-4:]:>4}" for end in _ENDINGS}
        output = ledger.insert(
            "output",
            night=night.number,
            ordinal=ordinal,
            cube=ordinal,
            camera=1,
            synchronised=0,
            flc_state="",
            name=f"vcam1_{ordinal}",
            frames=1,
            width=4,
            height=4,
            first_us=0,
            last_us=1,
            header_file=cube,
            content_key=f"{night.number} {ordinal}",
            frame_id=number if night.kind is Kind.ARCHIVE else None,
            state="verified",
            size_bytes=10,
            sha256=digests[f"vgen2/{name}.fits.fz"],
            timing_size_bytes=10,
            timing_sha256=digests[f"vgen2/{name}.txt"],
            **ledger.stamp(),
        )
        if night.kind is Kind.ARCHIVE:
            ledger.insert(
                "frame_id",
                number=number,
                night=night.number,
                content_key=f"{night.number} {ordinal}",
                state="bound",
                reserved_us=0,
                **ledger.stamp(),
            )
        _segment(ledger, night, cube, output=output, position=0, first=0)
        _segment(ledger, night, cube, reason="no time", first=1)
        for path, sha256 in digests.items():
            _deliver(ledger, night, path, sha256)
    _deliver(ledger, night, _SIDECAR, f"{night.number:064}")
    if night.kind is Kind.ARCHIVE:
        _deliver(ledger, night, _MANIFEST.format(date=night.date), f"{night.number + 50:064}")
    prove(ledger, night)
    for task in STAGES_OF[night.kind]:
        ledger.insert("task", night=night.number, stage=task, state="done", **ledger.stamp())


def _segment(ledger: Ledger, night: NightTruth, cube: int, *, first: int, **columns: Any) -> None:
    ledger.insert(
        "segment", night=night.number, raw_file=cube, first=first, step=1, count=1, **columns
    )


def _deliver(ledger: Ledger, night: NightTruth, path: str, sha256: str) -> None:
    (night.folder / path).write_text("an output.")
    ledger.insert(
        "deliverable",
        night=night.number,
        path=path,
        size_bytes=10,
        sha256=sha256,
        sent_us=1,
        verified_us=ledger.now_us(),
        verdict="verified",
    )
    night.listed[path] = night.far[path] = sha256


def prove(ledger: Ledger, night: NightTruth) -> None:
    """Record that every raw file was rebuilt."""
    proof = proofs.begin(ledger, night.number, 1, f"{night.number:064}")
    ledger.update("rebuild_proof", proof.id, proved_us=1)
    ledger.execute("update raw_file set rebuilt_by = ? where night = ?", [proof.id, night.number])
    night.proved = True


_ENDINGS = (".fits.fz", ".txt")
