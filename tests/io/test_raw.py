from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.page_cache import cached_bytes, drops_pages
from tests.support.raw_cubes import write_raw_cube
from vampd.errors import InputError, IntegrityError, OperatorError, ResourceError
from vampd.io.beneath import Beneath
from vampd.io.cache import STEP_BYTES
from vampd.io.raw import RawCubeFile, RawFile
from vampd.records import FileIdentity

FRAMES = np.random.default_rng(1).integers(0, 65536, (5, 3, 4)).astype(np.uint16)


def identity(path: Path) -> FileIdentity:
    status = path.stat()
    return FileIdentity(
        inode=status.st_ino, size_bytes=status.st_size, modified_ns=status.st_mtime_ns
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_raw_cube(tmp_path, FRAMES)


@pytest.fixture
def cube(path: Path) -> Iterator[RawCubeFile]:
    opened = RawCubeFile(Beneath(path.parent), path.name, identity(path))
    yield opened
    opened.close()


def test_frames_are_read_in_any_order_less_32768(cube: RawCubeFile) -> None:
    pixels = cube.empty_frame()

    for frame in (4, 0, 2, 2):
        cube.read_frame(frame, pixels)
        assert np.array_equal(pixels, FRAMES[frame].astype(int) - 32768)


def test_reading_leaves_no_trace_in_the_files_times(path: Path, cube: RawCubeFile) -> None:
    os.utime(path, ns=(0, path.stat().st_mtime_ns))
    cube.read_frame(0, cube.empty_frame())

    assert path.stat().st_atime_ns == 0
    cube.check_unchanged()


@pytest.mark.parametrize("frame", [-1, 5])
def test_a_frame_that_the_cube_has_not_is_refused(cube: RawCubeFile, frame: int) -> None:
    with pytest.raises(IntegrityError, match=f"frame {frame} of 5"):
        cube.read_frame(frame, cube.empty_frame())


def test_neither_reading_nor_closing_leaves_many_pages_in_the_cache(tmp_path: Path) -> None:
    if not drops_pages(tmp_path):
        pytest.skip("this file system keeps its pages, as one in memory does")
    path = write_raw_cube(tmp_path, np.zeros((64, 512, 512), dtype=np.uint16))
    with path.open("rb") as file:
        os.fsync(file.fileno())
        cube = RawCubeFile(Beneath(path.parent), path.name, identity(path))
        for frame in range(64):
            cube.read_frame(frame, cube.empty_frame())
        while_open = cached_bytes(file.fileno())
        cube.close()

        assert while_open <= 2 * STEP_BYTES
        assert cached_bytes(file.fileno()) == 0


def test_a_file_that_shrinks_is_an_error_of_that_file(path: Path, cube: RawCubeFile) -> None:
    os.truncate(path, cube.header.data_offset + 30)

    cube.read_frame(0, cube.empty_frame())
    with pytest.raises(InputError, match="ends at byte 2910, 18 bytes too early") as caught:
        cube.read_frame(1, cube.empty_frame())
    assert caught.value.path == path.name
    with pytest.raises(IntegrityError, match="raw file changed"):
        cube.check_unchanged()


def test_a_read_error_is_an_error_of_that_file(path: Path, cube: RawCubeFile) -> None:
    unreadable = os.open("/proc/self/mem", os.O_RDONLY)  # nothing is mapped at its beginning
    os.dup2(unreadable, cube.descriptor)
    os.close(unreadable)

    with pytest.raises(InputError, match="Input/output error") as caught:
        cube.read_frame(1, cube.empty_frame())
    assert caught.value.path == path.name


@pytest.mark.parametrize("change", ["touched", "grown", "replaced", "gone", "a link"])
def test_another_file_than_the_recorded_one_is_refused(path: Path, change: str) -> None:
    recorded = identity(path)
    if change == "touched":
        os.utime(path, ns=(0, recorded.modified_ns + 1))
    elif change == "grown":
        os.truncate(path, recorded.size_bytes + 2880)
    elif change == "replaced":
        path.rename(path.with_name("old"))
        path.write_bytes(path.with_name("old").read_bytes())
        os.utime(path, ns=(0, recorded.modified_ns))
    else:
        path.rename(path.with_name("old"))
        if change == "a link":
            path.symlink_to("old")

    with pytest.raises(IntegrityError, match=r"raw file changed|the raw file is gone"):
        RawFile(Beneath(path.parent), path.name, recorded)


def test_a_cube_whose_size_is_not_its_headers_is_bad(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 2880)

    with pytest.raises(InputError, match="demands 5760"):
        RawCubeFile(Beneath(path.parent), path.name, identity(path))


@pytest.fixture
def unprivileged(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Somebody who may search the cube's folder, and owns nothing in it."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    monkeypatch.chdir(path.parent)
    path.parent.chmod(0o755)
    os.seteuid(65534)
    yield path
    os.seteuid(0)


def test_a_file_of_somebody_else_is_read_all_the_same(unprivileged: Path) -> None:
    os.seteuid(0)
    unprivileged.chmod(0o644)
    recorded = identity(unprivileged)
    os.seteuid(65534)

    file = RawFile(Beneath(Path()), unprivileged.name, recorded)

    assert len(file.read_all()) == recorded.size_bytes
    file.close()


def test_a_file_that_may_not_be_read_needs_an_operator(unprivileged: Path) -> None:
    os.seteuid(0)
    unprivileged.chmod(0o600)
    recorded = identity(unprivileged)
    os.seteuid(65534)

    with pytest.raises(OperatorError, match="Permission denied"):
        RawFile(Beneath(Path()), unprivileged.name, recorded)


def test_being_out_of_descriptors_says_nothing_about_the_file(path: Path) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        with pytest.raises(ResourceError, match="Too many open files"):
            RawFile(Beneath(path.parent), path.name, identity(path))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_refused_files_are_closed(path: Path) -> None:
    recorded = identity(path)
    os.utime(path, ns=(0, 0))
    before = len(list(Path("/proc/self/fd").iterdir()))

    for _ in range(3):
        with pytest.raises(IntegrityError):
            RawCubeFile(Beneath(path.parent), path.name, recorded)

    assert len(list(Path("/proc/self/fd").iterdir())) == before
