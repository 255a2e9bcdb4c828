"""`vampd data audit` finds every way in which a frame can be lost, doubled or invented."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.ledger_site import NOW_US, Site
from vampd.states import Kind

_NAME = "vcam1_05:10:0{}.000000000"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A night whose books are right: see `made`."""
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    return site


class Made:
    """A closed archive night of two cubes, A and B outputs across both, one frame rejected."""

    def __init__(self, site: Site, kind: Kind = Kind.ARCHIVE) -> None:
        self.site = site
        self.night = site.night("20251106", "safe", kind=kind)
        self.folder = site.folder / kind / "20251106"
        self.cubes = [site.cube(self.night, _NAME.format(i), frames=10) for i in range(2)]
        self.outputs = [self._output(0, "A", 0), self._output(1, "B", 1)]
        site.reject(self.night, self.cubes[1], 8, 1, "its row could not be read")
        site.reject(self.night, self.cubes[1], 9, 1, "its row could not be read")

    def _output(self, ordinal: int, state: str, first: int) -> int:
        segments = [(self.cubes[0], first, 2, 5), (self.cubes[1], first, 2, 4)]
        number = 425189 + ordinal
        files = {".fits.fz": b"cube" * (ordinal + 1), ".txt": b"rows"}
        for ending, content in files.items():
            path = self.folder / "vgen2" / f"VMPA{number:08}{ending}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        self.site.insert(
            "frame_id",
            number=number,
            night=self.night,
            content_key=f"key-{ordinal}",
            state="bound",
            reserved_us=NOW_US,
            changed_us=NOW_US,
            changed_by="daemon",
        )
        return self.site.output(
            self.night,
            ordinal,
            f"vsync_05:10:00.000000.cam1.{state}",
            segments,
            state="built",
            cube=0,
            flc_state=state,
            frame_id=number,
            size_bytes=len(files[".fits.fz"]),
            sha256=hashlib.sha256(files[".fits.fz"]).hexdigest(),
            timing_size_bytes=len(files[".txt"]),
            timing_sha256=hashlib.sha256(files[".txt"]).hexdigest(),
        )


def audited(site: Site, *arguments: object) -> dict[str, Any]:
    (night,) = site.answer("data", "audit", "20251106", *arguments)["nights"]
    code = site.run("data", "audit", "20251106", *arguments).exit_code
    assert code == (1 if night["problems"] else 0)
    assert night["ok"] is not bool(night["problems"])
    result: dict[str, Any] = night
    return result


def test_a_night_whose_frames_are_each_in_one_place_is_proved(site: Site) -> None:
    made = Made(site)
    bad = site.cube(made.night, _NAME.format(2), frames=7, state="quarantined", reason="bad")
    site.cube(made.night, _NAME.format(3), state="quarantined", reason="unreadable")
    site.cube(made.night, _NAME.format(4), frames=5, state="late")

    night = audited(site, "--digests")

    assert bad
    assert night["problems"] == []
    assert (night["frames"], night["in_outputs"], night["rejected"]) == (20, 18, 2)
    assert night["reasons"] == {"its row could not be read": 2}
    assert (night["quarantined"], night["quarantined_frames"]) == (2, 7)
    assert night["quarantined_uncounted"] == 1
    assert (night["late"], night["late_frames"]) == (1, 5)
    assert (night["outputs"], night["files"]) == (2, 4)
    screen = site.said("data", "audit", "20251106")
    assert "20 frames  2 cubes" in screen
    assert "18 frames  2 outputs" in screen


def _lose_a_frame(made: Made) -> None:
    made.site.execute("delete from segment where first = 9")


def _deal_a_frame_twice(made: Made) -> None:
    made.site.reject(made.night, made.cubes[0], 3, 1, "again")


def _deal_a_frame_that_is_none(made: Made) -> None:
    made.site.execute("update segment set first = 10 where first = 9")


def _forget_a_cube(made: Made) -> None:
    made.site.cube(made.night, _NAME.format(5), frames=3)


def _never_count_a_cube(made: Made) -> None:
    made.site.execute("delete from cube where raw_file = ?", made.cubes[0])


def _use_a_bad_cube(made: Made) -> None:
    made.site.execute("update raw_file set state = 'quarantined' where id = ?", made.cubes[0])


def _use_a_cube_of_another_night(made: Made) -> None:
    other = made.site.night("20251101", "safe")
    cube = made.site.cube(other, _NAME.format(0), frames=10)
    made.site.reject(made.night, cube, 0, 10, "nowhere")


def _promise_more_frames(made: Made) -> None:
    made.site.execute("update output set frames = 10 where id = ?", made.outputs[0])


def _leave_a_hole(made: Made) -> None:
    made.site.execute("update segment set position = 6 where position = 5")


def _part_a_pair(made: Made) -> None:
    made.site.execute("update output set frames = 5 where id = ?", made.outputs[0])
    made.site.execute(
        "update segment set output = null, reason = 'x' where output = ? and position = 5",
        made.outputs[0],
    )


def _number_twice(made: Made) -> None:
    made.site.execute("update output set frame_id = 425189 where id = ?", made.outputs[1])


def _number_one_only(made: Made) -> None:
    made.site.execute("update output set frame_id = null where id = ?", made.outputs[1])


def _number_backwards(made: Made) -> None:
    made.site.execute(
        "update output set frame_id = 425190, content_key = 'key-1' where ordinal = 0"
    )
    made.site.execute(
        "update output set frame_id = 425189, content_key = 'key-0' where ordinal = 1"
    )


