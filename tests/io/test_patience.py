"""Who asks after a disk that hangs gets no answer, and goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hung_disk import hanging_disk
from vampd.io.patience import Inquiry

_MS = 1_000_000


def in_ms(milliseconds: int) -> int:
    return time.monotonic_ns() + milliseconds * _MS


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[Path]:
    with hanging_disk(tmp_path / "hanging") as folder:
        yield folder


def test_an_answer_comes_as_soon_as_it_is_there() -> None:
    inquiry = Inquiry(lambda: {"free_bytes": 17})

    assert inquiry.answer(until_ns=in_ms(30_000)) == {"free_bytes": 17}
    assert inquiry.answer(until_ns=0) == {"free_bytes": 17}, "the first call decides"


def test_a_question_that_fails_has_no_answer() -> None:
    inquiry = Inquiry(lambda: os.statvfs("/nowhere"))

    assert inquiry.answer(until_ns=in_ms(30_000)) is None


def test_a_long_answer_comes_whole() -> None:
    inquiry = Inquiry(lambda: "x" * 1_000_000)

    assert inquiry.answer(until_ns=in_ms(30_000)) == "x" * 1_000_000


def test_a_disk_that_hangs_costs_no_more_than_the_patience_for_it(hanging: Path) -> None:
    began_ns = time.monotonic_ns()
    inquiry = Inquiry(lambda: os.statvfs(hanging).f_bavail)

    answer = inquiry.answer(until_ns=in_ms(200))

    assert answer is None
    assert time.monotonic_ns() - began_ns < 5_000 * _MS


def test_nobody_is_left_behind_who_waits_for_a_disk(hanging: Path) -> None:
    """The process that asks ends, though the one that it asked hangs in the kernel."""
    program = (
        "import os, time\n"
        "from vampd.io.patience import Inquiry\n"
        f"inquiry = Inquiry(lambda: os.listdir({str(hanging)!r}))\n"
        "print(inquiry.answer(until_ns=time.monotonic_ns() + 100_000_000))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )

    assert done.stdout == "None\n"
