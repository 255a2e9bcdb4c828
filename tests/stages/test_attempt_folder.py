from __future__ import annotations

import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.stages.test_build import noise
from tests.support.raw_cubes import build_job, write_raw_cube
from vampd.errors import RetryableError
from vampd.io import publish as publishing
from vampd.io.beneath import Beneath, rename_without_replacing
from vampd.io.scratch import Owner
from vampd.stages.attempt_folder import attempt_folder, give_up_place, make_place, take_away
from vampd.stages.build_cube import build_cube
from vampd.stages.build_job import BuildJob

ELSEWHERE = Owner(host="elsewhere", life="0" * 12, pid=7)


@pytest.fixture
def job(tmp_path: Path) -> BuildJob:
    night = tmp_path / "20251106"
    night.mkdir()
    return build_job(night, [write_raw_cube(night, noise(5))])


def handed_out(job: BuildJob) -> BuildJob:
    return replace(job, place=make_place(job, ELSEWHERE))


def test_an_attempt_that_was_given_up_before_it_began_does_nothing(job: BuildJob) -> None:
    late = handed_out(job)
    give_up_place(late)

    with pytest.raises(RetryableError, match="given up"):
        build_cube(late)

    assert not (Path(job.night) / "vgen2").exists()


def test_an_attempt_that_is_given_up_at_its_last_step_publishes_nothing(
    job: BuildJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, really = handed_out(job), rename_without_replacing

    def given_up_first(scratch: Beneath, final: Beneath) -> None:
        give_up_place(late)
        really(scratch, final)

    monkeypatch.setattr(publishing, "rename_without_replacing", given_up_first)
    with pytest.raises(FileNotFoundError):
        build_cube(late)

    assert list((Path(job.night) / "vgen2").iterdir()) == []


def test_the_next_attempt_ends_the_earlier_ones_of_every_host(job: BuildJob) -> None:
    earlier = handed_out(job)

    with attempt_folder(replace(job, attempt=2)), pytest.raises(RetryableError, match="given up"):
        build_cube(earlier)


def test_attempts_of_other_units_on_other_hosts_are_left_alone(job: BuildJob) -> None:
    other = handed_out(replace(job, unit="another.2"))

    build_cube(job)

    assert [path.name for path in (Path(job.night) / job.scratch).iterdir()] == [other.place]


def test_a_folder_into_which_somebody_writes_is_taken_away_all_the_same(tmp_path: Path) -> None:
    folder, stopped = tmp_path / "busy", threading.Event()
    folder.mkdir()

    def write() -> None:
        while not stopped.is_set():
            try:
                for number in range(3):
                    (folder / str(number)).write_text("more")
            except OSError:
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        take_away(Beneath(folder.parent, (folder.name,)))
    finally:
        stopped.set()
        writer.join()

    assert not folder.exists()
