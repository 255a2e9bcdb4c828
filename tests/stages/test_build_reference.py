"""Every whole cube of the reference night through a builder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.raw_cubes import build_job, with_output
from tests.support.reference_night import (
    copy_reference_night,
    needs_reference_night,
    reference_truth,
)
from vampd.io.fits import Tiles
from vampd.stages.build_cube import build_cube
from vampd.stages.compare import compare_all_frames


@needs_reference_night
@pytest.mark.parametrize("tiles", ["frame", "row"])
def test_every_whole_cube_of_the_reference_night_comes_back_frame_by_frame(
    tmp_path: Path, tiles: Tiles
) -> None:
    night = copy_reference_night(tmp_path)
    frames = 0

    for file in reference_truth().usable:
        job = build_job(night, [night / file.path], tiles=tiles)
        job = with_output(job, file_name=Path(file.path).stem)
        [made] = build_cube(job).outputs
        assert compare_all_frames(with_output(job, sha256=made.sha256)) == []
        frames += len(job.outputs[0].acquired_us)

    assert frames > 4000
