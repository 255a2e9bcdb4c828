from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.page_cache import cached_bytes, drops_pages
from vampd.io.cache import STEP_BYTES, ReadBehind, WriteBehind, forget


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path / "x", os.O_RDWR | os.O_CREAT)
    if not drops_pages(tmp_path):
        pytest.skip("this file system keeps its pages, as one in memory does")
    yield opened
    os.close(opened)


def write(descriptor: int, size: int) -> None:
    os.pwrite(descriptor, b"x" * size, os.fstat(descriptor).st_size)


def test_a_writer_that_is_watched_leaves_few_pages_behind(descriptor: int) -> None:
    behind = WriteBehind(descriptor, 0)
    for _ in range(10):
        write(descriptor, STEP_BYTES)
        behind.advance(os.fstat(descriptor).st_size)

    assert cached_bytes(descriptor) <= 2 * STEP_BYTES


def test_a_reader_that_is_watched_leaves_few_pages_behind(descriptor: int) -> None:
    write(descriptor, 6 * STEP_BYTES)
    os.fsync(descriptor)
    assert cached_bytes(descriptor) == 6 * STEP_BYTES
    behind = ReadBehind(descriptor)

    for step in range(1, 7):
        os.pread(descriptor, STEP_BYTES, (step - 1) * STEP_BYTES)
        behind.advance(step * STEP_BYTES - 1)

    assert cached_bytes(descriptor) <= 2 * STEP_BYTES


def test_a_synchronised_file_is_forgotten_whole(descriptor: int) -> None:
    write(descriptor, STEP_BYTES + 1)
    os.fsync(descriptor)

    forget(descriptor)

    assert cached_bytes(descriptor) == 0


def test_a_writer_begins_where_it_is_told(descriptor: int) -> None:
    os.ftruncate(descriptor, 3 * STEP_BYTES + 100)
    behind = WriteBehind(descriptor, 2 * STEP_BYTES + 100)
    write(descriptor, 1)

    behind.advance(3 * STEP_BYTES + 101)

    assert behind.written_to == 2 * STEP_BYTES + 100


def test_a_pipe_has_no_ranges_and_that_is_no_error() -> None:
    reader, writer = os.pipe()

    WriteBehind(writer, 0).advance(STEP_BYTES)

    os.close(reader)
    os.close(writer)


def test_a_failed_write_back_is_told(descriptor: int) -> None:
    behind = WriteBehind(descriptor, 0)
    behind.descriptor = 999

    with pytest.raises(OSError, match="Bad file descriptor"):
        behind.advance(STEP_BYTES)
