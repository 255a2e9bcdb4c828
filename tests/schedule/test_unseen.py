"""What nobody takes of a night holds it at its end, or is told; mended, the night goes on."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from tests.schedule.test_rounds import DATE, LATER_STEM, STEM, Scene, scene
from tests.support.fake_ledger import DAY_US
from tests.support.ledger_site import NOW_US, Site
from tests.support.raw_cubes import COMMON_CARDS, FIRST_US, write_raw_cube
from vampd.errors import OperatorError
from vampd.io import beneath
from vampd.ledger import nights, tasks, unseen
from vampd.orders.night import Orders
from vampd.schedule.dispatch import standing
from vampd.schedule.facts import read_facts
from vampd.settings.sections import Root
from vampd.states import UNSEEN_HOLDS, Kind, NightStatus, UnseenSort
from vampd.watch.scan_cycle import ScanCycle

__all__ = ["scene"]

Arrange = Callable[[Scene], object]


def elsewhere(scene: Scene) -> Path:
    """A camera's folder of one cube, somewhere else."""
    folder = scene.folder / "elsewhere"
    write_raw_cube(folder, [np.zeros((4, 6), np.uint16)], stem=LATER_STEM)
    return folder / "vcam1"


def linked(scene: Scene) -> None:
    (scene.night_folder / "vcam2").symlink_to(elsewhere(scene))


def renamed(name: str) -> Arrange:
    return lambda scene: elsewhere(scene).rename(scene.night_folder / name)


def packed(ending: str) -> Arrange:
    def arrange(scene: Scene) -> None:
        (scene.night_folder / "vcam1").mkdir(exist_ok=True)
        (scene.night_folder / "vcam1" / f"{LATER_STEM}{ending}").write_bytes(b"packed" * 1000)

    return arrange


def in_the_nights_own_folder(scene: Scene) -> None:
    for path in elsewhere(scene).iterdir():
        path.rename(scene.night_folder / path.name)


def nested(scene: Scene) -> None:
    elsewhere(scene)
    shutil.copytree(scene.folder / "elsewhere", scene.night_folder / DATE)


def a_file_for_a_folder(scene: Scene) -> None:
    (scene.night_folder / "vcam2").write_bytes(b"")


def a_pipe_for_a_folder(scene: Scene) -> None:
    os.mkfifo(scene.night_folder / "vcam2")


def a_folder_for_a_cube(scene: Scene) -> None:
    (scene.night_folder / "vcam1" / f"{LATER_STEM}.fits").mkdir(parents=True)


def a_linked_cube(scene: Scene) -> None:
    (scene.night_folder / "vcam1").mkdir(exist_ok=True)
    (scene.night_folder / "vcam1" / f"{LATER_STEM}.fits").symlink_to("/elsewhere")


CASES: dict[str, tuple[Arrange, UnseenSort]] = {
    "a link": (linked, UnseenSort.LINK),
    "another case": (renamed("VCAM1"), UnseenSort.NAME),
    "misspelt": (renamed("vcam_1"), UnseenSort.NAME),
    "old": (renamed("vcam1_old"), UnseenSort.NAME),
    "a third camera": (renamed("vcam3"), UnseenSort.NAME),
    "gzip": (packed(".fits.gz"), UnseenSort.PACKED),
    "fpack": (packed(".fits.fz"), UnseenSort.PACKED),
    "bzip2": (packed(".fits.bz2"), UnseenSort.PACKED),
    "capitals": (packed(".FITS"), UnseenSort.NAME),
    "three letters": (packed(".fit"), UnseenSort.NAME),
    "no folder": (in_the_nights_own_folder, UnseenSort.PLACE),
    "nested": (nested, UnseenSort.PLACE),
    "a file": (a_file_for_a_folder, UnseenSort.KIND),
    "a pipe": (a_pipe_for_a_folder, UnseenSort.KIND),
    "a folder": (a_folder_for_a_cube, UnseenSort.KIND),
    "a linked cube": (a_linked_cube, UnseenSort.LINK),
}


