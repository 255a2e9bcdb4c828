"""The live view shows what the cameras are writing, and what is amiss with it."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.daemon_site import DATE, DaemonSite, make_site
from tests.support.raw_cubes import write_raw_cube

STEM = "vcam1_05:10:00.000000000"
LATER = "vcam1_05:11:00.000000000"


@pytest.fixture
def site(tmp_path: Path) -> DaemonSite:
    site = make_site(tmp_path)
    frames = [np.full((4, 6), number, np.uint16) for number in range(5)]
    for stem in (STEM, LATER):
        write_raw_cube(site.night(), frames, stem=stem)
    return site


def _camera(site: DaemonSite, number: int = 1) -> dict[str, Any]:
    seen: dict[str, Any] = site.json("watch")["cameras"][number - 1]
    return seen


def _cube(site: DaemonSite, stem: str) -> dict[str, Any]:
    [cube] = [cube for cube in _camera(site)["newest"] if stem in cube["path"]]
    return dict(cube)


def test_the_newest_cubes_come_first_with_their_shape_and_target(site: DaemonSite) -> None:
    old = site.night() / f"vcam1/{LATER}.fits"
    os.utime(old, ns=(0, old.stat().st_mtime_ns - 10**10))

    camera = _camera(site)

    assert [cube["path"] for cube in camera["newest"]] == [
        f"vcam1/{STEM}.fits",
        f"vcam1/{LATER}.fits",
    ]
    assert (camera["cubes"], camera["bytes_per_second"] > 0) == (2, True)
    cube = camera["newest"][0]
    assert (cube["width"], cube["height"], cube["frames"]) == (6, 4, 5)
    assert cube["size_bytes"] == cube["expected_bytes"] == old.stat().st_size
    assert "OBJECT" in cube["cards"]


def test_a_cube_that_is_still_growing_says_how_far_it_is(site: DaemonSite) -> None:
    path = site.night() / f"vcam1/{STEM}.fits"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 2880])

    said = site.call("watch", "--once").stdout

    assert f"{100 * (len(content) - 2880) // len(content)} % written" in said


def test_a_missing_timing_file_is_told(site: DaemonSite) -> None:
    (site.night() / f"vcam1/{STEM}.txt").unlink()

    camera, said = _camera(site), site.call("watch", "--once").stdout

    assert camera["without_timing"] == [f"vcam1/{STEM}.fits"]
    assert "no timing file" in said


def test_a_cube_under_the_logger_s_own_name_is_being_written(site: DaemonSite) -> None:
    (site.night() / f"vcam1/{STEM}.fits").rename(site.night() / f"vcam1/{STEM}.fits.12.34.tmp")

    camera, said = _camera(site), site.call("watch", "--once").stdout

    assert (camera["cubes"], _cube(site, STEM)["is_temporary"]) == (1, True)
    assert "being written" in said


def test_the_newest_night_of_all_roots_is_watched_before_any_daemon_saw_it(
    site: DaemonSite,
) -> None:
    later = site.root("engineering") / "20251107" / "vcam2"
    later.mkdir(parents=True)

    assert site.json("watch")["folder"] == str(later.parent)
    assert site.json("watch", "--kind", "archive")["folder"] == str(site.night())


def test_settling_and_lost_frames_come_from_the_ledger(site: DaemonSite) -> None:
    timing = site.night() / f"vcam1/{STEM}.txt"
    lines = timing.read_text().splitlines()
    words = lines[-1].split()
    words[5] = str(int(words[5]) + 7)
    timing.write_text("\n".join([*lines[:-1], " ".join(words)]) + "\n")

    site.run()
    known = site.json("watch", DATE)["ledger"]["1"]

    assert known == {"cubes": {"whole": 2}, "lost_frames": 7}


def test_without_a_terminal_it_says_how_to_ask(site: DaemonSite) -> None:
    refused = site.call("watch")

    assert refused.returncode == 64
    assert "--once" in refused.stderr


def test_on_a_terminal_it_looks_again_and_ends_with_ctrl_c(site: DaemonSite) -> None:
    ours, theirs = pty.openpty()
    watching = subprocess.Popen(
        site.words("watch"), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    seen = _read_until(ours, STEM)
    new = "vcam1_05:12:00.000000000"
    write_raw_cube(site.night(), [np.zeros((4, 6), np.uint16)], stem=new)

    seen += _read_until(ours, new)
    watching.send_signal(signal.SIGINT)
    _read_until(ours, "")

    assert watching.wait(timeout=20) == 0
    assert seen.index(STEM) < seen.index(new)


def _read_until(terminal: int, text: str, seconds: float = 30) -> str:
    """What the terminal shows, up to *text*; to its end where that is empty."""
    seen, deadline = "", time.monotonic() + seconds
    while not text or text not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"{text} was not shown: {seen[-500:]}"
        try:
            chunk = os.read(terminal, 65536)
        except OSError:
            return seen
        if not chunk:
            return seen
        seen += chunk.decode(errors="replace")
    return seen
