from __future__ import annotations

import errno
import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import fields

from tests.support.reference_night import needs_reference_night, reference_night
from vampd.science import timing
from vampd.states import FileState
from vampd.watch import inspect
from vampd.watch.inspect import (
    Digest,
    DigestJob,
    Inspection,
    InspectJob,
    inspect_cube,
    sha256_files,
    work,
)
from vampd.watch.naming import Role
from vampd.watch.scan import look
from vampd.watch.settle import TrackedFile, judge, judge_at_close

STEM = "vcam1/vcam1_05:11:38.081003904"
CUBE, TIMING = f"{STEM}.fits", f"{STEM}.txt"
FRAMES, WIDTH, HEIGHT = 3, 32, 24
FIRST_US = 1_762_405_800_137_310


@pytest.fixture
def night(tmp_path: Path) -> Path:
    (tmp_path / "vcam1").mkdir()
    (tmp_path / CUBE).write_bytes(cube_bytes())
    (tmp_path / TIMING).write_bytes(timing_bytes())
    return tmp_path


def cube_bytes(*, frames: int = FRAMES, exposure: str = "0.1") -> bytes:
    cards = [
        "SIMPLE  =                    T",
        "BITPIX  =                   16",
        "NAXIS   =                    3",
        f"NAXIS1  = {WIDTH:>20}",
        f"NAXIS2  = {HEIGHT:>20}",
        f"NAXIS3  = {frames:>20}",
        "BZERO   =                32768",
        "BSCALE  =                    1",
        f"EXPTIME = {exposure:>20}",
        "EXPTIME =                  9.0",
        "EXTTRIG =                    T",
        "U_DETMOD= 'FAST    '",
        "NOBODYS =                    1",
        "END",
    ]
    header = "".join(f"{card:80}" for card in cards).encode()
    pixels = bytes(2 * WIDTH * HEIGHT * frames)
    return padded(header, b" ") + padded(pixels, b"\0")


def padded(content: bytes, filler: bytes) -> bytes:
    return content + filler * (-len(content) % 2880)


def timing_bytes(*, rows: int = FRAMES) -> bytes:
    lines = [b"# col1 : datacube frame index"]
    for row in range(rows):
        seconds = b"%d.%06d" % divmod(FIRST_US + 1000 * row, 1_000_000)
        lines.append(b"%d %d 0.00%d %s000 %s %d 0" % (row, row, row, seconds, seconds, row))
    return b"".join(line + b"\n" for line in lines)


def test_an_inspection_tells_what_decides_about_a_cube(night: Path) -> None:
    found = inspect_cube(night, CUBE, TIMING)

    assert (found.problem, found.unread) == (None, None)
    assert (found.frames, found.width, found.height) == (FRAMES, WIDTH, HEIGHT)
    assert found.expected_bytes == (night / CUBE).stat().st_size
    assert found.cards == {"EXPTIME": 0.1, "EXTTRIG": True, "U_DETMOD": "FAST"}
    assert (found.rows, found.ends_in_newline, found.has_acquisition) == (FRAMES, True, True)
    assert found.acquired_us.tolist() == [FIRST_US, FIRST_US + 1000, FIRST_US + 2000]
    assert found.cube_before == found.cube_after == look(night).files[CUBE].identity
    assert found.timing_before == found.timing_after == look(night).files[TIMING].identity


def test_a_torn_timing_file_tells_its_rows_and_that_the_last_is_not_finished(night: Path) -> None:
    (night / TIMING).write_bytes(timing_bytes()[:-7])

    found = inspect_cube(night, CUBE, TIMING)

    assert (found.rows, found.ends_in_newline) == (FRAMES, False)
    assert list(found.rejected) == [FRAMES - 1]


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 2880, b"SIMPLE  = T", cube_bytes()[:800], os.urandom(5760)]
)
def test_a_header_that_cannot_be_read_is_a_problem_of_that_cube(
    night: Path, content: bytes
) -> None:
    (night / CUBE).write_bytes(content)

    found = inspect_cube(night, CUBE, TIMING)

    assert found.problem
    assert found.unread is None


def test_a_timing_file_without_end_is_not_read_into_memory(night: Path) -> None:
    with (night / TIMING).open("wb") as file:
        file.truncate(1 << 40)

    found = inspect_cube(night, CUBE, TIMING)

    assert str(found.problem) == "timing file of more than 66736 bytes for 3 frames"


def test_a_header_that_lies_about_its_frames_does_not_lift_that_bound(night: Path) -> None:
    (night / CUBE).write_bytes(cube_bytes(frames=0).replace(f"{0:>20}".encode(), b"%20d" % 10**9))
    with (night / TIMING).open("wb") as file:
        file.truncate(1 << 40)

    found = inspect_cube(night, CUBE, TIMING)

    assert str(found.problem) == "timing file of more than 67108864 bytes for 1000000000 frames"


