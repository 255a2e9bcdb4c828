"""The night's paper of frame IDs: lines are whole or not there, and stay as they were written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from vampd.errors import IntegrityError, NotPlainError
from vampd.io import number_papers
from vampd.io.beneath import Beneath, night_folder
from vampd.io.number_papers import MARK, PAPER, append, read, read_mark, write_mark

LINES: list[dict[str, Any]] = [
    {"do": "bind", "number": "VMPA00425189", "batch": 1, "content": "a" * 64, "name": "vsync_x"},
    {"do": "came", "request": 7, "text": 'a "strange" line, \\ and ü'},
]


@pytest.fixture
def night(tmp_path: Path) -> Beneath:
    (tmp_path / "20251106").mkdir()
    return night_folder(tmp_path / "20251106")


def test_what_was_written_is_read(night: Beneath) -> None:
    assert read(night) == []

    append(night, LINES[:1])
    append(night, LINES[1:])
    append(night, [])

    assert read(night) == LINES


@pytest.mark.parametrize("kept", [1, 20, 60])
def test_a_line_that_was_torn_costs_itself_and_no_other(night: Beneath, kept: int) -> None:
    append(night, LINES[:1])
    path = night.path / PAPER
    whole = path.read_bytes()
    append(night, LINES[1:])
    path.write_bytes(whole + path.read_bytes()[len(whole) :][:kept])

    append(night, LINES[1:])

    assert read(night) == LINES


def test_a_line_that_was_changed_is_told(night: Beneath) -> None:
    append(night, LINES)
    path = night.path / PAPER
    path.write_text(path.read_text().replace("VMPA00425189", "VMPA00425188"))

    with pytest.raises(IntegrityError, match=r"frame_ids\.jsonl, line 1: not as it was written"):
        read(night)


def test_a_pipe_under_its_name_is_not_waited_for(night: Beneath) -> None:
    (night.path / ".vampd").mkdir()
    os.mkfifo(night.path / PAPER)

    for touch in (lambda: read(night), lambda: append(night, LINES)):
        with pytest.raises(NotPlainError, match="a pipe"):
            touch()


def test_a_mark_only_rises(tmp_path: Path) -> None:
    assert read_mark(tmp_path) == 0

    write_mark(tmp_path, 425_189)
    write_mark(tmp_path, 425_100)

    assert read_mark(tmp_path) == 425_189
    assert (tmp_path / MARK).read_text().startswith("VMPA00425189\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == [MARK]


def test_a_writer_of_the_mark_that_was_killed_is_in_nobodys_way(tmp_path: Path) -> None:
    write_mark(tmp_path, 1)
    (tmp_path / f"{MARK}.scratch").write_text("VMPA0")

    write_mark(tmp_path, 2)

    assert read_mark(tmp_path) == 2


def test_a_mark_that_cannot_be_understood_is_no_mark_of_zero(tmp_path: Path) -> None:
    (tmp_path / MARK).write_text("the highest is 425189\n")

    with pytest.raises(IntegrityError, match="is no frame ID"):
        number_papers.write_mark(tmp_path, 425_190)
