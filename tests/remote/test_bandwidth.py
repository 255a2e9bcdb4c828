"""How much may be sent a second depends on the time of day at the telescope."""

from __future__ import annotations

import shlex
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.far_side import liar, lie, local_side
from vampd.remote.bandwidth import Window, limit_at
from vampd.stages import transfer
from vampd.time_units import HST

NIGHT = Window.parse("18:00-06:00 20000")
MORNING = Window.parse("06:00-08:30 0")


def at(text: str) -> int:
    """The time of day *text* in Hawaii, microseconds UTC."""
    moment = datetime.strptime(f"20251106 {text}", "%Y%m%d %H:%M").replace(tzinfo=HST)
    return round(moment.astimezone(UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("when", "kib_per_second"),
    [
        ("17:59", 500),
        ("18:00", 20_000),
        ("00:00", 20_000),
        ("05:59", 20_000),
        ("06:00", 0),
        ("08:29", 0),
        ("08:30", 500),
    ],
)
def test_the_window_that_holds_in_hawaii_counts(when: str, kib_per_second: int) -> None:
    assert limit_at([NIGHT, MORNING], 500, at(when)) == kib_per_second


def test_the_first_of_two_counts_and_equal_ends_are_all_day() -> None:
    every = Window.parse("12:00-12:00 7")

    assert limit_at([NIGHT, every], 500, at("20:00")) == 20_000
    assert limit_at([NIGHT, every], 500, at("11:59")) == 7


def test_rsync_is_held_to_what_holds_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    far = local_side(tmp_path)
    far.add("vgen2/vsync.fits.fz", b"x" * 300)
    words = tmp_path / "words"
    script = f'printf "%s\\n" "$@" >>{shlex.quote(str(words))}; exec {shutil.which("rsync")} "$@"'
    lie(monkeypatch, liar(tmp_path / "programs", "rsync", script))
    job = replace(far.transfer_job(), bandwidth_by_time=[Window.parse("12:00-12:00 150")])

    transfer.work(job)

    limits = [word for word in words.read_text().splitlines() if word.startswith("--bwlimit")]
    assert set(limits) == {"--bwlimit=150"}
    assert (far.arrived / "vgen2/vsync.fits.fz").read_bytes() == b"x" * 300


@pytest.mark.parametrize("text", ["18-06 5", "24:00-06:00 5", "18:00-06:00", "18:00-06:00 x", ""])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=text or "^$"):
        Window.parse(text)
