"""`vampd data trace` follows every frame from its output to the raw file and back by names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.finished_nights import Carried
from tests.support.frames import column_us, read_file_stamps, read_rows
from tests.support.ledger_site import Site
from vampd.commands.tracer import Tracer
from vampd.errors import OperatorError, UsageError
from vampd.ledger.reading import reading
from vampd.settings.load import load
from vampd.states import Kind
from vampd.views.summaries import nights


def test_each_frame_of_an_output_is_the_raw_frame_that_the_trace_names(carried: Carried) -> None:
    """Every frame's own stamp says who it is: first, middle and last of every output."""
    folder = carried.site.night(carried.kind)
    config = load(carried.site.config)
    stamps: dict[str, Any] = {}
    with reading(config.state_dir) as ledger:
        every = nights(ledger)
        chosen = [night for night in every if night.kind == carried.kind]
        tracer = Tracer(ledger, config, every)
        for output in carried.outputs:
            for position in {0, len(output.who) // 2, len(output.who) - 1}:
                found = tracer.trace(f"{output.path.name}:{position}", chosen).frame
                assert found is not None
                path = found.cube.path
                seen = stamps.setdefault(path, read_file_stamps(folder / path))
                frame = found.number
                who = (seen.cameras[frame], seen.scenes[frame], seen.triggers[frame])
                assert output.who[position] == who

                back = tracer.trace(f"{path}:{frame}", chosen).frame
                assert back is not None
                assert back.output is not None
                assert Path(back.output.cube_path).name == output.path.name
                assert back.position == position


def test_partners_are_the_same_exposure_and_their_mean_is_in_the_timing_file(
    carried: Carried,
) -> None:
    folder = carried.site.night(carried.kind)
    config = load(carried.site.config)
    pairs = 0
    with reading(config.state_dir) as ledger:
        every = nights(ledger)
        chosen = [night for night in every if night.kind == carried.kind]
        tracer = Tracer(ledger, config, every)
        for output in carried.outputs:
            found = tracer.trace(f"{output.path.name}:0", chosen)
            assert (found.partner is not None) == output.is_synchronised
            if found.partner is None or found.frame is None:
                continue
            pairs += 1
            stamp = read_file_stamps(folder / found.partner.cube.path)
            camera, scene, trigger = output.who[0]
            number = found.partner.number
            assert (stamp.scenes[number], stamp.triggers[number]) == (scene, trigger)
            assert stamp.cameras[number] == 3 - camera
            assert found.frame.acquired_us is not None
            assert found.partner.acquired_us is not None
            mean_us = (found.frame.acquired_us + found.partner.acquired_us) // 2
            assert found.output is not None
            times = column_us(read_rows(folder / found.output.timing_path), 4)
            assert abs(int(times[0]) - mean_us) <= 1  # its seconds are cut to microseconds
    assert pairs


def test_a_trace_tells_digests_moves_and_where_copies_were_verified(carried: Carried) -> None:
    output = carried.outputs[0]

    name = f"{output.path.name}:0"
    done = carried.site.call("data", "trace", name, "last", "--kind", carried.kind, "--json")
    said = json.loads(done.stdout)

    raw = said["frame"]["raw"]
    assert raw["sha256"] == carried.raw_digests[raw["path"]]
    assert [move["became"] for move in said["moves"]] == [
        *("arriving", "whole", "planned", "built", "verified"),
    ]
    assert {copy["verdict"] for copy in said["copies"]} == {"verified"}
    assert len(said["copies"]) == 2
    assert said["place"] == str(carried.site.far(carried.kind))


_RAW = "vcam1_05:10:00.000000000"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A cube of ten frames: 0, 2, 4 in one output, 1, 3, 5 in another, 6 to 8 rejected."""
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    night = site.night("20251106", "safe")
    cube = site.cube(night, _RAW, frames=10)
    name = "vsync_05:10:00.000000.cam1"
    site.output(night, 0, f"{name}.A", [(cube, 0, 2, 3)], frame_id=7, flc_state="A")
    site.output(night, 1, f"{name}.B", [(cube, 1, 2, 3)], frame_id=8, flc_state="B")
    site.reject(night, cube, 6, 3, "the time cannot be read")
    for number, state in ((7, "bound"), (8, "bound"), (9, "void")):
        site.insert(
            "frame_id",
            number=number,
            night=night,
            content_key=f"key-{number}",
            state=state,
            reserved_us=0,
            changed_us=0,
            changed_by="vampd",
            why="its output is no longer part of the night" if state == "void" else None,
        )
    bad = "vcam2_05:10:00.000000000"
    site.cube(night, bad, frames=5, state="quarantined", reason="no timing file")
    return site


def frame(site: Site, name: str) -> dict[str, Any]:
    found: dict[str, Any] = site.answer("data", "trace", name)["frame"]
    return found


def test_names_are_taken_with_and_without_folder_and_ending(site: Site) -> None:
    forms = (
        "VMPA00000008:2",
        "VMPA00000008.fits.fz:2",
        "vgen2/VMPA00000008.fits:2",
        "vsync_05:10:00.000000.cam1.B:2",
        "/a/vgen2/vsync_05:10:00.000000.cam1.B.txt:2",
        f"{_RAW}:5",
        f"vcam1/{_RAW}.fits:5",
    )

    found = [frame(site, form) for form in forms]

    assert {(each["raw_frame"], each["output_frame"]) for each in found} == {(5, 2)}
    assert {each["output"] for each in found} == {"vgen2/VMPA00000008.fits.fz"}


def test_a_frame_that_is_in_no_output_says_why(site: Site) -> None:
    assert frame(site, f"{_RAW}:7")["rejected"] == "the time cannot be read"
    assert "rejected: the time cannot be read" in site.said("data", "trace", f"{_RAW}:7")
    bad = site.said("data", "trace", "vcam2_05:10:00.000000000:0")
    assert "in no output: its cube is quarantined" in bad
    assert "no timing file" in bad


def test_without_a_frame_every_range_is_told(site: Site) -> None:
    out, raw = site.said("data", "trace", "VMPA00000008"), site.said("data", "trace", _RAW)

    assert f"0 to 2 are frames 1 to 5, every 2. of vcam1/{_RAW}.fits" in " ".join(out.split())
    words = " ".join(raw.split())
    assert "frames 0 to 4, every 2. (3) are 0 to 2 of VMPA00000007" in words
    assert "frames 6 to 8 (3): rejected: the time cannot be read" in words


def test_a_void_frame_id_says_why_no_output_bears_it(site: Site) -> None:
    said = " ".join(site.said("data", "trace", "VMPA00000009").split())

    assert "VMPA00000009, void" in said
    assert "its output is no longer part of the night; no output bears it now" in said


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("VMPA00000077", OperatorError, "never dealt that frame ID"),
        ("VMPA00000008:3", OperatorError, "has 3 frames, counted from 0: none is 3"),
        (f"{_RAW}:10", OperatorError, "has 10 frames, counted from 0: none is 10"),
        ("vcam1_05:10:09.000000000", OperatorError, "knows no such file"),
        ("20251106", UsageError, "is no name"),
    ],
)
def test_what_cannot_be_traced_is_refused_in_words(
    site: Site, name: str, error: type[Exception], said: str
) -> None:
    result = site.run("data", "trace", name)

    assert isinstance(result.exception, error)
    assert said in str(result.exception)


def test_a_name_in_two_nights_needs_its_date_or_kind(site: Site) -> None:
    other = site.night("20251106", "safe", kind=Kind.ENGINEERING)
    site.cube(other, _RAW, frames=3)

    result = site.run("data", "trace", _RAW)
    chosen = site.answer("data", "trace", _RAW, "20251106", "--kind", "engineering")

    assert "archive 20251106, engineering 20251106: add its DATE" in str(result.exception)
    assert chosen["raw"]["frames"] == 3