def order(scene: Scene, name: str, **more: Any) -> list[str]:
    named = {"kind": Kind.ARCHIVE, "date": DATE, "dry_run": False, "why": "a look", **more}
    lines: list[str] = Orders(scene.ledger, scene.config).carry_out(name, named, "uid 0")["lines"]
    return lines


def found(scene: Scene) -> dict[str, str]:
    rows = unseen.unseen_of(scene.ledger, scene.night.id)
    return {row.sort: row.text for row in rows if row.sort != UnseenSort.FOREIGN}


def status(scene: Scene) -> NightStatus:
    facts = read_facts(scene.ledger, scene.scan_cycle, {})
    [own] = [each for each in facts if each.number == scene.night.id]
    return standing(own, facts).status


def end(scene: Scene) -> None:
    scene.go(2)
    scene.end_the_date()
    scene.go(4)


@pytest.mark.parametrize("with_cube", [True, False], ids=["beside a cube", "alone"])
@pytest.mark.parametrize("case", CASES)
def test_what_could_be_the_cameras_data_and_is_not_taken_holds_the_night(
    scene: Scene, case: str, *, with_cube: bool
) -> None:
    arrange, sort = CASES[case]
    scene.cube() if with_cube else None
    arrange(scene)
    scene.go(2)
    early = status(scene), set(found(scene))

    end(scene)

    assert early == (NightStatus.COLLECTING, {sort})
    assert status(scene) is NightStatus.HELD
    assert scene.night.closed_us is None
    assert scene.night.hold_code in UNSEEN_HOLDS
    assert str(scene.night.hold).startswith("not taken, and could be the cameras': ")
    assert found(scene)[sort] in (scene.night.hold or "")


def test_a_released_night_is_taken_as_it_is(scene: Scene) -> None:
    scene.cube()
    linked(scene)
    end(scene)

    order(scene, "release")
    scene.go(3)

    assert scene.night.hold is None
    assert scene.night.status == NightStatus.READY
    [row] = unseen.unseen_of(scene.ledger, scene.night.id)
    assert (row.accepted, row.changed_by) == (1, "uid 0")


def test_an_empty_night_says_what_was_left_of_it_on_whose_word(scene: Scene) -> None:
    linked(scene)
    end(scene)

    order(scene, "release")
    scene.go(3)

    assert scene.night.status == NightStatus.EMPTY
    assert "vcam2 is a symbolic link" in (scene.night.cause or "")


def test_more_of_what_was_left_holds_the_night_again(scene: Scene) -> None:
    scene.cube()
    packed(".fits.gz")(scene)
    end(scene)
    order(scene, "release")
    scene.go(3)

    (scene.night_folder / "vcam1" / f"{STEM}.fits.gz").write_bytes(b"one more" * 1000)
    scene.go()

    assert "2 files in vcam1/" in (scene.night.hold or "")


def test_a_folder_that_gets_its_right_name_is_taken_and_the_night_goes_on(scene: Scene) -> None:
    renamed("VCAM1")(scene)
    end(scene)
    held = scene.night.hold

    (scene.night_folder / "VCAM1").rename(scene.night_folder / "vcam1")
    scene.go(40)

    assert held is not None
    assert (scene.night.hold, scene.night.status) == (None, NightStatus.READY)
    assert set(scene.states().values()) == {"ignored", "gone", "whole"} - {"ignored"}


def test_an_empty_night_in_which_data_could_lie_collects_again_and_is_held(scene: Scene) -> None:
    end(scene)
    empty = scene.night.status

    linked(scene)
    scene.go(4)

    assert empty == NightStatus.EMPTY
    assert status(scene) is NightStatus.HELD


def test_what_comes_beside_a_safe_night_is_told_and_it_stays_safe(scene: Scene) -> None:
    scene.cube()
    scene.close_night()
    make_safe(scene)

    renamed("vcam1_old")(scene)
    scene.go(2)

    assert scene.night.hold is None
    assert scene.night.status == NightStatus.SAFE
    assert list(found(scene)) == [UnseenSort.NAME]
    assert "no more is said of" in " ".join(order(scene, "release"))
    assert unseen.holding(scene.ledger, scene.night.id) == []


