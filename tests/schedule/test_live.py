"""A night that is worked on while it is written comes out as one that waited."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.live_night import LiveScene
from tests.support.trees import digests_of_tree
from vampd.commands.live_words import lag_text
from vampd.ledger import files, live, outputs, tasks
from vampd.ledger.connection import Row
from vampd.ledger.records import Output
from vampd.orders.night import Orders
from vampd.simulation.night import SimulatedNight
from vampd.simulation.reference_scenes import REFERENCE_SCENES
from vampd.states import FileState, Kind, NightStatus, OutputState, Stage
from vampd.views import frame_id_audit
from vampd.views.conditions import conditions
from vampd.views.limits import limits
from vampd.views.live import lags
from vampd.views.summaries import nights, summarise

_SCENES = ("one-frame", "pdi-drops-late", "short-txt", "hst-filename", "pdi-gap", "one-frame")


def some_night() -> SimulatedNight:
    """A few scenes of the reference night; one cube is bad, one is named in HST."""
    return SimulatedNight([REFERENCE_SCENES[name] for name in _SCENES])


@pytest.fixture(scope="module")
def waited(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What comes out of an archive night that waited for its end."""
    scene = LiveScene(tmp_path_factory.mktemp("waited"), some_night(), live=False)
    with scene.begun():
        scene.play()
        assert not planned(scene)
        scene.close()
        return scene.products()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[LiveScene]:
    scene = LiveScene(tmp_path, some_night(), live=True)
    with scene.begun():
        yield scene


def planned(scene: LiveScene, *states: OutputState) -> list[Output]:
    rows = outputs.outputs_of(scene.ledger, scene.night.id)
    return [row for row in rows if not states or row.state in states]


def complaints(scene: LiveScene) -> list[str]:
    """What `vampd archive ids audit` would say."""
    nights = frame_id_audit.numberings(scene.ledger.connection)
    return [line for night in nights for line in frame_id_audit.incomplete(night)]


def test_it_comes_out_the_same_and_most_of_it_is_safe_before_it_is_over(
    scene: LiveScene, waited: dict[str, str]
) -> None:
    scene.play()
    assert scene.night.status == NightStatus.COLLECTING
    early = planned(scene, OutputState.VERIFIED)

    scene.close()

    assert scene.products() == waited
    assert len(early) >= 0.6 * len(planned(scene))
    assert {row.id for row in early} <= {row.id for row in planned(scene)}
    row = live.row_of(scene.ledger, scene.night.id)
    assert row is not None
    assert (row.anew, row.late) == (0, 0)
    assert not complaints(scene)


def test_silence_ends_the_last_stretch_and_then_all_is_safe_but_the_papers(
    scene: LiveScene, waited: dict[str, str]
) -> None:
    scene.play()

    for _ in range(8):
        scene.turn(20)

    rows = planned(scene)
    assert {row.state for row in rows} == {OutputState.VERIFIED}
    assert not list(scene.night_folder.glob("manifest*"))
    scene.close()
    assert scene.products() == waited
    assert [row.id for row in planned(scene)] == [row.id for row in rows]


def test_an_engineering_night_has_no_numbers_to_wait_for(tmp_path: Path) -> None:
    found = []
    for is_live in (False, True):
        scene = LiveScene(
            tmp_path / str(is_live), some_night(), live=is_live, kind=Kind.ENGINEERING
        )
        with scene.begun():
            scene.play()
            assert bool(planned(scene, OutputState.VERIFIED)) is is_live
            scene.close()
            found.append(scene.products())

    assert found[0] == found[1]