def _skip_a_number(made: Made) -> None:
    made.site.execute("update frame_id set number = 425192 where number = 425190")
    made.site.execute("update output set frame_id = 425192 where ordinal = 1")


def _bind_elsewhere(made: Made) -> None:
    made.site.execute("update frame_id set content_key = 'other' where number = 425190")


def _leave_a_cube_unsettled(made: Made) -> None:
    made.site.cube(made.night, _NAME.format(5), state="arriving")


def _remove_an_output(made: Made) -> None:
    (made.folder / "vgen2/VMPA00425190.fits.fz").unlink()


def _shorten_a_timing_file(made: Made) -> None:
    (made.folder / "vgen2/VMPA00425190.txt").write_bytes(b"row")


def _add_a_stranger(made: Made) -> None:
    (made.folder / "vgen2/VMPA00000001.fits.fz").touch()


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (_lose_a_frame, "1 frames are nowhere, 9 first"),
        (_deal_a_frame_twice, "1 frames are in two places, 3 first"),
        (_deal_a_frame_that_is_none, "has 10 frames, but later ones were dealt out"),
        (_forget_a_cube, "none of its 3 frames is anywhere"),
        (_never_count_a_cube, "its frames were never counted"),
        (_use_a_bad_cube, "quarantined, but 10 of its frames were dealt out"),
        (_use_a_cube_of_another_night, "is no cube of the night"),
        (_promise_more_frames, "has 10 frames, but 9 were dealt to it"),
        (_leave_a_hole, "frames from 5 on are not where they should be"),
        (_part_a_pair, "5 frames in A and 9 in B"),
        (_number_twice, "both are VMPA00425189"),
        (_number_one_only, "has no frame ID, though its batch has its numbers"),
        (_number_backwards, "VMPA00425189 comes after VMPA00425190"),
        (_skip_a_number, "VMPA00425190: skipped, and no row says why"),
        (_bind_elsewhere, "VMPA00425190 is not bound to it"),
        (_leave_a_cube_unsettled, "not settled, though the night is closed"),
        (_remove_an_output, "VMPA00425190.fits.fz: No such file"),
        (_shorten_a_timing_file, "VMPA00425190.txt: 3 bytes, and 4 in the ledger"),
        (_add_a_stranger, "VMPA00000001.fits.fz: no output of the ledger"),
    ],
)
def test_what_is_off_is_found(site: Site, spoil: Callable[[Made], None], problem: str) -> None:
    spoil(Made(site))

    problems = audited(site)["problems"]

    assert any(problem in one for one in problems), problems


@pytest.mark.parametrize(
    "spoil", [_number_twice, _number_one_only, _number_backwards, _skip_a_number, _bind_elsewhere]
)
def test_both_audits_have_one_rule_for_frame_ids(site: Site, spoil: Callable[[Made], None]) -> None:
    spoil(Made(site))

    of_night = audited(site)["problems"]
    of_all = site.answer("archive", "ids", "audit", "--no-headers")["problems"]

    assert {one for one in of_all if one.startswith("archive 20251106: ")} == {
        f"archive 20251106: {one}" for one in of_night if "VMPA" in one and "vgen2" not in one
    } | {f"archive 20251106: {one}" for one in of_night if "frame ID" in one}


def test_changed_bytes_are_found_when_digests_are_asked_for(site: Site) -> None:
    made = Made(site)
    (made.folder / "vgen2/VMPA00425190.txt").write_bytes(b"wors")

    assert audited(site)["problems"] == []
    assert audited(site, "--digests")["problems"] == [
        "vgen2/VMPA00425190.txt: its digest is not the ledger's"
    ]


def test_a_number_that_was_voided_explains_a_gap(site: Site) -> None:
    made = Made(site)
    _skip_a_number(made)
    for number in (425190, 425191):
        site.insert(
            "frame_id",
            number=number,
            night=made.night,
            state="void",
            reserved_us=NOW_US,
            changed_us=NOW_US,
            changed_by="daemon",
            why="its output is no longer part of the night",
        )

    assert not [one for one in audited(site)["problems"] if "skipped" in one]


def test_engineering_nights_have_no_numbers(site: Site) -> None:
    Made(site, Kind.ENGINEERING)

    assert any("has a frame ID" in one for one in audited(site)["problems"])


def test_a_night_without_a_plan_is_not_proved(site: Site) -> None:
    night = site.night("20251106", "collecting")
    site.cube(night, _NAME.format(0), frames=10)

    assert audited(site)["problems"] == ["there is no plan yet for the 10 frames of whole cubes"]


def test_what_gave_its_space_back_is_proved_from_the_record(site: Site) -> None:
    made = Made(site)
    path = "vgen2/VMPA00425190.fits.fz"
    (made.folder / path).unlink()
    assert audited(site)["problems"] == [f"{path}: No such file or directory"]
    run = site.insert(
        "reclaim",
        run=1,
        night=1,
        space="outputs",
        state="done",
        final=0,
        begun_us=1,
        begun_passed_us=1,
        changed_us=1,
        changed_by="x",
    )
    site.insert(
        "trash",
        reclaim=run,
        night=1,
        space="outputs",
        path=path,
        place="x",
        inode=1,
        size_bytes=1,
        modified_ns=1,
        state="unlinked",
        changed_us=1,
        changed_by="x",
    )

    assert audited(site)["problems"] == []