def make_safe(scene: Scene) -> None:
    for row in scene.ledger.rows("select id from task"):
        task = tasks.claim(scene.ledger, row["id"])
        assert task is not None
        tasks.finish(scene.ledger, task)
    nights.set_status(scene.ledger, scene.night, NightStatus.RUNNING, None)
    nights.set_status(scene.ledger, scene.night, NightStatus.SAFE, None)


def test_somebody_elses_files_hold_nothing_and_are_told(scene: Scene) -> None:
    scene.cube()
    (scene.night_folder / "weather").mkdir()
    (scene.night_folder / "weather" / "mast.csv").write_bytes(b"windy")
    (scene.night_folder / "README").write_bytes(b"hello")

    scene.close_night()

    [row] = unseen.unseen_of(scene.ledger, scene.night.id)
    assert (row.sort, row.is_data) == (UnseenSort.FOREIGN, 0)
    assert row.text == "README, weather: nothing of the cameras"


@contextmanager
def closed_to_us(folder: Path, number: int) -> Iterator[None]:
    """A folder that nobody may list; as root, no mode is in the way."""
    opened = beneath.opened_folder

    @contextmanager
    def refuse(where: beneath.Beneath) -> Iterator[int]:
        if where.path == folder:
            raise OSError(number, os.strerror(number), str(folder))
        with opened(where) as descriptor:
            yield descriptor

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beneath, "opened_folder", refuse)
        yield


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
@pytest.mark.parametrize("name", ["", "vcam2"], ids=["the night", "a camera"])
def test_a_folder_that_cannot_be_looked_at_holds_the_night_until_it_can(
    scene: Scene, name: str, number: int
) -> None:
    scene.cube()
    (scene.night_folder / "vcam2").mkdir()
    with closed_to_us(scene.night_folder / name, number):
        end(scene)
        held, during = scene.night.hold, status(scene)
    scene.go(40)

    assert during is NightStatus.HELD
    assert os.strerror(number) in (held or "")
    assert scene.night.hold is None
    assert scene.night.status == NightStatus.READY


def cube_of(scene: Scene, first_us: int, stem: str = STEM, extra: tuple[str, ...] = ()) -> None:
    frames = [np.full((4, 6), number, np.uint16) for number in range(5)]
    cards = (*COMMON_CARDS[1:], *extra)
    write_raw_cube(scene.night_folder, frames, stem=stem, first_us=first_us, extra=cards)


def test_a_night_of_which_all_cubes_are_years_off_is_held(scene: Scene) -> None:
    cube_of(scene, FIRST_US - 4 * 365 * DAY_US)
    end(scene)

    assert str(scene.night.hold).startswith("cubes of another date: 1 of 1 cubes")
    assert "2021-11-07" in (scene.night.hold or "")


def test_one_cube_of_another_date_is_told_and_holds_nothing(scene: Scene) -> None:
    cube_of(scene, FIRST_US)
    cube_of(scene, FIRST_US + 30 * DAY_US, LATER_STEM)
    end(scene)

    assert scene.night.status == NightStatus.READY
    assert found(scene)[UnseenSort.DATE].startswith("1 of 2 cubes were taken far from")


def test_a_night_of_which_every_cube_is_bad_is_held_and_ends_empty_on_a_word(scene: Scene) -> None:
    scene.cube().with_suffix(".txt").unlink()
    end(scene)
    held = scene.night.hold

    order(scene, "release")
    scene.go(2)

    assert held == (
        f"no cube can be used: its one cube is quarantined; vcam1/{STEM}.fits: no timing file"
    )
    assert scene.night.status == NightStatus.EMPTY
    assert "its one cube is quarantined" in (scene.night.cause or "")


def test_a_bad_night_that_is_mended_goes_on_by_itself(scene: Scene) -> None:
    timing = scene.cube().with_suffix(".txt")
    aside = timing.rename(scene.folder / timing.name)
    end(scene)
    held = scene.night.hold_code

    shutil.copy(aside, timing)
    scene.go(40)

    assert held in UNSEEN_HOLDS
    assert (scene.night.hold, scene.night.status) == (None, NightStatus.READY)