def test_a_cube_that_comes_after_its_stretch_was_planned_is_planned_at_the_close(
    scene: LiveScene,
) -> None:
    """Its partner's frames are solo until then; the close builds them anew, under new numbers."""
    late = [step for step in scene.steps if "vcam2" in str(step.path)][:8]
    cube = late[0].path.name.partition(".fits")[0]
    late = [step for step in scene.steps if step.path.name.startswith(cube)]
    scene.steps = [step for step in scene.steps if step not in late]
    scene.play()
    before = {row.content_key: row.frame_id for row in planned(scene)}

    scene.write(late)
    for _ in range(3):
        scene.turn(20)
    assert {row.content_key for row in planned(scene)} >= before.keys()
    scene.close()

    after = {row.content_key: row.frame_id for row in planned(scene)}
    gone = before.keys() - after.keys()
    assert gone
    assert all(after[key] == before[key] for key in before.keys() & after.keys())
    numbers = {row["number"]: row["state"] for row in scene.ledger.rows("select * from frame_id")}
    assert {numbers[before[key]] for key in gone} == {"void"}
    assert all(numbers[number] == "bound" for number in after.values())
    # But for their numbers and what follows from them, the same files as of a night that waited.
    assert len([name for name in scene.products() if name.endswith(".fits.fz")]) >= len(after)
    assert not complaints(scene)


def test_a_planned_raw_file_that_goes_holds_the_night_until_it_is_back(
    scene: LiveScene, waited: dict[str, str]
) -> None:
    scene.play()
    first = planned(scene)[0]
    row = scene.ledger.row("select path from raw_file where id = ?", [first.header_file])
    assert row is not None
    path = scene.night_folder / row["path"]
    aside = path.with_name("aside")
    path.rename(scene.folder / aside.name)

    scene.turn(20)

    held = scene.night.hold
    assert held == f"raw file gone after it was planned: {row['path']}"
    assert planned(scene)[0].id == first.id
    (scene.folder / aside.name).rename(path)
    scene.turn(20)
    assert scene.night.hold is None
    scene.close()
    assert scene.products() == waited


def test_a_planned_raw_file_that_is_written_anew_is_planned_anew_at_the_close(
    scene: LiveScene,
) -> None:
    scene.play()
    first = planned(scene)[0]
    path = files_row(scene, first.header_file)["path"]
    timing = (scene.night_folder / path).with_suffix(".txt")
    text = timing.read_bytes()
    timing.write_bytes(b"# written once more\n" + text)
    for _ in range(3):
        scene.turn(20)

    scene.close()

    row = live.row_of(scene.ledger, scene.night.id)
    assert row is not None
    assert row.anew
    assert first.content_key not in {one.content_key for one in planned(scene)}
    assert (scene.night_folder / ".vampd/given_up").is_dir()


def files_row(scene: LiveScene, number: int) -> Row:
    row = scene.ledger.row("select * from raw_file where id = ?", [number])
    assert row is not None
    return row


def test_restore_takes_back_what_was_made_and_the_night_goes_on(
    scene: LiveScene, waited: dict[str, str]
) -> None:
    scene.play()
    numbers = {row.content_key: row.frame_id for row in planned(scene)}
    order(scene, "restore", force=False, prove=False)
    assert not planned(scene)
    assert not list((scene.night_folder / "vgen2").glob("VMPA*"))

    order(scene, "release")
    for _ in range(4):
        scene.turn(20)

    assert {row.content_key: row.frame_id for row in planned(scene)}.items() >= numbers.items()
    scene.close()
    assert scene.products() == waited


def test_a_quarantined_file_of_a_planned_stretch_is_left_out_at_the_close(scene: LiveScene) -> None:
    scene.play()
    first = planned(scene)[0]
    path = files_row(scene, first.header_file)["path"]
    order(scene, "quarantine", path=path, action="add", why="the shutter was closed")

    scene.close()

    assert files.file_of(scene.ledger, scene.night.id, path).state == FileState.QUARANTINED
    used = scene.ledger.value(
        "select count(*) from segment where raw_file = ? and output is not null",
        [first.header_file],
    )
    assert used == 0


def test_a_held_night_is_left_alone_and_goes_on_where_it_stood(
    scene: LiveScene, waited: dict[str, str]
) -> None:
    rest, scene.steps = scene.steps[20:], scene.steps[:20]
    scene.play()
    order(scene, "hold", why="a look")
    scene.steps = rest
    scene.play()
    assert not planned(scene)

    order(scene, "release")
    for _ in range(5):
        scene.turn(20)

    assert planned(scene, OutputState.VERIFIED)
    scene.close()
    assert scene.products() == waited


