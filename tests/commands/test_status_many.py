"""With many nights, what is broken stands on the first screen, told once a cause."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.status_scenes import running_picture
from tests.support.ledger_site import Site
from vampd.causes import Cause
from vampd.commands.screen import Screen
from vampd.commands.status_picture import Picture
from vampd.commands.status_screen import lines
from vampd.states import HoldCode, Kind, Stage, WaitCode
from vampd.views.matters import date_runs

_NO_FOLDER = "looking for the marker of /far exited 1: there is no such folder there: /far"


def date_of(number: int) -> str:
    return f"{2023 + number // 336}{number // 28 % 12 + 1:02d}{number % 28 + 1:02d}"


def many(site: Site, count: int) -> Picture:
    """*count* nights: one in five failed for one cause, some held for their own, all else safe."""
    site.make_ledger()
    site.daemon(stopped=False)
    for number in range(count):
        date = date_of(number)
        if number % 5 == 0:
            night = site.night(date, "failed", cause=Cause(WaitCode.FAILURE, {"text": _NO_FOLDER}))
            site.task(
                night,
                Stage.TRANSFER,
                "failed",
                error=f"{_NO_FOLDER}/{date}",
                error_class="deterministic",
                error_code="no folder",
            )
        elif number % 15 == 1:
            hold = Cause(HoldCode.RAW_GONE, {"when": "its close", "path": date, "more": ""})
            night = site.night(date, "held", cause=hold)
            site.execute(
                "update night set hold = cause, hold_code = cause_code, hold_words = cause_words"
                " where id = ?",
                night,
            )
        else:
            site.night(date, "safe")
    return running_picture(site)


@pytest.fixture(scope="module", params=[60, 500])
def picture(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Picture:
    return many(Site(folder=tmp_path_factory.mktemp("many") / "site"), request.param)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
def test_what_is_broken_stands_on_the_first_screen(
    picture: Picture, width: int, height: int
) -> None:
    screen = Screen(colours=False, glyphs=False, width=width, height=height)

    shown = list(lines(picture, screen))[:height]

    assert max(map(len, shown)) <= width
    begin = shown.index("broken")
    assert begin < 5
    text = " ".join(" ".join(shown[begin:]).split())
    failed = sum(each.night.status == "failed" for each in picture.summaries)
    assert f"{failed} archive nights: " in text
    assert "no such folder" in text
    assert "vampd explain" in text or "vampd retry" in text
    assert "raw file gone" in text
    # What may be lost comes before what failed.
    assert text.index("raw file gone") < text.index(f"{failed} archive nights: ")


def test_on_paper_the_cause_of_many_nights_is_told_once_with_its_next_step(
    picture: Picture,
) -> None:
    text = "\n".join(lines(picture, Screen(colours=False, glyphs=False, width=160)))

    failed = sum(each.night.status == "failed" for each in picture.summaries)
    assert text.count("make that folder there") == 1
    assert f"and so for {failed - 1} other nights" in text


def test_nights_at_rest_are_counted_and_not_listed(picture: Picture) -> None:
    shown = list(lines(picture, Screen(colours=False, glyphs=False)))

    assert not [line for line in shown if line.startswith(date_of(2))]
    assert [line for line in shown if line.startswith("at rest: ")]


def test_days_that_follow_each_other_are_told_as_a_run() -> None:
    dates = ["20250228", "20250301", "20250302", "20250304", "20250299"]

    assert date_runs(dates) == ["20250228..20250302", "20250304", "20250299"]


def test_both_kinds_are_matters_of_their_own(tmp_path: Path) -> None:
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    for kind in Kind:
        site.night("20251106", "held", kind=kind, cause=Cause(HoldCode.ORDER, {"why": "x"}))

    text = "\n".join(lines(running_picture(site), Screen(colours=False, glyphs=False)))

    assert "vampd release 20251106 --kind archive" in text
    assert "vampd release 20251106 --kind engineering" in text


def test_a_night_whose_space_was_given_back_is_told_as_what_it_was(tmp_path: Path) -> None:
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    night = site.night("20251106", "reclaimed")
    site.cube(night, "vcam1_05:10:00.0")
    given = site.cube(night, "vcam1_05:10:01.0", state="gone")
    bad = site.cube(night, "vcam1_05:10:02.0", state="gone")
    site.cube(night, "vcam1_05:10:03.0", state="gone")  # by somebody else
    run = {"run": 1, "night": night, "space": "raw", "final": 1, "state": "done"}
    stamp = {"changed_us": 1, "changed_by": "x"}
    reclaim = site.insert("reclaim", **run, begun_us=1, begun_passed_us=1, **stamp)
    for number, was in ((given, "whole"), (bad, "quarantined")):
        site.insert(
            "trash",
            reclaim=reclaim,
            night=night,
            space="raw",
            path=f"{number}",
            place="x",
            raw_file=number,
            was=was,
            inode=1,
            size_bytes=1,
            modified_ns=1,
            state="unlinked",
            **stamp,
        )

    [told] = site.answer("status", "--all")["nights"]

    assert (told["raw_files"], told["quarantined"], told["quarantined_seen"]) == (3, 1, 1)
