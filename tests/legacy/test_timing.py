"""A timing file that was written anew is told from the logger's own, in whatever hands."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.incumbent import _write_anew
from tests.support.reference_night import needs_reference_night, reference_night
from vampd.simulation.night import reference_night as simulated
from vampd.watch.incumbent_timing import START_BYTES, is_rewritten

_COMMENTS = b"# Telemetry stream timing data \n# \n# col1 : datacube frame index\n"


def _rows(since_ns: list[int]) -> bytes:
    lines = [
        f"{number:10d}  {number:10d}  {ns / 1e9:15.9f}   {1.7624058e9 + ns / 1e9:20.9f}"
        f"  {1762405800.5:17.6f}   {number:10d}   {0:10d}\n"
        for number, ns in enumerate(since_ns)
    ]
    return "".join(lines).encode()


def test_the_simulated_logger_s_files_are_its_own_and_written_anew_they_are_not(
    tmp_path: Path,
) -> None:
    simulated(date="20251106").write(tmp_path)
    paths = sorted((tmp_path / "20251106").glob("vcam?/*.txt"))
    before = [is_rewritten(path.read_bytes()[:START_BYTES]) for path in paths]

    for path in paths:
        _write_anew(path)

    after = [is_rewritten(path.read_bytes()[:START_BYTES]) for path in paths]
    assert len(paths) > 40
    assert not any(before)
    assert all(after)


@needs_reference_night
def test_the_reference_night_s_files_are_the_logger_s_own() -> None:
    paths = list(reference_night().glob("vcam?/*.txt"))

    assert len(paths) == 51
    assert not any(is_rewritten(path.read_bytes()[:START_BYTES]) for path in paths)


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=40))
def test_blanks_at_the_ends_of_comments_are_the_logger_s(since_ns: list[int]) -> None:
    assert not is_rewritten(_COMMENTS + _rows([ns - ns % 250 for ns in since_ns]))


@given(st.lists(st.integers(1, 10**9 - 500), min_size=3, max_size=40))
def test_without_comments_the_steps_of_the_times_decide(since_ns: list[int]) -> None:
    assert is_rewritten(_rows([0, *(ns - ns % 250 + 250 for ns in since_ns)]))
    assert not is_rewritten(_rows([0, *(ns - ns % 250 + 1 for ns in since_ns)]))


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"# \n", b"no rows\n", b"1 2 3 4 5 6 7\n"])
def test_what_is_no_timing_file_was_not_written_anew(content: bytes) -> None:
    assert not is_rewritten(content)
