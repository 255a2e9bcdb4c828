"""What may happen in that observatory, one thing a step, and how it ends well."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.support.reclaim_nights import DAY_US, HOUR_US, CrashError, NightTruth, prove
from tests.support.reclaim_world import World
from vampd.background.reclaim.facts import proposals
from vampd.background.reclaim.moves import MoveJob
from vampd.io.disk import MARKER_NAME
from vampd.layout import TRASH_FOLDER
from vampd.ledger.nights import get_night, set_status
from vampd.states import NightStatus

STEPS_A_WORLD = 1000

Act = Callable[[World, NightTruth], None]


def tick(world: World, _night: NightTruth) -> None:
    world.tick()


def work(world: World, _night: NightTruth) -> None:
    world.work()


def tick_and_work(world: World, _night: NightTruth) -> None:
    world.tick()
    world.work()


def minutes_pass(world: World, _night: NightTruth) -> None:
    world.pass_time(world.random.randrange(HOUR_US))


def days_pass_seen(world: World, _night: NightTruth) -> None:
    world.pass_time(world.random.randrange(4 * DAY_US))
    world.tick()


def set_date(world: World, _night: NightTruth) -> None:
    """Somebody, or a broken battery, sets the date: by hours, by a month, by years."""
    error_us = world.random.choice((HOUR_US, 10 * DAY_US, 35 * DAY_US, 400 * DAY_US))
    world.clock.date_error_us = world.random.choice((-1, 0, 1)) * error_us


def host_restarts(world: World, _night: NightTruth) -> None:
    world.pass_time(world.random.choice((0, HOUR_US, 3 * DAY_US)))
    world.clock.started_us = world.clock.true_us
    world.pass_time(world.random.choice((0, HOUR_US)))
    if world.random.random() < 0.3:
        set_date(world, _night)
    world.begin_daemon()


def daemon_is_killed(world: World, _night: NightTruth) -> None:
    world.begin_daemon()


def dies_at_a_statement(world: World, night: NightTruth) -> None:
    """Whatever is done next, it ends in the middle."""
    world.connection.statements_left = world.random.randrange(60)
    act = world.random.choice((tick_and_work, tick_and_work, undelete, keep, ask))
    act(world, night)
    world.connection.statements_left = None


def scan(world: World, _night: NightTruth) -> None:
    world.scan_cycle.go()
    world.refresh()


def keep(world: World, night: NightTruth) -> None:
    night.kept = world.order("keep", night, why="look again") or night.kept


def unkeep(world: World, night: NightTruth) -> None:
    if world.order("unkeep", night, why=None):
        night.kept = False


def hold(world: World, night: NightTruth) -> None:
    night.held = world.order("hold", night, why="a question") or night.held
    world.refresh()


def release(world: World, night: NightTruth) -> None:
    if world.order("release", night):
        night.held = False
    world.refresh()


def ack(world: World, night: NightTruth) -> None:
    night.acked = world.order("ack", night, force=True, why="they wrote") or night.acked


def revoke(world: World, night: NightTruth) -> None:
    if night.acked and world.order("ack", night, revoke=True, why="a mistake"):
        night.acked = False


def let_go(world: World, night: NightTruth) -> None:
    night.let_go = world.order("let_go", night, why="they are bad") or night.let_go


def undelete(world: World, night: NightTruth) -> None:
    world.order("undelete", night)


def ask(world: World, night: NightTruth) -> None:
    world.order("reclaim", night)


def restore(world: World, night: NightTruth) -> None:
    """Must be refused while a raw file is not in its place; a whole night is not restored here."""
    if night.trashed_us or any(raw.removed for raw in night.raw.values()):
        assert not world.order("restore", night, force=True), "restored without its raw files"


def far_copy_breaks(world: World, night: NightTruth) -> None:
    path = world.random.choice(sorted(night.far))
    night.far[path] = world.random.choice((None, "e" * 64))


def far_copies_are_mended(_world: World, night: NightTruth) -> None:
    night.far = dict(night.listed)


def proof_is_void(world: World, night: NightTruth) -> None:
    proofs_gone = "update raw_file set rebuilt_by = null where night = ?"
    world.ledger.execute(proofs_gone, [night.number])
    night.proved = False


def proof_is_made(world: World, night: NightTruth) -> None:
    prove(world.ledger, night)


def late_file(world: World, night: NightTruth) -> None:
    world.ledger.execute(
        "insert into raw_file (night, path, role, inode, size_bytes, modified_ns, state, seen_us,"
        " changed_us, changed_by) values (?, 'vcam1/late', 'other', 1, 1, 1, 'late', 0, 0, '')"
        " on conflict do update set state = 'late'",
        [night.number],
    )


def late_file_goes(world: World, night: NightTruth) -> None:
    world.ledger.execute(
        "update raw_file set state = 'gone' where night = ? and path = 'vcam1/late'", [night.number]
    )


def raw_file_is_replaced(world: World, night: NightTruth) -> None:
    """Somebody puts another file under a raw file's name; it is not vampd's to take."""
    raw = world.random.choice(sorted(night.raw.values(), key=lambda raw: raw.path))
    path = night.folder / raw.path
    is_there = path.exists() and raw.path not in night.strangers
    if is_there and not raw.is_another and not raw.quarantined:
        new = path.with_name("new")
        new.write_text(path.read_text())
        old = path.with_name(f"{path.name}.old")
        path.replace(old)
        new.rename(path)
        world.replaced[raw.path + night.date] = old
        raw.inode, raw.is_another = path.stat().st_ino, True


def raw_file_comes_back(world: World, night: NightTruth) -> None:
    for raw in night.raw.values():
        old = world.replaced.pop(raw.path + night.date, None)
        if old is not None:
            old.replace(night.folder / raw.path)
            raw.inode, raw.is_another = (night.folder / raw.path).stat().st_ino, False
    world.scan_cycle.go()


def stranger_takes_the_place(_world: World, night: NightTruth) -> None:
    """Somebody writes a file of his own where a raw file lay that is in the trash."""
    for path in night.trashed_us:
        place = night.folder / path
        if place.parent.exists() and not place.exists():
            place.write_text("not the cameras'")
            night.strangers[path] = place.stat().st_ino
            return


def stranger_goes(_world: World, night: NightTruth) -> None:
    for path in list(night.strangers):
        del night.strangers[path]
        (night.folder / path).unlink()


def work_begins_anew(world: World, night: NightTruth) -> None:
    row = get_night(world.ledger, night.number)
    if row.status == NightStatus.SAFE and row.hold is None:
        world.ledger.execute(
            "update task set state = 'pending' where night = ? and stage = 'verify'", [night.number]
        )
        set_status(world.ledger, row, NightStatus.READY, None)
        world.refresh()


def work_is_done(world: World, night: NightTruth) -> None:
    """What is wrong at the far end was sent again, and verified."""
    if world.is_unfinished(night):
        night.far, night.safe_us = dict(night.listed), world.clock.true_us
        world.ledger.execute("update task set state = 'done' where night = ?", [night.number])
        world.ledger.execute(
            "update deliverable set verdict = 'verified', verified_us = ? where night = ?",
            [world.clock.now_us(), night.number],
        )
        world.refresh()


def disk_goes(world: World, _night: NightTruth) -> None:
    marker, away = world.root / MARKER_NAME, world.root / "marker.away"
    if not away.exists():
        marker.rename(away)
        if world.random.random() < 0.5:
            marker.write_text("vampd-root 00000000-0000-0000-0000-000000000000\n")


def disk_comes(world: World, _night: NightTruth) -> None:
    away = world.root / "marker.away"
    if away.exists():
        away.replace(world.root / MARKER_NAME)


def half_a_rename(world: World, night: NightTruth) -> None:
    """Where the file system knows no rename without replacing, a crash leaves two names."""
    if (
        not isinstance(world.job, MoveJob)
        or world.job.step != "move"
        or world.job.date != night.date
    ):
        return
    file = world.job.files[0]
    place = world.root / TRASH_FOLDER / file.place
    source = night.folder / file.path
    if source.exists() and source.stat().st_ino == file.inode:
        place.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, place)
        world.begin_daemon()


ACTS: dict[Act, int] = {
    tick: 10,
    work: 10,
    tick_and_work: 34,
    minutes_pass: 6,
    days_pass_seen: 12,
    set_date: 4,
    host_restarts: 2,
    daemon_is_killed: 2,
    dies_at_a_statement: 4,
    scan: 2,
    keep: 1,
    unkeep: 3,
    hold: 1,
    release: 3,
    ack: 4,
    revoke: 1,
    let_go: 1,
    undelete: 1,
    ask: 2,
    restore: 1,
    far_copy_breaks: 1,
    far_copies_are_mended: 3,
    proof_is_void: 1,
    proof_is_made: 3,
    late_file: 1,
    late_file_goes: 3,
    raw_file_is_replaced: 1,
    raw_file_comes_back: 3,
    stranger_takes_the_place: 1,
    stranger_goes: 3,
    work_begins_anew: 1,
    work_is_done: 3,
    disk_goes: 1,
    disk_comes: 3,
    half_a_rename: 1,
}


def run(folder: Path, template: sqlite3.Connection, seed: int, steps: int) -> Counter[str]:
    """Live through *steps* things in one world after another; return what was seen.

    AssertionError: something went that must not, with the seed and the last steps.
    """
    seen: Counter[str] = Counter()
    worlds = 0
    while steps > 0:
        world = World(folder / f"{seed}-{worlds}", template, Random(f"{seed} {worlds}"))
        told = _live(world, min(steps, STEPS_A_WORLD), f"seed {seed}, world {worlds}")
        steps -= told
        seen += world.seen
        world.connection.close()
        worlds += 1
    seen["worlds"] = worlds
    return seen


def _live(world: World, steps: int, name: str) -> int:
    acts, weights = list(ACTS), list(ACTS.values())
    told: list[str] = []
    for act in world.random.choices(acts, weights, k=steps):
        night = world.random.choice(world.nights)
        told.append(f"{act.__name__} {night.date}")
        try:
            act(world, night)
        except CrashError:
            world.seen["crash"] += 1
            world.begin_daemon()
        except AssertionError as error:
            error.add_note(f"{name}, step {len(told)}: ... {', '.join(told[-12:])}")
            raise
    _end_well(world, name)
    return steps


def _end_well(world: World, name: str) -> None:
    """When all faults are mended and time has passed, everything that may go has gone."""
    world.clock.date_error_us = 0
    for night in world.nights:
        stranger_goes(world, night)
        work_is_done(world, night)
        for act in (
            disk_comes,
            raw_file_comes_back,
            undelete,
            far_copies_are_mended,
            late_file_goes,
        ):
            act(world, night)
        for act in (proof_is_made, ack, let_go, unkeep, release):
            act(world, night)
    for _ in range(400):
        try:
            tick_and_work(world, world.nights[0])
        except CrashError:
            world.begin_daemon()
        if world.job is None:
            world.pass_time(DAY_US // 2)
        if all(_is_reclaimed(world, night) for night in world.nights):
            world.seen["reclaimed"] += len(world.nights)
            lying = (world.root / TRASH_FOLDER).rglob("*")
            left = [path for path in lying if path.is_file()]
            assert left == [], f"{name}: left in the trash: {left}"
            return
    stuck = {night.date: _told(world, night) for night in world.nights}
    msg = f"{name}: not everything was given back in the end: {stuck}"
    raise AssertionError(msg)


def _is_reclaimed(world: World, night: NightTruth) -> bool:
    status = world.ledger.value("select status from night where id = ?", [night.number])
    return bool(status == NightStatus.RECLAIMED)


def _told(world: World, night: NightTruth) -> list[str]:
    ledger = world.ledger
    rows = ledger.rows("select state, why from reclaim where night = ?", [night.number])
    gone = ledger.rows(
        "select path, state, why from trash where night = ? and state not in ('returned')",
        [night.number],
    )
    row = get_night(ledger, night.number)
    told = [str(each.refusals) for each in proposals(ledger, world.config, row)]
    return [str(tuple(row)) for row in (*rows[-3:], *gone)] + told
