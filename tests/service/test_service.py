"""The unit under a real systemd, in a box: with a stand-in that does what systemd sees of vampd."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator

import pytest

from tests.support.systemd_box import CHECKOUT, Box, booted, soon

STATE = "/var/lib/vampd"

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(300)]

# The interpreter may lie in a home that only root may enter.
FURNISH = f"""
install -D -m 644 {CHECKOUT}/systemd/vampd.service $root/etc/systemd/system/vampd.service
install -D -m 644 {CHECKOUT}/systemd/vampd.sysusers $root/usr/lib/sysusers.d/vampd.conf
systemd-sysusers --root=$root
mkdir -p $root/etc/systemd/system/vampd.service.d $root/home/observer/.ssh $root/mnt/fuuu
chmod a+rx $root/root
chroot $root chown vampd /mnt/fuuu
echo "Host scexao6" >$root/home/observer/.ssh/config
cat >$root/etc/systemd/system/vampd.service.d/stand-in.conf <<END
[Service]
ExecStart=
ExecStart={sys.executable} {CHECKOUT}/tests/rigs/stand_in.py
WatchdogSec=2s
RestartSec=1s
END
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A machine with the unit installed, and not started."""
    furnish = tmp_path_factory.mktemp("box") / "furnish"
    furnish.write_text(FURNISH)
    with booted("stand-in", furnish) as box:
        yield box


@pytest.fixture
def box(machine: Box) -> Iterator[Box]:
    yield machine
    machine.run("systemctl", "stop", "vampd")
    machine.run("rm", "-f", f"{STATE}/wrong", f"{STATE}/hang")
    machine.run("systemctl", "reset-failed", "vampd")


def test_starting_ends_when_the_service_is_ready(box: Box) -> None:
    started = box.rig("run", "systemctl", "start", "vampd")

    assert started.returncode == 0, box.journal("-u", "vampd")
    assert box.shows("ActiveState") == "active"
    assert "ready" in box.journal("-u", "vampd")


def test_the_journal_finds_a_night_by_its_field(box: Box) -> None:
    box.run("systemctl", "start", "vampd")

    assert "ready" in box.journal("NIGHT=20251106", "STAGE=build", "FILE=x.fits")
    assert box.journal("NIGHT=20251107") == ""


def test_the_restrictions_leave_what_vampd_needs_and_no_more(box: Box) -> None:
    box.run("systemctl", "start", "vampd")

    seen = json.loads(box.run("cat", f"{STATE}/seen.json"))
    assert seen["home"] == STATE
    assert seen["writes"] == {
        "/mnt/fuuu": True,
        "/etc": False,
        "/home": False,
        STATE: True,
        "/var/cache/vampd": True,
    }
    assert seen["reads_home"] == "Host scexao6\n"
    assert seen["niceness_of_a_worker"] == 19
    assert seen["oom_score_adjust"] == 500
    assert seen["user"] != 0
    assert seen["rice_bytes"] > 0
    assert seen["exit_code_of_a_program"] == 0


def test_a_service_that_hangs_is_killed_and_started_again(box: Box) -> None:
    box.run("systemctl", "start", "vampd")
    before = box.shows("MainPID")

    box.run("touch", f"{STATE}/hang")
    was_killed = soon(lambda: box.shows("MainPID") != before)
    box.run("rm", f"{STATE}/hang")

    assert was_killed
    assert "Watchdog timeout" in box.journal("-u", "vampd")
    assert soon(lambda: box.shows("ActiveState") == "active")


def test_a_killed_service_is_started_again(box: Box) -> None:
    box.run("systemctl", "start", "vampd")
    before = box.shows("MainPID")

    box.run("kill", "-9", before)

    assert soon(lambda: box.shows("ActiveState") == "active" and box.shows("MainPID") != before)


def test_a_wrong_configuration_is_not_tried_again(box: Box) -> None:
    box.run("mkdir", "-p", STATE)
    box.run("touch", f"{STATE}/wrong")

    started = box.rig("run", "systemctl", "start", "vampd")
    time.sleep(2)  # twice RestartSec

    assert started.returncode != 0
    assert (box.shows("ActiveState"), box.shows("ExecMainStatus")) == ("failed", "78")
    assert box.shows("NRestarts") == "0"


def test_a_disk_that_is_mounted_later_is_seen_and_one_that_goes_too(box: Box) -> None:
    box.run("systemctl", "start", "vampd")
    before = soon(lambda: box.shows("StatusText") == "sees nothing")

    box.run("mount", "-t", "tmpfs", "tmpfs", "/mnt/fuuu")
    box.run("mkdir", "/mnt/fuuu/20251106")
    came = soon(lambda: box.shows("StatusText") == "sees 20251106")
    unmounted = box.rig("run", "umount", "/mnt/fuuu")
    went = soon(lambda: box.shows("StatusText") == "sees nothing")

    assert (before, came) == (True, True)
    assert unmounted.returncode == 0, unmounted.stderr
    assert went


def test_stopping_takes_no_time(box: Box) -> None:
    box.run("systemctl", "start", "vampd")
    began = time.monotonic()

    box.run("systemctl", "stop", "vampd")

    assert time.monotonic() - began < 5
    assert box.shows("ActiveState") == "inactive"
