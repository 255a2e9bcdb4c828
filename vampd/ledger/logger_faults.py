"""What the cameras' logger did to a night: told everywhere, and nothing waits for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct
from msgspec.structs import asdict

from vampd.ledger.connection import Ledger
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.ledger.rows import fetch_all, record_of
from vampd.states import LoggerFault


class Fault(Struct, frozen=True, kw_only=True):
    """One finding."""

    fault: LoggerFault
    camera: int
    cubes: int
    frames: int  #: about so many
    text: str
    raw_file: int | None = None


class Toll(Struct, frozen=True, kw_only=True):
    """What all findings of one sort come to."""

    cubes: int
    frames: int
    found_us: int  #: when the last of them was found

    @property
    def lost_text(self) -> str:
        """That so much was lost, in words."""
        cubes = f"{_count(self.cubes, 'cube')} lost by the logger"
        return f"{cubes}, about {_count(self.frames, 'frame')}" if self.frames else cubes

    def text(self, fault: LoggerFault) -> str:
        """What so much of *fault* means, in words; the same for every view."""
        cubes = _count(self.cubes, "cube")
        match fault:
            case LoggerFault.LOST:
                return self.lost_text
            case LoggerFault.CLOCK:
                return f"{cubes} timed by the logger alone: what its clock was ahead is taken off"
            case LoggerFault.DOUBLE:
                are, they = ("is", "it") if self.cubes == 1 else ("are", "each")
                return f"{cubes} {are} there twice, under two names: {they} is used once"
            case LoggerFault.OVERLAP:
                frames = _count(self.frames, "frame")
                return f"times of one camera's cubes overlap: {frames} not paired, states not told"


def renew(
    ledger: Ledger, night: Night, faults: Collection[LoggerFault], found: Iterable[Fault]
) -> list[Fault]:
    """Let *found* be all of these *faults* of a night's batch; LOST is one of the whole night.

    Returns those that are new. What was known keeps the time at which it was found.
    """
    known = {
        record_of(Fault, row): row["id"]
        for row in ledger.rows("select * from logger_fault where night = ?", [night.id])
        if row["fault"] in faults
        and (row["batch"] == night.batch or row["fault"] == LoggerFault.LOST)
    }
    new = list(dict.fromkeys(found))
    with ledger.transaction():
        for fault, number in known.items():
            if fault not in new:
                ledger.execute("delete from logger_fault where id = ?", [number])
        for fault in new:
            if fault not in known:
                ledger.insert(
                    "logger_fault",
                    night=night.id,
                    batch=night.batch,
                    found_us=ledger.now_us(),
                    **asdict(fault),
                )
    return [fault for fault in new if fault not in known]


def faults_of(reader: Reader, night: int) -> list[Fault]:
    """All findings of a night."""
    query = "select * from logger_fault where night = ? order by fault, camera, text"
    return fetch_all(Fault, reader, query, (night,))


def tolls(reader: Reader, nights: Collection[int]) -> Mapping[int, dict[LoggerFault, Toll]]:
    """What the findings of each of *nights* come to; nights without any are left out."""
    marks = ", ".join("?" * len(nights))
    found: dict[int, dict[LoggerFault, Toll]] = defaultdict(dict)
    for row in reader.execute(
        "select night, fault, sum(cubes) as cubes, sum(frames) as frames,"  # noqa: S608
        f" max(found_us) as found_us from logger_fault where night in ({marks})"
        " group by night, fault order by fault",
        [*nights],
    ):
        found[row["night"]][LoggerFault(row["fault"])] = Toll(
            cubes=row["cubes"], frames=row["frames"], found_us=row["found_us"]
        )
    return found


def sum_up(faults: Iterable[Fault]) -> dict[LoggerFault, Toll]:
    """What the findings of one night come to."""
    found: dict[LoggerFault, Toll] = {}
    for fault in faults:
        known = found.get(fault.fault, Toll(cubes=0, frames=0, found_us=0))
        found[fault.fault] = Toll(
            cubes=known.cubes + fault.cubes, frames=known.frames + fault.frames, found_us=0
        )
    return found


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