def test_one_camera_alone_under_the_trigger_of_both_is_told(scene: Scene) -> None:
    cube_of(scene, FIRST_US, extra=("EXTTRIG =                    T",))
    end(scene)

    assert scene.night.status == NightStatus.READY
    assert found(scene)[UnseenSort.ALONE].startswith("camera 1 alone: 1 cube")


def with_second_root(scene: Scene) -> Path:
    """Engineering nights as well."""
    root = scene.folder / "engineering"
    (root / "lost+found").mkdir(parents=True)
    scene.config = replace(
        scene.config, roots=(*scene.config.roots, Root(kind=Kind.ENGINEERING, path=root))
    )
    scene.scan_cycle = ScanCycle(scene.ledger, scene.clock, scene.config)
    return root


def test_the_same_cubes_in_a_night_of_the_other_kind_are_told_in_both(scene: Scene) -> None:
    scene.cube()
    scene.close_night()
    shutil.copytree(scene.night_folder, with_second_root(scene) / DATE)
    scene.go(40)

    night = nights.find_night(scene.ledger, Kind.ENGINEERING, DATE)
    [row] = unseen.unseen_of(scene.ledger, night.id)

    assert night.status == NightStatus.READY
    assert row.sort == UnseenSort.TWICE
    assert f"archive {DATE}" in row.text


@pytest.mark.parametrize("becomes", ["gone", "renamed", "a link", "a file"])
@pytest.mark.parametrize("is_safe", [False, True], ids=["closed", "safe"])
def test_a_nights_folder_that_is_not_there_is_told_and_holds_what_is_not_safe(
    scene: Scene, becomes: str, *, is_safe: bool
) -> None:
    scene.cube()
    scene.close_night()
    make_safe(scene) if is_safe else None
    aside = scene.root / f"{DATE}_old" if becomes == "renamed" else scene.folder / "aside"

    scene.night_folder.rename(aside)
    if becomes == "a link":
        scene.night_folder.symlink_to(aside)
    elif becomes == "a file":
        scene.night_folder.write_bytes(b"")
    scene.go(2)
    during, told = status(scene), found(scene)
    scene.night_folder.unlink(missing_ok=True)
    aside.rename(scene.night_folder)
    scene.go(2)

    assert during is (NightStatus.SAFE if is_safe else NightStatus.HELD)
    assert list(told) == [UnseenSort.FOLDER]
    assert found(scene) == {}
    assert scene.night.hold is None


def test_a_night_whose_files_went_with_its_folder_is_not_released(scene: Scene) -> None:
    scene.cube()
    scene.close_night()
    scene.night_folder.rename(scene.folder / "aside")
    scene.go()

    with pytest.raises(OperatorError, match="bring its folder back"):
        order(scene, "release")


def test_a_night_that_is_a_link_is_held_and_ends_empty_on_a_word(scene: Scene) -> None:
    scene.night_folder.rmdir()
    scene.night_folder.symlink_to(scene.folder)
    scene.go(2)
    held = status(scene), scene.night.hold

    order(scene, "release")
    scene.go(2)

    assert held[0] is NightStatus.HELD
    assert "it is a symbolic link to" in (held[1] or "")
    assert scene.night.status == NightStatus.EMPTY
    assert "symbolic link" in (scene.night.cause or "")


def test_a_link_to_a_night_of_another_root_is_that_night(scene: Scene) -> None:
    (with_second_root(scene) / DATE).symlink_to(scene.night_folder)

    scene.go(2)

    assert scene.ledger.value("select count(*) from night") == 1


def test_what_could_be_a_night_under_another_name_is_told(scene: Scene) -> None:
    for name in (f"{DATE}_old", "2025-11-07", "2025"):
        shutil.copytree(elsewhere(scene), scene.root / name / "vcam1")
    (scene.root / "20251109 link").symlink_to("/elsewhere")
    (scene.root / "20251108_flats").mkdir()
    scene.go(2)

    told = scene.ledger.rows("select place from unseen where night is null order by place")

    names = sorted(Path(row["place"]).name for row in told)
    assert names == ["2025", "2025-11-07", "20251106_old", "20251109 link"]


