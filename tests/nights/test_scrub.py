"""Flipped bits in copies, here and at the far end: the daemon finds them all, and mends them."""

from __future__ import annotations

import os
import random
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.daemon_site import DATE, DaemonSite, Settings, make_site
from tests.support.sshd import running_sshd
from tests.support.trees import digests_of_tree
from tests.support.waiting import wait_until
from vampd.simulation.night import SimulatedNight
from vampd.simulation.scenes import both, polarimetry

_FLIPS = 10
_MOST_RAW = 2  # nothing mends them: few of many files are the cameras' own

_SCENES = (polarimetry("states", 60, cube_frames=both(20)),)

_SCRUB = """\
[scrub]
after_days = 0.00001
gb_per_day = 1000000.0
"""


def flip_one_bit(path: Path, chance: random.Random) -> None:
    """Change one bit of *path*, somewhere; its size and times stay, as when a disk rots."""
    times = path.stat()
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def own_files(site: DaemonSite) -> dict[str, str]:
    """Digests of what was delivered, here, by path."""
    far = digests_of_tree(site.far())
    here = digests_of_tree(site.night())
    return {path: here[path] for path in far if path in here}


def chosen(site: DaemonSite, chance: random.Random) -> tuple[list[Path], int]:
    """Ten copies at random, of a path one of the two at most; and how many are raw files."""
    night = site.night()
    raw = sorted(path for path in night.glob("vcam*/*.fits") if path.stat().st_size)
    some_raw = chance.sample(raw, chance.randrange(1, _MOST_RAW + 1))
    paths = chance.sample(sorted(own_files(site)), _FLIPS - len(some_raw))
    copies = [chance.choice([night, site.far()]) / path for path in paths]
    return [*some_raw, *copies], len(some_raw)


@pytest.mark.parametrize("by_ssh", [False, True], ids=["a folder here", "ssh"])
def test_ten_flipped_bits_are_found_and_mended_or_told(tmp_path: Path, *, by_ssh: bool) -> None:
    chance = random.Random(20251106 + by_ssh)
    with ExitStack() as stack:
        settings = Settings()
        if by_ssh:
            sshd = stack.enter_context(running_sshd(tmp_path / "sshd"))
            settings = Settings(host=f"{sshd.host}:", ssh_options=sshd.options)
        site = make_site(tmp_path / "site", settings)
        SimulatedNight(_SCENES, date=DATE).write(site.root())
        site.run()
        right = own_files(site)
        flipped, raw = chosen(site, chance)
        for path in flipped:
            flip_one_bit(path, chance)
        rotten = {path: path.read_bytes() for path in flipped}
        text = site.config.read_text() + _SCRUB
        site.config.write_text(
            text.replace("\ndestination", "\nreverify_days = 0.00001\ndestination")
        )

        with site.running():
            wait_until(lambda: is_mended(site, right, raw), site.log, every_seconds=0.2)

        kept = [*site.night().rglob("*.damaged-*"), *far_evidence(site)]
        assert sorted(path.read_bytes() for path in kept) == sorted(
            content
            for path, content in rotten.items()
            if path.parent.name not in {"vcam1", "vcam2"}
        )
        assert all(
            path.read_bytes() == content
            for path, content in rotten.items()
            if path.parent.name in {"vcam1", "vcam2"}
        )
        here = [path for path in flipped[raw:] if path.is_relative_to(site.night())]
        assert site.log().count(" was read again and is mended: ") == len(here)
        assert f"{raw} raw files are not what they were" in site.call("check").stdout


def is_mended(site: DaemonSite, right: dict[str, str], raw: int) -> bool:
    """Whether every copy is right again, and the raw files are in the log."""
    far = digests_of_tree(site.far())
    if own_files(site) != right or {path: far.get(path) for path in right} != right:
        return False
    return site.log().count("the cameras' file") >= raw and site.status() == "safe"


def far_evidence(site: DaemonSite) -> list[Path]:
    found = (site.far().parent / ".evidence" / DATE).rglob("*")
    return [path for path in found if path.is_file()]
