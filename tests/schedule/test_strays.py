"""Raw files of closed nights under another inode or time: their bytes decide who they are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.schedule.test_rounds import DATE, LATER_STEM, STEM, Scene, scene
from vampd.causes import Cause
from vampd.errors import OperatorError, RetryableError
from vampd.ledger import files, nights, outputs, strays, tasks
from vampd.ledger.records import RawFile
from vampd.orders.night import Orders
from vampd.records import Plan, PlannedOutput, Segment
from vampd.schedule.dispatch import stages_due, standing
from vampd.schedule.facts import read_facts
from vampd.states import (
    ErrorClass,
    FileCode,
    FileState,
    FlcState,
    Kind,
    NightStatus,
    Stage,
    StrayState,
    WaitCode,
)
from vampd.views.odd_conditions import odd_conditions
from vampd.views.oddities import oddities
from vampd.views.summaries import nights as nights_in_short
from vampd.watch.inspect import DigestJob, sha256_files

__all__ = ["scene"]

PATH = f"vcam1/{STEM}.fits"


def read_through(scene: Scene) -> None:
    """What the engine does with digests: raw files that nobody read, and strays."""
    number = scene.night.id
    rows = (*strays.unread(scene.ledger, number), *files.without_digest(scene.ledger, number))
    paths = tuple(row.path for row in rows)
    found = sha256_files(DigestJob(folder=str(scene.night_folder), files=paths))
    for path, digest in zip(paths, found.results, strict=True):
        if digest.sha256 is None or digest.identity is None:
            strays.note_unreadable(scene.ledger, number, path, digest.problem)
            continue
        known = (scene.ledger, number, path, digest.sha256, digest.identity)
        files.record_digest(*known)
        strays.take_digest(*known)
    strays.review(scene.ledger, number)


def standing_of(scene: Scene) -> tuple[NightStatus, str | None]:
    facts = read_facts(scene.ledger, scene.scan_cycle, {})
    found = standing(facts[0], facts)
    return found.status, None if found.cause is None else str(found.cause)


def raw_row(scene: Scene, path: str = PATH) -> RawFile:
    return files.file_of(scene.ledger, scene.night.id, path)


def move_to_another_inode(path: Path) -> None:
    """As `cp -a` does it: the same bytes and times."""
    copy = path.with_name("copy")
    shutil.copy2(path, copy)
    copy.replace(path)


def order(scene: Scene, name: str, *, dry_run: bool = False) -> list[str]:
    named = {"kind": Kind.ARCHIVE, "date": DATE, "dry_run": dry_run, "why": "a look"}
    lines: list[str] = Orders(scene.ledger, scene.config).carry_out(name, named, "uid 0")["lines"]
    return lines


@pytest.fixture
def closed(scene: Scene) -> Scene:
    """A night of one cube that is closed and read through."""
    scene.cube()
    scene.close_night()
    read_through(scene)
    return scene


def plan(scene: Scene) -> None:
    """One output of the whole cube, to be built."""
    number = raw_row(scene).id
    output = PlannedOutput(
        cube=0,
        camera=1,
        synchronised=False,
        flc_state=FlcState.NONE,
        name="vcam1_05:10:00.000000",
        frames=5,
        width=6,
        height=4,
        first_us=1,
        last_us=2,
        header_file=number,
        segments=(Segment(raw_file=number, first=0, step=1, count=5),),
    )
    planned = Plan(outputs=(output,), rejected=(), reports=())
    outputs.store_plan(scene.ledger, scene.night.id, planned)
    tasks.add_task(scene.ledger, scene.night.id, Stage.BUILD, "0.1")


def fail(scene: Scene, stage: Stage, error_class: ErrorClass) -> int:
    number: int = scene.ledger.value("select id from task where stage = ?", [stage])
    task = tasks.claim(scene.ledger, number)
    assert task is not None
    tasks.fail(scene.ledger, task, error_class, "it went wrong")
    return number


@pytest.mark.parametrize("touched", [False, True], ids=["inode", "inode and time"])
def test_the_recorded_bytes_under_another_inode_are_the_file(
    closed: Scene, *, touched: bool
) -> None:
    before = raw_row(closed)

    move_to_another_inode(closed.night_folder / PATH)
    if touched:
        os.utime(closed.night_folder / PATH)
    closed.go(2)
    meanwhile, due = (
        standing_of(closed),
        stages_due(read_facts(closed.ledger, closed.scan_cycle, {})),
    )
    read_through(closed)

    after = raw_row(closed)
    assert meanwhile == (
        NightStatus.WAITING,
        str(Cause(WaitCode.READ_AGAIN)),
    )
    assert due == []
    assert standing_of(closed)[0] == NightStatus.READY
    assert (after.state, after.sha256) == (before.state, before.sha256)
    found = (closed.night_folder / PATH).stat()
    assert (after.inode, after.modified_ns) == (found.st_ino, found.st_mtime_ns)
    events = closed.ledger.rows("select was, became, about from event where subject = 'stray'")
    assert [tuple(row) for row in events] == [
        (None, "unread", PATH),
        ("unread", "settled", PATH),
    ]
    closed.go(2)
    assert standing_of(closed)[0] == NightStatus.READY


def test_other_bytes_of_the_same_size_hold_the_night_and_both_digests_are_told(
    closed: Scene,
) -> None:
    cube = closed.night_folder / PATH
    content = bytearray(cube.read_bytes())
    content[-1] ^= 1
    cube.write_bytes(content)

    closed.go(2)
    read_through(closed)

    job = DigestJob(folder=str(closed.night_folder), files=(PATH,))
    [found] = sha256_files(job).results
    assert closed.night.hold == (
        f"raw file changed after the night was closed: {PATH}\n"
        f"its SHA-256 was {raw_row(closed).sha256}, and is {found.sha256}"
    )
    assert standing_of(closed)[0] == NightStatus.HELD


@pytest.mark.parametrize("copied", [False, True], ids=["moved", "copied"])
def test_a_file_that_went_and_comes_back_lets_its_night_go_on_by_itself(
    closed: Scene, *, copied: bool
) -> None:
    aside = closed.folder / "aside"
    shutil.move(closed.night_folder / PATH, aside)
    closed.go()
    held = closed.night.hold

    (shutil.copy2 if copied else shutil.move)(aside, closed.night_folder / PATH)
    closed.go()
    read_through(closed)

    assert held == f"raw file gone after the night was closed: {PATH}"
    assert closed.night.hold is None
    assert standing_of(closed)[0] == NightStatus.READY


def test_an_operators_hold_is_not_lifted_with_the_files(closed: Scene) -> None:
    aside = (closed.night_folder / PATH).rename(closed.folder / "aside")
    closed.go()
    order(closed, "hold")
    operators = closed.night.hold

    aside.rename(closed.night_folder / PATH)
    closed.go()

    assert operators == "a look"
    assert closed.night.hold == "a look"


def test_a_night_released_by_an_operator_is_held_again_for_its_files(closed: Scene) -> None:
    (closed.night_folder / PATH).unlink()
    closed.go()
    order(closed, "hold")

    with pytest.raises(OperatorError, match="put that one back"):
        order(closed, "release")
    closed.ledger.update("night", closed.night.id, hold=None)
    closed.go()

    assert (closed.night.hold or "").startswith("raw file gone")


@pytest.mark.parametrize("dry_run", [False, True])
def test_retry_after_the_file_was_put_back_reads_it_again_and_goes_on(
    closed: Scene, *, dry_run: bool
) -> None:
    content = (closed.night_folder / PATH).read_bytes()
    (closed.night_folder / PATH).unlink()
    closed.go()

    (closed.night_folder / PATH).write_bytes(content)
    lines = order(closed, "retry", dry_run=dry_run)
    left = strays.strays_of(closed.ledger, closed.night.id)

    assert lines[0].startswith("1 raw file is read again first")
    assert [row.state for row in left] == [StrayState.MISSING if dry_run else StrayState.UNREAD]
    closed.go()
    read_through(closed)
    assert standing_of(closed)[0] == NightStatus.READY


@pytest.mark.parametrize(
    ("error_class", "copied", "tried"),
    [
        (ErrorClass.INTEGRITY, False, True),
        (ErrorClass.INTEGRITY, True, True),
        (ErrorClass.INPUT, False, False),
        (ErrorClass.INPUT, True, True),
    ],
)
def test_what_could_not_be_built_without_the_file_is_tried_when_it_is_back(
    closed: Scene, error_class: ErrorClass, *, copied: bool, tried: bool
) -> None:
    plan(closed)
    number = fail(closed, Stage.BUILD, error_class)
    aside = (closed.night_folder / PATH).rename(closed.folder / "aside")
    closed.go()

    (shutil.copy2 if copied else shutil.move)(aside, closed.night_folder / PATH)
    closed.go()
    read_through(closed)

    state = tasks.get_task(closed.ledger, number).state
    assert state == ("pending" if tried else "failed")


def test_a_file_that_cannot_be_read_again_holds_its_night_until_it_can(closed: Scene) -> None:
    cube = closed.night_folder / PATH
    move_to_another_inode(cube)
    closed.go()
    strays.note_unreadable(closed.ledger, closed.night.id, PATH, "Input/output error")
    strays.review(closed.ledger, closed.night.id)
    closed.go(2)
    held = closed.night.hold

    order(closed, "retry")
    read_through(closed)

    assert held == f"raw file that cannot be read any more: {PATH}\nInput/output error"
    assert closed.night.hold is None


def test_a_safe_night_stays_safe_whatever_becomes_of_its_raw_files(closed: Scene) -> None:
    closed.ledger.update("night", closed.night.id, status=NightStatus.SAFE)
    move_to_another_inode(closed.night_folder / PATH)
    (closed.night_folder / PATH).with_suffix(".txt").write_bytes(b"shorter")

    closed.go(2)
    read_through(closed)

    [left] = strays.strays_of(closed.ledger, closed.night.id)
    assert (left.path, left.state) == (f"vcam1/{STEM}.txt", StrayState.OTHER)
    assert (closed.night.status, closed.night.hold) == (NightStatus.SAFE, None)
    assert closed.night.batch == 1


def test_a_quarantined_file_on_a_copied_disk_is_no_late_one(scene: Scene) -> None:
    scene.cube()
    scene.cube(LATER_STEM).with_suffix(".txt").unlink()
    scene.close_night()
    read_through(scene)
    scene.ledger.update("night", scene.night.id, status=NightStatus.SAFE)

    move_to_another_inode(scene.night_folder / f"vcam1/{LATER_STEM}.fits")
    scene.go(3)

    assert scene.states()[f"vcam1/{LATER_STEM}.fits"] == FileState.QUARANTINED
    assert (scene.night.status, scene.night.batch) == (NightStatus.SAFE, 1)


def test_other_bytes_under_the_name_of_a_quarantined_file_are_a_late_file(scene: Scene) -> None:
    scene.cube()
    bad = scene.cube(LATER_STEM)
    bad.with_suffix(".txt").unlink()
    scene.close_night()
    row = raw_row(scene, f"vcam1/{LATER_STEM}.fits")
    scene.ledger.update("raw_file", row.id, sha256="0" * 64)

    os.utime(bad)
    scene.go()
    unread = len(strays.unread(scene.ledger, scene.night.id))
    read_through(scene)

    assert unread == 1
    assert raw_row(scene, f"vcam1/{LATER_STEM}.fits").state == FileState.LATE
    assert strays.strays_of(scene.ledger, scene.night.id) == []


def test_an_operators_word_on_a_file_outlives_a_copied_disk(scene: Scene) -> None:
    cube = scene.cube()
    scene.go(3)
    dome = Cause(FileCode.BY_HAND, {"why": "the dome was closed"})
    for row in files.files_of(scene.ledger, scene.night.id).values():
        files.set_state(scene.ledger, row.id, FileState.QUARANTINED, dome)

    move_to_another_inode(cube)
    scene.go(3)

    assert set(scene.states().values()) == {FileState.QUARANTINED}


def test_a_file_moved_before_it_was_read_through_is_taken_as_if_it_came_now(scene: Scene) -> None:
    cube = scene.cube()
    scene.close_night()

    move_to_another_inode(cube)
    scene.go()
    reopened = scene.night.status
    scene.go(40)

    assert reopened == NightStatus.COLLECTING
    assert scene.night.status == NightStatus.READY
    assert set(scene.states().values()) == {FileState.WHOLE}


def test_a_processed_file_that_went_from_a_safe_night_is_known_again_by_its_bytes(
    closed: Scene,
) -> None:
    plan(closed)
    closed.ledger.update("night", closed.night.id, status=NightStatus.SAFE)
    aside = (closed.night_folder / PATH).rename(closed.folder / "aside")
    closed.go()
    gone = raw_row(closed).state

    shutil.copyfile(aside, closed.night_folder / PATH)
    closed.go()
    read_through(closed)

    assert gone == FileState.GONE
    assert raw_row(closed).state == FileState.WHOLE
    assert strays.strays_of(closed.ledger, closed.night.id) == []


def odd(scene: Scene) -> list[str]:
    [night] = nights_in_short(scene.ledger.connection)
    found = oddities(scene.ledger.connection, [night]).get(night.id, [])
    return [each.text for each in found]


def test_raw_files_that_go_one_by_one_from_a_safe_night_are_told_in_one_line(scene: Scene) -> None:
    scene.cube()
    scene.cube(LATER_STEM)
    scene.close_night()
    read_through(scene)
    scene.ledger.update("night", scene.night.id, status=NightStatus.SAFE)
    aside = (scene.night_folder / PATH).rename(scene.folder / "aside")
    scene.go()
    one = odd(scene)
    every = {night.id: night for night in nights_in_short(scene.ledger.connection)}
    names = dict.fromkeys(every, DATE)
    [checked] = odd_conditions(scene.ledger.connection, names, every, scene.ledger.now_us())
    (scene.night_folder / f"vcam1/{LATER_STEM}.fits").unlink()
    scene.go(2)
    two = odd(scene)
    aside.rename(scene.night_folder / PATH)
    scene.go(2)

    deleted = "is gone, and vampd did not delete it"
    assert one == [f"{PATH} {deleted}; what was made of it is as it was"]
    assert checked.text == f"archive {DATE}: {one[0]}: vampd show {DATE}"
    assert two == [f"{PATH} {deleted}, and so is 1 more raw file; what was made of it is as it was"]
    assert odd(scene) == [one[0].replace(STEM, LATER_STEM)]
    assert (scene.night.status, scene.night.batch) == (NightStatus.SAFE, 1)


def test_a_file_whose_space_was_given_back_is_not_missed(closed: Scene) -> None:
    plan(closed)
    closed.ledger.update("night", closed.night.id, status=NightStatus.SAFE)
    closed.ledger.execute(
        "insert into reclaim (id, run, night, space, final, state, begun_us, begun_passed_us,"
        " changed_us, changed_by) select 1, 1, id, 'raw', 1, 'done', 1, 1, 1, 'x' from night"
    )
    closed.ledger.execute(
        "insert into trash (reclaim, night, space, path, place, raw_file, inode, size_bytes,"
        " modified_ns, state, changed_us, changed_by) select 1, night, 'raw', path, 'x', id, inode,"
        " size_bytes, modified_ns, 'unlinked', 1, 'x' from raw_file where path = ?",
        [PATH],
    )
    (closed.night_folder / PATH).unlink()
    closed.go(2)

    assert raw_row(closed).state == FileState.GONE
    assert odd(closed) == []


def test_a_restore_waits_until_a_moved_file_is_read_again(closed: Scene) -> None:
    plan(closed)
    move_to_another_inode(closed.night_folder / PATH)

    with pytest.raises(RetryableError, match="reads it again"):
        order(closed, "restore")
    read_through(closed)

    assert order(closed, "restore")
    assert nights.get_night(closed.ledger, closed.night.id).hold == "restored"