def test_what_is_switched_off_while_it_goes_on_is_done_by_its_close(
    tmp_path: Path, waited: dict[str, str]
) -> None:
    scene = LiveScene(tmp_path, some_night(), live=True)
    most = len(scene.steps) * 4 // 5
    steps = scene.steps
    scene.steps = steps[:most]
    with scene.begun():
        scene.play()
        assert planned(scene)
    again = LiveScene(tmp_path, some_night(), live=False)
    again.clock, again.steps = scene.clock, steps[most:]
    with again.begun():
        again.play()
        again.close()

        assert again.products() == waited


def test_outputs_wait_for_their_nights_end_where_the_delivery_says_so(tmp_path: Path) -> None:
    scene = LiveScene(tmp_path, some_night(), live=True)
    archive = scene.config.delivery.archive
    assert archive is not None
    delivery = replace(scene.config.delivery, archive=replace(archive, when="night"))
    scene.config = replace(scene.config, delivery=delivery)
    with scene.begun():
        scene.play()

        assert {row.state for row in planned(scene)} <= {OutputState.BUILT, OutputState.PLANNED}
        assert not digests_of_tree(scene.far)
        stages = {row.stage for row in tasks.tasks_of(scene.ledger, scene.night.id)}
        assert Stage.TRANSFER not in stages


def test_a_younger_night_gets_no_numbers_before_the_older_one_is_closed(tmp_path: Path) -> None:
    scene = LiveScene(tmp_path, some_night(), live=True)
    half = len(scene.steps) // 2
    older = scene.root / "20251105"
    with scene.begun():
        scene.write(scene.steps[:half])
        shutil.copytree(scene.night_folder, older)
        scene.steps = scene.steps[half:]
        scene.play()

        assert planned(scene)
        assert {row.frame_id for row in planned(scene)} == {None}
        assert {row.state for row in planned(scene)} == {OutputState.PLANNED}


@pytest.mark.parametrize("more", ['[quality]\nhold = ["dubious"]', "[cubes]\nmax_seconds = 10"])
def test_where_a_measure_may_hold_the_night_nothing_is_numbered_before_it_is_taken(
    tmp_path: Path, more: str
) -> None:
    scene = LiveScene(tmp_path, some_night(), live=True, more=more)
    with scene.begun():
        scene.play()

        assert bool(planned(scene)) is not ("hold" in more)


def order(scene: LiveScene, name: str, **more: object) -> bool:
    """Carry an operator's order out; whether it changed anything."""
    arguments = {"kind": scene.kind, "date": scene.night.date, "dry_run": False, **more}
    orders = Orders(scene.ledger, scene.config, scene.engine.cancel)
    return bool(orders.carry_out(name, arguments, "somebody")["changed"])


def test_how_far_it_is_is_told_and_what_holds_it(scene: LiveScene) -> None:
    scene.play()
    number = scene.night.id

    lag = lags(scene.ledger.connection, [number])[number]

    assert lag.newest_us is not None
    assert lag.through_us is not None
    assert lag.verified_us is not None
    assert lag.built_us is not None
    assert lag.planned_us == lag.built_us
    assert lag.newest_us > lag.through_us > lag.built_us >= lag.verified_us
    assert lag_text(lag).startswith("newest 05:")
    assert lag_text(lag).endswith(" is no further")
    night = next(night for night in nights(scene.ledger.connection) if night.id == number)
    (summary,) = summarise(scene.ledger.connection, [night])
    assert summary.lag == lag


def test_outputs_that_stay_far_behind_the_cameras_are_told_to_the_operators(
    scene: LiveScene,
) -> None:
    scene.play()
    number = scene.night.id
    within = limits(scene.config)
    reader, now_us = scene.ledger.connection, scene.clock.now_us()
    names = {found.name for found in conditions(reader, within, now_us)}
    assert f"lag:{number}" not in names

    scene.ledger.execute("update output set state = 'built'")
    assert within.lag is not None
    behind = replace(within, lag=replace(within.lag, most_us=1_000_000))
    found = {one.name: one.text for one in conditions(reader, behind, now_us)}

    assert "none is verified" in found[f"lag:{number}"]
