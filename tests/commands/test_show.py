"""`show`, `files` and `quarantine` tell what the ledger knows of a night."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.ledger_site import NOW_US, Site
from vampd.commands.stage_times import facts, stage_times
from vampd.errors import UsageError
from vampd.states import Kind, Stage, TaskState
from vampd.views.details import TaskRow

_NAME = "vcam{}_05:10:0{}.000000000"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A failed night with a bad cube, a late one, two outputs, and one file wrong over there."""
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    night = site.night("20251106", "failed")
    site.stages(night, Kind.ARCHIVE, Stage.VERIFY)
    site.execute(
        "update task set state = 'failed', attempts = 3, error = 'Permission denied',"
        " started_us = ?, finished_us = ? where stage = 'verify'",
        NOW_US,
        NOW_US + 2_500_000,
    )
    cube = site.cube(night, _NAME.format(1, 0), frames=10, sha256="ab" * 32)
    site.cube(
        night,
        _NAME.format(2, 0),
        state="quarantined",
        reason="no timing file",
        reason_code="no timing",
    )
    site.cube(night, _NAME.format(2, 1), state="late")
    site.cube(night, _NAME.format(2, 2), state="gone")
    site.output(
        night,
        0,
        "vsync_05:10:00.000000.cam1.A",
        [(cube, 0, 2, 5)],
        state="verified",
        frame_id=425189,
        flc_state="A",
        synchronised=1,
        size_bytes=1_234_567,
        sha256="cd" * 32,
    )
    site.output(night, 1, "vsync_05:10:00.000000.cam1.B", [(cube, 1, 2, 5)], frame_id=425190)
    for path, verdict in (("vgen2/VMPA00425189.fits.fz", "verified"), ("a.csv", "different")):
        site.insert(
            "deliverable",
            night=night,
            path=path,
            size_bytes=1000,
            sha256="cd" * 32,
            sent_us=NOW_US,
            verdict=verdict,
            detail=None if verdict == "verified" else "Input/output error",
        )
    site.insert("report", night=night, stage="sync", raw_file=cube, text="U_TRIGJT is missing")
    return site


def test_show_tells_stages_trouble_files_and_deliveries(site: Site) -> None:
    screen = site.said("show", "20251106")

    words = re.sub(r"\s+", " ", screen)
    for said in (
        "archive 20251106, ",
        "status failed",
        "closed 2025-11-06 13:00:00 UT (2025-11-06 03:00 HST), by daemon",
        "then: vampd retry 20251106",
        "verify failed 2.5 s, 3 attempts",
        "night: Permission denied",
        "2 raw cubes, 2 kB, 10 frames in whole ones; 1 quarantined, 1 late",
        "2 outputs: 1 built (1.23 MB), 1 verified at the far end",
        "2 frame IDs: VMPA00425189 to VMPA00425190",
        "vcam2/vcam2_05:10:00.000000000.fits: no timing file",
        "a.csv: different, Input/output error",
        "sync: vcam1/vcam1_05:10:00.000000000.fits: U_TRIGJT is missing",
    ):
        assert said in words, screen
    assert max(map(len, screen.splitlines())) <= 80 + len(str(site.folder))
    assert screen.isascii()


def test_a_timing_file_is_not_listed_beside_its_cube_unless_something_else_is_said_of_it(
    site: Site,
) -> None:
    site.execute(
        "update raw_file set reason = 'not text' where path = 'vcam2/vcam2_05:10:01.000000000.txt'"
    )
    late = site.said("show", "20251106").split("\nlate\n")[1].split("\ndeliveries")[0]
    bad = site.said("quarantine", "20251106")

    assert "vcam2_05:10:01.000000000.txt: not text" in late
    assert bad.splitlines()[0] == (
        "archive 20251106: 1 quarantined file, and 1 timing file with them"
    )
    assert bad.count("vcam2_05:10:00.000000000") == 1


def test_show_tells_programs_all_of_it(site: Site) -> None:
    (night,) = site.answer("show", "last")["nights"]

    assert night["status"] == "failed"
    assert night["stages"]["verify"] == "failed"
    assert night["frame_ids"] == ["VMPA00425189", "VMPA00425190"]
    assert [task["stage"] for task in night["tasks"]] == [stage.value for stage in Stage]
    assert night["tasks"][-1]["attempts"] == 3
    assert night["quarantine"][0]["reason"] == "no timing file"
    assert {each["verdict"] for each in night["deliverables"]} == {"verified", "different"}


