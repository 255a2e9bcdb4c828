"""Every whole cube of the reference night through a builder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.raw_cubes import build_job
from tests.support.reference_night import (
    copy_reference_night,
    needs_reference_night,
    reference_truth,
)
from vampd.stages.build import compare_all_frames, work


@needs_reference_night
@pytest.mark.parametrize("tiles", ["frame", "row"])
def test_every_whole_cube_of_the_reference_night_comes_back_frame_by_frame(
    tmp_path: Path, tiles: str
) -> None:
    night = copy_reference_night(tmp_path)
    frames = 0

    for file in reference_truth().usable:
        job = build_job(night, [night / file.path], tiles=tiles)
        job["outputs"][0]["file_name"] = Path(file.path).stem
        job["outputs"][0]["sha256"] = work(job)["outputs"][0]["sha256"]
        assert compare_all_frames(job) == []
        frames += len(job["outputs"][0]["acquired_us"])

    assert frames > 4000
