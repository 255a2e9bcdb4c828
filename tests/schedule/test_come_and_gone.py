"""Where parts of different kinds meet: files that come and go, supplements, operators' words."""

from __future__ import annotations

from msgspec.structs import replace

from tests.schedule.test_batches import _make_safe
from tests.schedule.test_rounds import LATER_STEM, STEM, Scene, scene
from vampd.ledger import cubes, files, trash
from vampd.ledger.records import RawFile
from vampd.states import FileState, NightStatus

__all__ = ["scene"]

_CUBE, _TIMING = f"vcam1/{STEM}.fits", f"vcam1/{STEM}.txt"


def _row(scene: Scene, path: str) -> RawFile:
    return files.files_of(scene.ledger, scene.night.id)[path]


def test_raw_files_of_a_safe_night_that_were_away_for_a_while_are_what_they_were(
    scene: Scene,
) -> None:
    scene.cube()
    scene.close_night()
    _make_safe(scene)
    scene.go()
    scene.ledger.execute("update raw_file set sha256 = 'abc'")

    (scene.night_folder / "vcam1").rename(scene.root / "aside")
    scene.go(2)
    away = scene.states()[_CUBE]
    (scene.root / "aside").rename(scene.night_folder / "vcam1")
    scene.go(45)

    row = _row(scene, _CUBE)
    assert away == "gone"
    assert (row.state, row.batch, row.sha256) == ("whole", 1, "abc")
    assert (scene.night.batch, scene.night.status) == (1, NightStatus.SAFE)
    assert scene.ledger.value("select count(*) from cube") == 1


def test_another_file_under_the_name_of_a_raw_file_that_went_is_not_processed_as_new(
    scene: Scene,
) -> None:
    cube = scene.cube()
    scene.close_night()
    _make_safe(scene)
    content = cube.read_bytes()
    cube.unlink()
    scene.go(2)

    cube.write_bytes(content)
    scene.go(45)

    assert (scene.night.batch, scene.night.status) == (1, NightStatus.SAFE)
    assert scene.states()[_CUBE] == "gone"


def test_a_raw_file_of_the_first_batch_that_comes_back_is_no_part_of_the_supplement(
    scene: Scene,
) -> None:
    scene.cube()
    scene.close_night()
    _make_safe(scene)
    scene.cube(LATER_STEM)
    scene.go(2)
    collecting = scene.night.status

    (scene.night_folder / _CUBE).rename(scene.root / "aside")
    scene.go()
    (scene.root / "aside").rename(scene.night_folder / _CUBE)
    scene.go(45)

    assert collecting == NightStatus.COLLECTING
    assert (_row(scene, _CUBE).batch, scene.states()[_CUBE]) == (1, "whole")
    paths = [row.path for row in cubes.cubes_of(scene.ledger, scene.night.id)]
    assert paths == [f"vcam1/{LATER_STEM}.fits"]


def test_a_partner_that_comes_while_a_supplement_collects_is_taken_with_its_cube(
    scene: Scene,
) -> None:
    timing = scene.cube().with_suffix(".txt")
    text = timing.read_bytes()
    timing.unlink()
    scene.cube(LATER_STEM)
    scene.close_night()
    _make_safe(scene)
    scene.cube("vcam1_07:10:00.000000000")
    scene.go(2)
    collecting = scene.night.status

    timing.write_bytes(text)
    scene.go(45)

    assert collecting == NightStatus.COLLECTING
    assert (scene.states()[_CUBE], scene.states()[_TIMING]) == ("whole", "whole")
    paths = [row.path for row in cubes.cubes_of(scene.ledger, scene.night.id)]
    assert paths == [_CUBE, "vcam1/vcam1_07:10:00.000000000.fits"]


def test_a_word_that_a_bad_file_may_go_is_not_said_of_another_one_of_its_name(
    scene: Scene,
) -> None:
    cube = scene.cube(LATER_STEM)
    scene.cube()
    cube.with_suffix(".txt").unlink()
    scene.close_night()
    _make_safe(scene)
    trash.let_go(scene.ledger, scene.night.id, "seen")
    decided = trash.undecided(scene.ledger, scene.night.id)

    other = scene.root / "other"
    other.write_bytes(cube.read_bytes()[:-2880])
    other.rename(cube)
    scene.go(45)

    assert decided == []
    assert scene.states()[f"vcam1/{LATER_STEM}.fits"] == FileState.QUARANTINED
    assert trash.undecided(scene.ledger, scene.night.id) == [f"vcam1/{LATER_STEM}.fits"]


def test_nights_of_a_root_that_the_settings_do_not_name_any_more_are_paused(scene: Scene) -> None:
    scene.cube()
    scene.close_night()
    before = scene.scan_cycle.pause_of_row(scene.night)

    scene.scan_cycle.config = replace(scene.config, roots=())
    scene.go()

    assert before is None
    assert "not among the roots" in str(scene.scan_cycle.pause_of_row(scene.night))
    scene.scan_cycle.config = scene.config
    scene.go()
    assert scene.scan_cycle.pause_of_row(scene.night) is None