def test_files_lists_raw_ones_and_outputs(site: Site) -> None:
    screen = site.said("data", "files", "20251106")

    words = re.sub(r"\s+", " ", screen)
    assert "whole 1 kB abababababab vcam1/vcam1_05:10:00.000000000.fits 10 frames" in words
    assert "verified 1.23 MB cdcdcdcdcdcd vgen2/VMPA00425189.fits.fz" in words
    assert "vsync_05:10:00.000000.cam1.A 5 frames A" in words
    assert "vcam2_05:10:02" not in screen, "what is gone is told when all is asked for"
    assert "gone" in site.said("data", "files", "20251106", "--all")


@pytest.mark.parametrize(("flag", "raw", "outputs"), [("--raw", 6, 0), ("--outputs", 0, 2)])
def test_files_can_be_asked_for_one_sort(site: Site, flag: str, raw: int, outputs: int) -> None:
    (night,) = site.answer("data", "files", "20251106", flag)["nights"]

    assert (len(night["raw"]), len(night["outputs"])) == (raw, outputs)


def test_an_output_has_its_whole_digest_for_programs(site: Site) -> None:
    (night,) = site.answer("data", "files", "20251106")["nights"]

    output = night["outputs"][0]
    assert output["path"] == "vgen2/VMPA00425189.fits.fz"
    assert output["timing_path"] == "vgen2/VMPA00425189.txt"
    assert output["sha256"] == "cd" * 32
    assert output["first"] == "2025-11-06T16:00:00.000000Z"


def test_quarantine_lists_each_bad_file_with_its_reason(site: Site) -> None:
    (night,) = site.answer("quarantine", "20251106")["nights"]

    assert [(each["path"][-5:], each["reason"]) for each in night["files"]] == [
        (".fits", "no timing file"),
        ("0.txt", "no timing file"),
    ]
    assert {(each["code"], *each["arguments"]) for each in night["files"]} == {("no timing",)}
    assert "no timing file" in site.said("quarantine", "20251106")


@pytest.mark.parametrize(
    "arguments",
    [
        ("x.fits", "--add"),
        ("--add", "--why", "clouds"),
        ("x.fits", "--accept", "--add", "--why", "clouds"),
    ],
)
def test_a_decision_names_one_file_and_a_reason(site: Site, arguments: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        site.said("quarantine", "20251106", *arguments)


def a_task(unit: str, state: TaskState, began_s: float | None, ended_s: float | None) -> TaskRow:
    return TaskRow(
        batch=1,
        stage=Stage.BUILD,
        unit=unit,
        state=state,
        attempts=1,
        error=None,
        due_us=0,
        started_us=None if began_s is None else NOW_US + round(began_s * 1e6),
        finished_us=None if ended_s is None else NOW_US + round(ended_s * 1e6),
    )


def said_of(*rows: TaskRow, now_s: float = 90) -> str:
    times = {each.stage: each for each in stage_times(Kind.ENGINEERING, 1, rows)}[Stage.BUILD]
    return ", ".join(facts(times, now_us=NOW_US + round(now_s * 1e6)))


def test_units_that_went_on_at_once_are_timed_by_the_clock() -> None:
    rows = [a_task(unit, TaskState.DONE, 0, 10) for unit in ("1.1", "1.2")]

    assert said_of(*rows) == (
        "2 of 2 units, 10.0 s, 0.2 units/s, began 2025-11-06 16:00 UT (06:00 HST)"
    )


def test_a_stage_at_work_is_timed_until_now_and_one_that_rests_is_not() -> None:
    done, left = a_task("1.1", TaskState.DONE, 0, 10), a_task("1.2", TaskState.PENDING, None, None)
    working = a_task("2.1", TaskState.RUNNING, 10, None)

    assert "1 of 3 units, for 90.0 s, 0.67 units/min, began" in said_of(done, left, working)
    assert said_of(done, left).startswith("1 of 2 units, began")
    assert said_of(left) == ""


def test_each_supplement_has_its_stages(site: Site) -> None:
    (night,) = site.answer("show", "20251106")["nights"]
    site.execute("update night set batch = 2")

    (twice,) = site.answer("show", "20251106")["nights"]

    assert [each["batch"] for each in night["stage_times"]] == [1] * 6
    assert [each["batch"] for each in twice["stage_times"]] == [1] * 6 + [2] * 6
    verify = night["stage_times"][-1]
    assert (verify["seconds"], verify["attempts"], verify["state"]) == (2.5, 3, "failed")
    assert "supplement 1" in site.said("show", "20251106")
