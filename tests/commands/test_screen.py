"""Colours and signs only where a person looks; the same times everywhere."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.support.ledger_site import Site
from vampd.commands.screen import duration_text, paragraph, size_text, time_json, time_text
from vampd.states import Kind, Stage

_ESCAPE = "\x1b["


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    night = site.night("20251106", "failed")
    site.stages(night, Kind.ARCHIVE, Stage.VERIFY)
    return site


def on_a_terminal(site: Site, columns: int = 80, **environment: str) -> str:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    command = [sys.executable, "-m", "vampd", "--config", str(site.config), "status"]
    variables = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TERM": "xterm"}
    with subprocess.Popen(command, stdout=theirs, env=variables | environment):
        os.close(theirs)
        said = b""
        try:
            while chunk := os.read(ours, 65536):
                said += chunk
        except OSError:  # how Linux says that the other end is closed
            pass
    os.close(ours)
    return said.decode()


def test_a_terminal_gets_signs_and_colours(site: Site) -> None:
    said = on_a_terminal(site)

    assert "✓" in said
    assert _ESCAPE in said


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colours_where_they_are_not_wanted(site: Site, variable: dict[str, str]) -> None:
    said = on_a_terminal(site, 80, **variable)

    assert "20251106 failed" in said
    assert _ESCAPE not in said


def test_a_terminal_without_unicode_gets_words(site: Site) -> None:
    said = on_a_terminal(site, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")

    assert said.isascii()
    assert "done" in said


def test_a_wide_terminal_is_used_and_a_pipe_is_as_wide_as_columns_says(site: Site) -> None:
    wide, narrow = on_a_terminal(site, columns=120), on_a_terminal(site, columns=80)
    command = [sys.executable, "-m", "vampd", "--config", str(site.config), "status"]
    piped = {
        columns: subprocess.run(
            command,
            env=os.environ | {"COLUMNS": columns},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for columns in ("80", "120")
    }

    assert ["raw  what" in said for said in (wide, narrow)] == [True, False]
    assert ["raw  what" in piped[columns] for columns in ("80", "120")] == [False, True]


def test_times_name_their_zones_and_utc_comes_first() -> None:
    us = 1_762_405_200_123_456

    assert time_text(us) == "2025-11-06 05:00:00 UT (2025-11-05 19:00 HST)"
    assert time_json(us) == "2025-11-06T05:00:00.123456Z"
    assert time_json(None) is None


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (999_600, "1 MB"), (2_345_678_901, "2.35 GB")],
)
def test_sizes_have_three_digits(size_bytes: int, text: str) -> None:
    assert size_text(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.5, "2.5 s"), (600, "10 min"), (7200, "2.0 h"), (864_000, "10 days")]
)
def test_durations_have_the_unit_that_fits(seconds: float, text: str) -> None:
    assert duration_text(int(seconds * 1e6)) == text


def test_a_paragraph_keeps_its_lines_and_the_width() -> None:
    said = paragraph("what  ", "first\n" + "word " * 30)

    lines = said.splitlines()
    assert lines[0] == "what  first"
    assert all(line.startswith("      word") for line in lines[1:])
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    "command",
    [
        "vampd release 20251106 --kind engineering",
        "vampd abandon 20251106 --why TEXT",
        "vampd archive ids adopt 20251106 FIRST..LAST --why TEXT",
        "vampd retry 20251106 --from sync -y",
        "vampd archive manifest 20251101..20251106 --send",
        "vampd admin doctor",
    ],
)
def test_a_command_is_never_broken_and_prose_is(command: str) -> None:
    for filler in range(60):
        lines = paragraph("next ", f"{'x' * filler} then: {command}; or wait").splitlines()
        assert any(command in line for line in lines), lines
        assert max(map(len, lines)) <= 80

    prose = "vampd never writes raw files; what was built of the old one is kept over there"
    assert paragraph("", prose, 40).splitlines()[0] == "vampd never writes raw files; what was"