def test_a_file_that_is_not_there_is_unread_and_not_bad(night: Path) -> None:
    (night / TIMING).unlink()

    found = inspect_cube(night, CUBE, TIMING)

    assert str(found.unread) == "cannot be read: No such file or directory"
    assert found.problem is None
    assert (found.timing_before, found.timing_after) == (None, None)


def test_a_pipe_in_a_files_place_hangs_nobody(night: Path) -> None:
    (night / TIMING).unlink()
    os.mkfifo(night / TIMING)

    found = inspect_cube(night, CUBE, TIMING)

    assert found.timing_before is None


def test_a_disk_error_is_unread_and_a_shortage_of_this_machine_is_raised(
    night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(number: int) -> None:
        def parse(_content: bytes) -> object:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(inspect, "parse_timing", parse)

    failing(errno.EIO)
    found = inspect_cube(night, CUBE, TIMING)
    assert str(found.unread) == "cannot be read: Input/output error"

    failing(errno.EMFILE)
    with pytest.raises(OSError, match="Too many open files"):
        inspect_cube(night, CUBE, TIMING)


def test_a_file_that_changes_while_it_is_read_shows_two_identities(
    night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = timing.parse_timing

    def parse_while_growing(content: bytes) -> object:
        with (night / CUBE).open("ab") as file:
            file.write(b"x")
        return real(content)

    monkeypatch.setattr(inspect, "parse_timing", parse_while_growing)

    found = inspect_cube(night, CUBE, TIMING)

    assert found.cube_before != found.cube_after


def test_a_batch_crosses_the_pipe_and_comes_back_the_same(night: Path) -> None:
    job = InspectJob(folder=str(night), cubes=((CUBE, TIMING), ("vcam1/absent", TIMING)))

    back, absent = pickle.loads(pickle.dumps(work(job))).results

    direct = inspect_cube(night, CUBE, TIMING)
    for field in fields(Inspection):
        assert np.array_equal(getattr(back, field.name), getattr(direct, field.name)), field.name
    assert absent.unread
    assert absent.cube_before is None


def digests(night: Path, *paths: str) -> tuple[Digest, ...]:
    return sha256_files(DigestJob(folder=str(night), files=paths)).results


def test_digests_come_with_the_identity_of_what_was_read(night: Path) -> None:
    big = os.urandom(9 * 1024 * 1024 + 1)
    (night / CUBE).write_bytes(big)

    first, second, absent = digests(night, CUBE, TIMING, "vcam1/absent")

    assert first.sha256 == hashlib.sha256(big).hexdigest()
    assert second.sha256 == hashlib.sha256(timing_bytes()).hexdigest()
    assert first.identity == look(night).files[CUBE].identity
    assert absent == Digest(problem="No such file or directory", is_unreadable=True)


def test_a_file_that_changes_under_its_digest_has_none(
    night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.posix_fadvise

    def replaced(*arguments: int) -> None:
        (night / TIMING).write_bytes(b"")
        (night / TIMING).rename(night / CUBE)
        real(*arguments)

    monkeypatch.setattr(os, "posix_fadvise", replaced)

    [result] = digests(night, CUBE)

    assert (result.sha256, result.problem) == (None, "changed while it was read")


def test_links_and_pipes_have_no_digest(night: Path) -> None:
    (night / "link").symlink_to(CUBE)
    os.mkfifo(night / "pipe")

    link, pipe = digests(night, "link", "pipe")

    assert (link.sha256, pipe.sha256) == (None, None)
    assert pipe.problem.endswith("/pipe is a pipe, not a regular file")


def test_digests_leave_the_access_time_alone(night: Path) -> None:
    os.utime(night / CUBE, (1, 2))

    digests(night, CUBE)

    assert (night / CUBE).stat().st_atime == 1


@needs_reference_night
def test_the_reference_nights_bad_cubes_are_told_from_the_good_ones() -> None:
    night = reference_night()
    seen = look(night).files
    watched = {
        path: TrackedFile(identity=file.identity, since_ns=0, looks=2)
        for path, file in seen.items()
    }
    reasons: dict[FileState, dict[str, str]] = {}

    for path, file in seen.items():
        if file.role is not Role.CUBE:
            continue
        timing = path.replace(".fits", ".txt")
        inspection = inspect_cube(night, path, timing)
        pair = (watched[path], watched.get(timing), inspection)
        verdict = judge(*pair, now_ns=0, settle_seconds=0)
        closing = judge_at_close(*pair, now_ns=0, settle_seconds=0)
        assert verdict.reason == closing.reason
        assert closing.state in {FileState.WHOLE, FileState.QUARANTINED}
        reasons.setdefault(verdict.state, {})[path] = verdict.reason

    assert len(reasons[FileState.WHOLE]) == 47
    assert sorted(reasons[FileState.ARRIVING].values()) == [
        "18 rows for 20 frames",
        "18 rows for 20 frames",
        "no timing file",
        "no timing file",
    ]
    assert set(reasons[FileState.QUARANTINED].values()) == {"EXPTIME is missing"}
