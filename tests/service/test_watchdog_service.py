"""The watchdog under a real systemd: sandboxed, as the daemon's user, it mails a silence once."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.support.systemd_box import CHECKOUT, Box, booted, soon

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(300)]

_VAMPD = f"{sys.executable} -m vampd"
_POST = "/var/tmp/post"

# The interpreter may lie in a home that only root may enter.
FURNISH = f"""
for each in vampd-watchdog.service vampd-watchdog.timer; do
    install -D -m 644 {CHECKOUT}/systemd/$each $root/etc/systemd/system/$each
done
install -D -m 644 {CHECKOUT}/systemd/vampd.sysusers $root/usr/lib/sysusers.d/vampd.conf
systemd-sysusers --root=$root
chmod a+rx $root/root
mkdir -p $root/etc/systemd/system/vampd-watchdog.service.d $root/etc/vampd $root/mnt/fuuu
cat >$root/etc/systemd/system/vampd-watchdog.service.d/here.conf <<END
[Service]
ExecStart=
ExecStart={_VAMPD} check --alert
WorkingDirectory={CHECKOUT}
END
cat >$root/etc/vampd/vampd.toml <<END
[[roots]]
kind = "engineering"
path = "/mnt/fuuu"
[delivery.engineering]
destination = "/srv/copy"
[mail]
host = "127.0.0.1"
port = 2525
sender = "vampd@example.org"
[alerts]
recipients = ["operator@example.org"]
END
"""

_LEDGER = """
from pathlib import Path
from vampd.io.clock import SystemClock
from vampd.ledger.connection import open_ledger
ledger = open_ledger(Path("/var/lib/vampd"), version="0", clock=SystemClock())
ledger.insert("daemon", started_us=1, pid=1, version="0", heard_us=ledger.now_us() - 3600000000)
ledger.close()
"""


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A machine with the watchdog, a mail server, and a ledger whose daemon is silent."""
    furnish = tmp_path_factory.mktemp("box") / "furnish"
    furnish.write_text(FURNISH)
    with booted("watchdog", furnish) as box:
        box.must("install", "-d", "-o", "vampd", "-g", "vampd", "/var/lib/vampd")
        box.must(
            *("systemd-run", "--unit=post", sys.executable, "-m", "aiosmtpd", "--nosetuid"),
            *("--listen", "127.0.0.1:2525", "--class", "aiosmtpd.handlers.Mailbox", _POST),
        )
        box.must(
            *("systemd-run", "--wait", "--uid=vampd", f"--working-directory={CHECKOUT}"),
            *(sys.executable, "-c", _LEDGER),
        )
        yield box


def _mails(box: Box) -> int:
    return len(box.run("find", f"{_POST}/new", "-type", "f").splitlines())


def test_a_silence_is_mailed_once_and_is_no_failure_of_the_unit(box: Box) -> None:
    assert soon(lambda: "LISTEN" in box.run("ss", "-ltn", "sport", "=", "2525"))

    done = [box.rig("run", "systemctl", "start", "vampd-watchdog.service") for _ in range(2)]

    said = box.journal("-u", "vampd-watchdog")
    assert [each.returncode for each in done] == [0, 0], said
    assert "VAMPD CRITICAL - the daemon was last heard of" in said
    assert _mails(box) == 1
    assert box.run("stat", "--format=%U", "/var/lib/vampd/watchdog.json") == "vampd"


def test_the_timer_asks_by_itself(box: Box) -> None:
    box.must("systemctl", "start", "vampd-watchdog.timer")

    assert "vampd-watchdog.service" in box.run("systemctl", "list-timers", "--no-pager")
