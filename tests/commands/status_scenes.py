"""Ledgers in every state that `vampd status` can show, and their pictures with a still world.

`python -m tests.commands.status_scenes` writes the golden screens anew; look at the difference.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click
from msgspec.structs import replace

from tests.support.ledger_site import NOW_US, Site
from vampd.causes import Cause
from vampd.cli import Invocation
from vampd.commands.screen import Screen
from vampd.commands.status_picture import DiskView, Picture, RootView, Wish, take
from vampd.commands.status_screen import lines
from vampd.states import HoldCode, Kind, Stage, WaitCode

GOLDEN = Path(__file__).parent / "golden"

SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US

SCREENS: Mapping[str, Screen] = {
    "80 columns, plain": Screen(colours=False, glyphs=False, width=80),
    "120 columns, plain": Screen(colours=False, glyphs=False, width=120),
    "80 columns, coloured": Screen(colours=True, glyphs=True, width=80),
    "120 columns, coloured": Screen(colours=True, glyphs=True, width=120),
}

_REFUSED = """rsync of archive 20251107 exited 11:
rsync: [Receiver] mkdir "/mnt/tier1/2_ARCHIVED_DATA/20251107" failed: No such file or directory (2)
rsync error: error in file IO (code 11) at main.c(808) [Receiver=3.5.0]"""

_LOW = Cause(WaitCode.DISK_LOW, {"least": "100", "root": "/mnt/fuuu/ARCHIVED_DATA/20251107"})
_QUIET = Cause(WaitCode.QUIET, {"minutes": "30"})


def _safe(site: Site, date: str = "20251106", kind: Kind = Kind.ARCHIVE) -> int:
    night = site.night(date, "safe", kind=kind)
    site.stages(night, kind, None)
    site.execute(
        "update task set finished_us = ? where stage = 'verify' and state = 'done'",
        NOW_US - 9 * HOUR_US,
    )
    cube = site.cube(night, "vcam1_05:10:00.000000000", frames=100)
    site.output(night, 0, "vcam1_05:10:00", [(cube, 0, 1, 100)], state="verified", size_bytes=900)
    return night


def _stopped(
    site: Site, status: str, cause: Cause | str | None, upto: Stage, **trouble: object
) -> int:
    """A night that stands at *upto*, whose work there is in *trouble*."""
    night = site.night("20251107", status, cause=cause)
    site.stages(night, Kind.ARCHIVE, upto)
    cube = site.cube(night, "vcam1_05:10:00.000000000", frames=100)
    if list(Stage).index(upto) > list(Stage).index(Stage.BUILD):
        site.output(night, 0, "vcam1_05:10:00", [(cube, 0, 1, 100)], state="built", size_bytes=900)
    if trouble:
        columns = ", ".join(f"{name} = ?" for name in trouble)
        site.execute(
            f"update task set {columns} where night = {night} and stage = '{upto}'",
            *trouble.values(),
        )
    return night


def fresh(_site: Site) -> None:
    """Nothing was ever seen."""


def all_well(site: Site) -> None:
    for day in range(1, 7):
        _safe(site, f"2025110{day}")
    _safe(site, "20251105", Kind.ENGINEERING)
    site.night("20251107", "collecting", cause=_QUIET)


def running(site: Site) -> None:
    _safe(site)
    night = site.night("20251107", "running")
    site.stages(night, Kind.ARCHIVE, Stage.BUILD)
    cube = site.cube(night, "vcam1_05:10:00.000000000", frames=100)
    for ordinal in range(8):
        done = ordinal < 3
        site.task(
            night,
            Stage.BUILD,
            "done" if done else "running" if ordinal == 3 else "pending",
            f"{ordinal}.1",
            started_us=NOW_US - 100 * SECOND_US,
        )
        site.output(
            night,
            ordinal,
            f"vcam1_05:10:0{ordinal}",
            [(cube, 0, 1, 100)],
            state="built" if done else "planned",
            frames=25_000,
            width=536,
            height=536,
            changed_us=NOW_US - 10 * SECOND_US,
        )


def sending(site: Site) -> None:
    night = _safe(site)
    _deliver(site, night, sent=True)
    site.execute(
        "update task set started_us = ?, finished_us = ? where stage = 'transfer'",
        NOW_US - 2 * HOUR_US,
        NOW_US - 2 * HOUR_US + 1000 * SECOND_US,
    )
    other = _stopped(
        site,
        "running",
        None,
        Stage.TRANSFER,
        state="running",
        started_us=NOW_US - 250 * SECOND_US,
    )
    _deliver(site, other, sent=False)


def _deliver(site: Site, night: int, *, sent: bool) -> None:
    for number in range(2):
        site.insert(
            "deliverable",
            night=night,
            path=f"vgen2/{number}.fits.fz",
            size_bytes=100_000_000_000,
            sha256="",
            sent_us=NOW_US if sent else None,
        )


def waiting_for_the_network(site: Site) -> None:
    error = "ssh: connect to host scexao6 port 22: No route to host"
    _stopped(
        site,
        "waiting",
        f"transfer: {error}",
        Stage.TRANSFER,
        error=error,
        error_class="transient",
        attempts=7,
        due_us=NOW_US + 900 * SECOND_US,
        failing_since_us=NOW_US - 2 * HOUR_US,
    )


def waiting_for_space(site: Site) -> None:
    _stopped(site, "waiting", _LOW, Stage.BUILD)


def waiting_for_an_older_night(site: Site) -> None:
    _stopped(
        site,
        "waiting",
        Cause(WaitCode.OLDER_NIGHT, {"older": "20251105", "older_status": "failed"}),
        Stage.FRAME_IDS,
    )
    night = site.night("20251105", "failed")
    site.stages(night, Kind.ARCHIVE, Stage.FRAME_IDS)
    site.execute(
        "update task set state = 'failed', attempts = 2, error_class = 'deterministic', error = ?"
        f" where night = {night} and stage = 'frame_ids'",
        "frame_ids.first is not set: nobody knows where the numbers begin",
    )


def failed_to_send(site: Site) -> None:
    _safe(site)
    _stopped(
        site,
        "failed",
        f"transfer: {_REFUSED}",
        Stage.TRANSFER,
        state="failed",
        error=_REFUSED,
        error_class="deterministic",
        attempts=2,
    )


def held_by_order(site: Site) -> None:
    night = site.night("20251107", "held", cause="dome flats are missing")
    site.execute("update night set hold = cause where id = ?", night)
    site.night("20251107", "collecting", kind=Kind.ENGINEERING)


def held_for_a_changed_file(site: Site) -> None:
    path = "vcam1/vcam1_05:11:38.080947000.fits"
    changed = Cause(
        HoldCode.RAW_CHANGED, {"when": "the night was closed", "path": path, "more": ""}
    )
    night = _stopped(site, "held", changed, Stage.BUILD)
    site.execute(
        "update night set hold = cause, hold_code = cause_code, hold_words = cause_words"
        " where id = ?",
        night,
    )


def held_for_its_bytes(site: Site) -> None:
    error = "vgen2/VMPA00425189.fits.fz has 17 bytes; the ledger lists 1234567"
    _stopped(
        site,
        "held",
        f"transfer: {error}",
        Stage.TRANSFER,
        state="failed",
        error=error,
        error_class="integrity",
        attempts=1,
    )


def odd_things(site: Site) -> None:
    night = _safe(site)
    site.cube(night, "vcam1_05:11:00.000000000", state="quarantined", reason="no timing file")
    site.cube(night, "vcam1_05:12:00.000000000", state="late")
    error = "1 files not verified: vgen2/1.fits.fz is elsewhere"
    other = _stopped(
        site,
        "waiting",
        f"verify: {error}",
        Stage.VERIFY,
        error=error,
        error_class="transient",
        attempts=3,
        due_us=NOW_US + HOUR_US,
        failing_since_us=NOW_US - HOUR_US,
    )
    site.insert(
        "deliverable",
        night=other,
        path="vgen2/1.fits.fz",
        size_bytes=1,
        sha256="",
        sent_us=NOW_US,
        verdict="elsewhere",
    )


def a_supplement(site: Site) -> None:
    night = _safe(site)
    site.cube(night, "vcam1_05:12:00.000000000", state="arriving")
    site.execute(
        "update night set batch = 2, status = 'collecting', cause = '30 min without a change',"
        " cause_code = 'quiet',"
        " closed_us = null, safe_us = null where id = ?",
        night,
    )


def at_rest(site: Site) -> None:
    for date, status in (("20251101", "reclaimed"), ("20251102", "empty"), ("20251103", "safe")):
        site.night(date, status)
    site.night("20251104", "abandoned", cause="the shutter was closed")


#: By name: the ledger, whether the daemon runs, and what else is other than usual.
SCENES: Mapping[str, Callable[[Site], None]] = {
    scene.__name__: scene
    for scene in (
        fresh,
        all_well,
        running,
        sending,
        waiting_for_the_network,
        waiting_for_space,
        waiting_for_an_older_night,
        failed_to_send,
        held_by_order,
        held_for_a_changed_file,
        held_for_its_bytes,
        odd_things,
        a_supplement,
        at_rest,
    )
}


def picture_of(site: Site, wish: Wish | None = None, *, runs: bool = True) -> Picture:
    """The picture of a ledger, on a machine and at a time that do not change."""
    config = Invocation(config_path=site.config).config()
    seen = take(config, wish or Wish(), now_us=NOW_US)
    root = RootView(path=Path("/mnt/fuuu"), kind=Kind.ARCHIVE, present=True)
    disk = DiskView(
        path=root.path,
        free_bytes=12_300_000_000_000,
        total_bytes=60_000_000_000_000,
        spare_bytes=12_200_000_000_000,
        night_bytes=3_000_000_000_000 if seen.summaries else None,
    )
    past = seen.at_us is not None
    return replace(
        seen,
        host="scexao5",
        lock="pid 4711 host scexao5" if runs else None,
        roots=() if past else (root,),
        disks=() if past else (disk,),
    )


def running_picture(site: Site) -> Picture:
    """As `picture_of`, seen while a daemon holds the lock."""
    from vampd.io.lock import StateLock

    with StateLock.acquire(site.state):
        return picture_of(site)


def pictures(folder: Path) -> Iterator[tuple[str, Picture]]:
    """Every picture that has a golden screen, by name."""
    for name, scene in SCENES.items():
        site = Site(folder=folder / name)
        site.make_ledger()
        if name != "fresh":
            site.daemon(stopped=False)
        scene(site)
        yield name, running_picture(site)
        if name == "at_rest":
            yield "everything", replace(running_picture(site), full=True)
        if name == "failed_to_send":
            yield "daemon_ended_unasked", picture_of(site, runs=False)
        if name == "all_well":
            yield from _of_the_machine(site)


def _of_the_machine(site: Site) -> Iterator[tuple[str, Picture]]:
    """The daemon is stopped, the disk is gone, or hangs, or is full."""
    well = running_picture(site)
    (root,), (disk,) = well.roots, well.disks
    site.execute("update daemon set stopped_us = heard_us")
    yield "daemon_stopped", picture_of(site, runs=False)
    yield "root_absent", replace(well, roots=(replace(root, present=False),), disks=())
    hangs = replace(root, present=False, answers=False)
    yield "root_hangs", replace(well, roots=(hangs,), disks=())
    full = replace(disk, free_bytes=41_200_000_000, spare_bytes=-58_800_000_000)
    yield "disk_full", replace(well, disks=(full,))
    mailed = replace(well, mail={"ready": 2, "acknowledged": 4})
    yield "to_be_mailed", replace(mailed, to_be_mailed=("20251103", "20251106"))
    yield "daemon_is_done", replace(picture_of(site, runs=False), is_over=True)


def screens(picture: Picture) -> str:
    """A picture on each kind of screen, its colours made legible."""
    text = ""
    for name, screen in SCREENS.items():
        shown = "\n".join(lines(picture, screen)).replace("\x1b[", "^[")
        text += f"=== {name}\n{shown}\n"
    return text


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, picture in pictures(Path(folder)):
            (GOLDEN / f"status_{name}.txt").write_text(screens(picture), encoding="utf-8")
            click.echo(name)


if __name__ == "__main__":
    main()
