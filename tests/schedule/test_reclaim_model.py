"""No raw file goes before its time, whatever goes wrong: a hundred thousand steps of it."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import reclaim_story
from tests.support.reclaim_world import template_ledger

_MEMORY = Path("/dev/shm")


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where there is such a place: 10^5 steps sync a million times."""
    if not _MEMORY.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=_MEMORY) as folder:
        yield Path(folder)


@pytest.mark.timeout(300)  # 20 s of a processor, which others may want too
def test_raw_files_go_only_when_all_holds_and_in_the_end_all_go(
    memory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, logger="vampd")
    template = template_ledger(memory / "template")

    seen = reclaim_story.run(memory, template, seed=20251106, steps=100_000)
    template.close()

    assert seen["reclaimed"] == 2 * seen["worlds"]
    for what in ("decided move raw", "decided unlink raw", "crash", "undelete", "settle done"):
        assert seen[what] > 100, seen
