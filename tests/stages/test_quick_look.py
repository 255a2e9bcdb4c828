from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from tests.support.raw_cubes import build_job, write_raw_cube
from vampd.stages.build_cube import build_cube

NAME = "vcam1_05:10:00.000000"


def stars(frames: int, shape: tuple[int, int] = (40, 50)) -> NDArray[np.uint16]:
    """A source in the middle, brighter in every second frame, on noise."""
    random = np.random.default_rng(3)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    distance = (rows - shape[0] // 2) ** 2 + (columns - shape[1] // 2) ** 2
    source = np.exp(-distance / 8.0)
    height = np.where(np.arange(frames) % 2, 3_000, 1_000)
    drawn = 200 + random.normal(0, 3, (frames, *shape)) + height[:, None, None] * source
    cube: NDArray[np.uint16] = np.rint(drawn).astype(np.uint16)
    return cube


def pictures(night: Path) -> dict[str, NDArray[np.uint8]]:
    folder = night / ".vampd" / "quicklook"
    return {path.name: imagecodecs.png_decode(path.read_bytes()) for path in folder.iterdir()}


@pytest.fixture
def night(tmp_path: Path) -> Path:
    folder = tmp_path / "20251106"
    folder.mkdir()
    return folder


def test_the_measures_are_those_of_each_outputs_own_frames(night: Path) -> None:
    cube = stars(12)
    job = replace(build_job(night, [write_raw_cube(night, cube)], states=True), quick_look=True)

    looks = build_cube(job).looks

    assert looks.trouble is None
    for (output, measures), frames in zip(looks.measures, (cube[::2], cube[1::2]), strict=True):
        assert output in {100, 101}
        assert measures.frames == 6
        assert measures.median_adu == pytest.approx(
            float(np.median(frames.mean(axis=0)[::2, ::2])), abs=1e-3
        )
        assert measures.peak_adu == frames.max()
        assert measures.fwhm_pixels == pytest.approx(2.355 * 2, abs=1)


def test_each_output_has_its_pictures_and_the_states_their_difference(night: Path) -> None:
    cube = stars(12, (300, 280))
    job = replace(build_job(night, [write_raw_cube(night, cube)], states=True), quick_look=True)

    build_cube(job)

    made = pictures(night)
    assert sorted(made) == sorted(
        f"{NAME}.{what}.{size}.png"
        for what in ("A.mean", "A.highest", "B.mean", "B.highest", "A.a-b")
        for size in (256, 1024)
    )
    assert made[f"{NAME}.A.mean.1024.png"].shape == (300, 280)
    assert made[f"{NAME}.A.mean.256.png"].shape == (150, 140)
    middle = 300 - 1 - 150, 140
    assert made[f"{NAME}.B.mean.1024.png"][middle] == 255
    assert made[f"{NAME}.A.a-b.1024.png"][middle] == 0  # B is the brighter one


@pytest.mark.parametrize("shape", [(1, 6, 9), (2, 1, 1), (3, 9, 1), (2, 1, 700)])
def test_the_oddest_shapes_have_pictures(night: Path, shape: tuple[int, int, int]) -> None:
    cube = np.full(shape, 65_535, np.uint16)
    job = replace(build_job(night, [write_raw_cube(night, cube)]), quick_look=True)

    looks = build_cube(job).looks

    assert looks.trouble is None
    assert looks.measures[0][1].saturated_pixels == shape[1] * shape[2]
    assert len(pictures(night)) == 4


def test_the_outputs_are_the_same_with_and_without(tmp_path: Path) -> None:
    results = []
    for quick_look in (False, True):
        night = tmp_path / str(quick_look) / "20251106"
        night.mkdir(parents=True)
        raw = write_raw_cube(night, stars(5))
        results.append(build_cube(replace(build_job(night, [raw]), quick_look=quick_look)))

    assert results[0].outputs == results[1].outputs
    assert not (tmp_path / "False" / "20251106" / ".vampd" / "quicklook").exists()


def test_a_folder_that_cannot_be_made_fails_no_build(night: Path) -> None:
    raw = write_raw_cube(night, stars(4))
    (night / ".vampd").mkdir()
    (night / ".vampd" / "quicklook").write_text("in the way")

    result = build_cube(replace(build_job(night, [raw]), quick_look=True))

    assert (night / "vgen2" / f"{NAME}.fits.fz").exists()
    assert result.looks.trouble is not None
    assert "quicklook" in result.looks.trouble
    assert len(result.looks.measures) == 1
    assert list((night / ".vampd" / "scratch").iterdir()) == []


def test_pictures_of_an_earlier_build_are_written_over(night: Path) -> None:
    raw = write_raw_cube(night, stars(4))
    job = replace(build_job(night, [raw]), quick_look=True)
    folder = night / ".vampd" / "quicklook"
    folder.mkdir(parents=True)
    (folder / f"{NAME}.mean.256.png").write_text("old")

    build_cube(job)

    assert pictures(night)[f"{NAME}.mean.256.png"].shape == (40, 50)