def test_a_root_that_is_emptied_is_told_in_one_sentence(scene: Scene) -> None:
    from vampd.views.odd_conditions import odd_conditions
    from vampd.views.summaries import nights as read_nights

    scene.cube()
    scene.close_night()
    make_safe(scene)
    for day in range(1, 6):
        scene.ledger.insert(
            "night",
            **{
                **{name: getattr(scene.night, name) for name in ("kind", "status", "seen_us")},
                "date": f"2025100{day}",
                "folder": str(scene.root / f"2025100{day}"),
                "last_change_us": 1,
                "closed_us": 1,
                "changed_us": 1,
                "changed_by": "x",
            },
        )
        number = scene.ledger.value("select max(id) from night")
        scene.ledger.execute(
            "insert into raw_file (night, path, role, inode, size_bytes, modified_ns, state,"
            " seen_us, changed_us, changed_by)"
            " values (?, 'a', 'cube', 1, 1, 1, 'whole', 1, 1, 'x')",
            [number],
        )
    shutil.rmtree(scene.night_folder)
    scene.go()

    every = {night.id: night for night in read_nights(scene.ledger.connection)}
    names = {number: night.date for number, night in every.items()}
    now_us = scene.ledger.now_us()
    [told] = odd_conditions(scene.ledger.connection, names, every, now_us)

    assert told.text.startswith(f"the folders of 6 nights are gone from {scene.root}")


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Site(folder=tmp_path_factory.mktemp("site"))
    made.make_ledger()
    night = made.night("20251106", "safe")
    made.execute(
        "insert into unseen (night, place, sort, entries, size_bytes, is_data, text, found_us,"
        " changed_us, changed_by)"
        " values (?, 'VCAM1', 'name', 3, 9, 1, '3 files in VCAM1/', ?, ?, 'x')",
        night,
        NOW_US,
        NOW_US,
    )
    made.execute(
        "insert into report (night, batch, stage, text) values (?, 1, 'sync', '9 %% are rejected')",
        night,
    )
    made.cube(night, "vcam1_05:10:00.000000000", state="gone")
    made.execute(
        "insert into stray (raw_file, night, state, changed_us, changed_by)"
        " select id, night, 'missing', ?, 'vampd' from raw_file where role = 'cube'",
        NOW_US,
    )
    return made


@pytest.mark.parametrize(
    "words",
    [("status",), ("explain", "last"), ("show", "last"), ("data", "summary", "last")],
)
def test_every_view_tells_of_a_raw_file_that_was_deleted(
    site: Site, words: tuple[str, ...]
) -> None:
    told = " ".join(site.run(*words).output.split())

    assert "is gone, and vampd did not delete it" in told


@pytest.mark.parametrize(
    "words",
    [("status",), ("explain", "last"), ("show", "last"), ("data", "summary", "last"), ("check",)],
)
def test_every_view_tells_what_nobody_takes(site: Site, words: tuple[str, ...]) -> None:
    told = " ".join(site.run(*words).output.split())

    assert "3 files in VCAM1/" in told


@pytest.mark.parametrize(
    "words", [("status",), ("explain", "last"), ("show", "last"), ("data", "summary", "last")]
)
def test_every_view_tells_of_frames_outside_the_limits(site: Site, words: tuple[str, ...]) -> None:
    assert "% are rejected" in " ".join(site.said(*words).split())


def test_programs_and_metrics_are_told_what_nobody_takes(site: Site) -> None:
    [night] = site.answer("status")["nights"]
    [shown] = site.answer("show", "last")["nights"]

    assert "3 files in VCAM1/" in night["odd"]
    assert shown["oddities"][0]["place"] == "VCAM1"
    assert 'vampd_not_taken_entries{sort="name"} 3' in site.said("admin", "metrics")
