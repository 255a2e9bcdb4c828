"""The real thing: install.sh and the daemon on a machine with systemd, in a box, as in README.

The tests tell one story, in their order: installed, started, killed, stopped, upgraded, removed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.systemd_box import Box, booted, copy_checkout, soon
from vampd import __version__

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(600)]

NIGHTS = "/mnt/fuuu/ARCHIVED_DATA"
FAR = "/home/far/tier1/2_ARCHIVED_DATA"
NEWER = "9.9.9"

_AS_VAMPD = ("setpriv", "--reuid", "vampd", "--regid", "vampd", "--clear-groups")
_SETTLES = "settle_seconds = 0.2\nquiet_minutes = 0.01\ngrace_minutes = 0\nscan_seconds = 1"

# The cameras' disk, another account for the far end with an sshd, and an interpreter for everyone.
FURNISH = f"""
mkdir -p $root{NIGHTS} $root/run/sshd
chroot $root useradd --create-home --password '*' far
chroot $root mkdir -p {FAR}
chroot $root chown -R far: /home/far
ssh-keygen -q -t ed25519 -N '' -f $root/etc/far_host_key
cat >$root/etc/far_sshd_config <<END
Port 2222
HostKey /etc/far_host_key
PidFile none
END
cat >$root/etc/systemd/system/far.service <<END
[Service]
RuntimeDirectory=sshd
ExecStart=/usr/sbin/sshd -D -f /etc/far_sshd_config
END
printf '[global]\\nno-index = true\\nfind-links = /srv/wheels\\n' >$root/etc/pip.conf
rm -rf $root/root/.config/pip
"""

# As in README: the service user's own key, and the far host's, known beforehand.
KEYS = f"""
set -eu
{" ".join(_AS_VAMPD)} ssh-keygen -q -t ed25519 -N '' -f /var/lib/vampd/.ssh/id_ed25519
install -d -o far -g far -m 700 /home/far/.ssh
install -o far -g far -m 600 /var/lib/vampd/.ssh/id_ed25519.pub /home/far/.ssh/authorized_keys
echo "[127.0.0.1]:2222 $(cut -d ' ' -f 1,2 /etc/far_host_key.pub)" >/var/lib/vampd/.ssh/known_hosts
chown vampd:vampd /mnt/fuuu {NIGHTS}
"""


def make_newer(source: Path, folder: Path, version: str) -> Path:
    """The same with another version, and with a migration more."""
    subprocess.run(["cp", "-a", source, folder], check=True, timeout=60)
    package = folder / "vampd" / "__init__.py"
    package.write_text(package.read_text().replace(f'"{__version__}"', f'"{version}"'))
    migration = folder / "migrations" / f"9{version.replace('.', '')}_later.sql"
    table = f"later_{version.replace('.', '_')}"
    migration.write_text(f"create table {table} (id integer primary key) strict;\n")
    return folder


def fetch_wheels(source: Path, folder: Path) -> None:
    """What pip will need in the box, which has no network."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder)]
    for lock in ("build", "requirements"):
        locked = [
            "--require-hashes",
            "--no-deps",
            "-r",
            str(source / "config" / "lock" / f"{lock}.txt"),
        ]
        subprocess.run([*command, *locked], check=True, timeout=300)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """Checkouts lie there of this version, a newer one, and one whose daemon does not start."""
    folder = tmp_path_factory.mktemp("box")
    this = copy_checkout(folder / "this")
    make_newer(this, folder / "newer", NEWER)
    broken = make_newer(this, folder / "broken", "9.9.10")
    fetch_wheels(this, folder / "wheels")
    with (broken / "vampd" / "daemon.py").open("a") as daemon:
        daemon.write("\nraise SystemExit(3)\n")
    furnish = folder / "furnish"
    furnish.write_text(f"{FURNISH}\ncd {folder}\nmv this newer broken wheels $root/srv/\n")
    with booted("installed", furnish) as box:
        box.must("systemctl", "start", "far")
        yield box


def install(box: Box, source: str, *options: str) -> subprocess.CompletedProcess[str]:
    return box.rig("run", f"/srv/{source}/systemd/install.sh", *options, seconds=300)


def write_settings(box: Box, text: str) -> None:
    box.must("sh", "-c", 'printf "%s" "$1" >/etc/vampd/vampd.toml', "sh", text)


def night(box: Box, date: str) -> dict[str, Any]:
    """The night as `vampd status` tells it; nothing while the ledger does not know it."""
    said = box.run("vampd", "status", date, "--json")
    found: list[dict[str, Any]] = json.loads(said)["nights"] if said else []
    return found[0] if found else {"status": "unknown"}


def simulate(box: Box, date: str) -> None:
    """Two cameras write a night, as the service's user, for whom the folders are."""
    box.must(*_AS_VAMPD, "vampd", "admin", "simulate", NIGHTS, "--date", date)


def is_safe(box: Box, date: str, *, seconds: float = 120) -> bool:
    return soon(lambda: night(box, date)["status"] == "safe", seconds=seconds)


def test_one_command_installs_it_and_a_second_changes_nothing(box: Box) -> None:
    first = install(box, "this")
    again = install(box, "this")

    assert first.returncode == again.returncode == 0, first.stderr + again.stderr
    done = [line for line in again.stdout.splitlines() if line.startswith("+")]
    assert [line for line in done if "systemd-" not in line] == []
    assert box.run("vampd", "--version") == f"vampd {__version__}"
    assert box.run("stat", "-c", "%U %a", "/var/lib/vampd/.ssh") == "vampd 700"
    assert box.shows("ActiveState") == "inactive"


def test_with_settings_and_keys_the_doctor_has_no_complaint(box: Box) -> None:
    shipped = box.must("cat", "/etc/vampd/vampd.toml")
    assert "settle_seconds" in shipped
    write_settings(
        box,
        f"""
[[roots]]
kind = "archive"
path = "{NIGHTS}"
[night]
{_SETTLES}
[frame_ids]
first = 425189
[delivery.archive]
destination = "far@127.0.0.1:{FAR}"
[ssh]
options = ["-p", "2222"]
[hooks]
after_safe = [["echo", "{{night}} is safe"]]
""",
    )
    box.must("sh", "-c", KEYS)

    said = box.must(*_AS_VAMPD, "env", "HOME=/var/lib/vampd", "vampd", "admin", "doctor", "--json")

    assert [each for each in json.loads(said)["findings"] if each["state"] == "bad"] == []


def test_a_night_becomes_safe_under_the_hardened_unit(box: Box) -> None:
    simulate(box, "20251106")

    started = box.rig("run", "systemctl", "enable", "--now", "vampd")

    assert started.returncode == 0, box.journal("-u", "vampd")
    assert is_safe(box, "20251106"), box.journal("-u", "vampd")
    box.must(*_AS_VAMPD, "vampd", "data", "audit", "20251106", "--digests")
    box.must(
        *_AS_VAMPD, "env", "HOME=/var/lib/vampd", "vampd", "data", "verify", "20251106", "--full"
    )


def test_members_of_the_group_read_and_order_and_others_can_not_even_lock(box: Box) -> None:
    box.must("useradd", "observer")
    box.must("useradd", "stranger")
    box.must("usermod", "-aG", "vampd", "observer")

    read = json.loads(box.must("runuser", "-u", "observer", "--", "vampd", "status", "--json"))
    box.must(
        "runuser", "-u", "observer", "--", "vampd", "space", "keep", "20251106", "--why", "mine"
    )
    box.must("runuser", "-u", "observer", "--", "vampd", "space", "keep", "--no", "20251106")
    refused = box.rig("run", "runuser", "-u", "stranger", "--", "vampd", "status")

    assert [each["status"] for each in read["nights"]] == ["safe"]
    assert "observer" in box.must("vampd", "log", "20251106")
    assert refused.returncode == 1
    assert "sudo usermod -aG vampd stranger" in refused.stderr
    assert "`sudo -u vampd` before the command" in refused.stderr
    assert box.run("stat", "-c", "%U %a", "/var/lib/vampd") == "vampd 700"
    assert box.run("stat", "-c", "%U %G %a", "/run/vampd/vampd-read.sock") == "vampd vampd 660"
    for name in ("vampd.lock", "ledger.sqlite3", "ledger.sqlite3-shm"):
        for user in ("stranger", "observer"):
            lock = ("flock", "--nonblock", f"/var/lib/vampd/{name}", "true")
            done = box.rig("run", "runuser", "-u", user, "--", *lock)
            assert "Permission denied" in done.stderr, (user, name)


def test_an_installation_that_was_open_to_all_is_closed_and_told(box: Box) -> None:
    box.must("sh", "-c", "chmod 755 /var/lib/vampd; chmod 644 /var/lib/vampd/*.sqlite3*")

    box.must("systemctl", "restart", "vampd")

    assert box.run("stat", "-c", "%a", "/var/lib/vampd") == "700"
    assert box.run("find", "/var/lib/vampd", "-maxdepth", "1", "-type", "f", "-perm", "/077") == ""
    assert "ledger.sqlite3 was open to other users (mode 0644)" in box.journal("-u", "vampd")


def test_the_command_of_the_site_ran_then(box: Box) -> None:
    def runs() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(
            box.must("vampd", "admin", "hooks", "last", "--json")
        )["nights"][0]["hooks"]
        return found

    assert soon(lambda: [run["state"] for run in runs()] == ["done"])
    assert runs()[0]["output"] == "20251106 is safe"


def test_the_watchdog_beside_it_finds_nothing(box: Box) -> None:
    drop_in = "/run/systemd/system/vampd-watchdog.service.d"
    alerts = r'[mail]\nhost="127.0.0.1"\nsender="vampd@example.org"\n'
    alerts += r'[alerts]\nrecipients=["observer@example.org"]\n'
    elsewhere = r"[Service]\nEnvironment=VAMPD_CONFIG=/etc/vampd/alerts.toml\n"
    box.must(
        "sh", "-c", f"{{ cat /etc/vampd/vampd.toml; printf '{alerts}'; }} >/etc/vampd/alerts.toml"
    )
    box.must("mkdir", "-p", drop_in)
    box.must("sh", "-c", f"printf '{elsewhere}' >{drop_in}/alerts.conf")
    box.must("systemctl", "daemon-reload")

    done = box.rig("run", "systemctl", "start", "vampd-watchdog.service")
    box.must("systemctl", "enable", "--now", "vampd-watchdog.timer")

    assert done.returncode == 0, box.journal("-u", "vampd-watchdog")
    assert box.run("systemctl", "is-active", "vampd-watchdog.timer") == "active"


def test_every_journal_record_has_its_version(box: Box) -> None:
    ours = box.journal("-u", "vampd", "NIGHT=20251106")

    assert ours
    assert box.journal("-u", "vampd", "NIGHT=20251106", f"VERSION={__version__}") == ours


def test_killed_at_work_it_starts_again_and_resumes(box: Box) -> None:
    simulate(box, "20251107")
    at_work = soon(lambda: night(box, "20251107")["status"] == "running", seconds=60)
    before = box.shows("MainPID")

    box.must("kill", "-9", before)

    assert at_work
    assert soon(lambda: box.shows("MainPID") not in {"0", before}, seconds=30)
    assert is_safe(box, "20251107"), box.journal("-u", "vampd")
    box.must(*_AS_VAMPD, "vampd", "data", "audit", "20251107", "--digests")
    assert box.shows("NRestarts") == "1"


def test_stopped_at_work_it_ends_in_time_and_goes_on_later(box: Box) -> None:
    simulate(box, "20251108")
    at_work = soon(lambda: night(box, "20251108")["status"] == "running", seconds=60)
    began = time.monotonic()

    box.must("systemctl", "stop", "vampd")

    took = time.monotonic() - began
    print(f"stopped at work in {took:.1f} s")
    assert at_work
    assert took < 30
    assert box.shows("Result") == "success"
    assert box.run("pgrep", "-u", "vampd") == ""
    box.must("systemctl", "start", "vampd")
    assert is_safe(box, "20251108"), box.journal("-u", "vampd")


def test_settings_are_read_again_and_wrong_ones_refused(box: Box) -> None:
    good = box.must("cat", "/etc/vampd/vampd.toml")
    before = box.shows("MainPID")

    box.must("systemctl", "reload", "vampd")
    taken = soon(lambda: "the configuration was read again" in box.journal("-u", "vampd"))
    write_settings(box, good + "\n[nights]\n")
    box.must("systemctl", "reload", "vampd")
    refused = soon(lambda: "nights is not a setting" in box.journal("-u", "vampd"))
    write_settings(box, good)

    assert taken
    assert refused
    assert (box.shows("ActiveState"), box.shows("MainPID")) == ("active", before)


def test_a_daemon_that_hangs_is_killed_by_the_watchdog_and_started_again(box: Box) -> None:
    drop_in = "/run/systemd/system/vampd.service.d"
    box.must("mkdir", "-p", drop_in)
    box.must(
        "sh", "-c", f"printf '[Service]\\nWatchdogSec=22s\\nRestartSec=1s\\n' >{drop_in}/t.conf"
    )
    box.must("systemctl", "daemon-reload")
    box.must("systemctl", "restart", "vampd")
    before = box.shows("MainPID")

    box.must("kill", "-STOP", before)

    assert soon(lambda: box.shows("MainPID") not in {"0", before}, seconds=60)
    assert "Watchdog timeout" in box.journal("-u", "vampd")
    assert soon(lambda: box.shows("ActiveState") == "active")


def test_a_newer_version_takes_over_and_the_old_one_can_come_back(box: Box) -> None:
    upgraded = install(box, "newer")
    newer = box.run("vampd", "--version")
    is_active = box.shows("ActiveState")
    back = install(box, "newer", "--rollback")

    assert upgraded.returncode == 0, upgraded.stdout + upgraded.stderr
    assert "would apply 9999_later" in upgraded.stdout
    assert (newer, is_active) == (f"vampd {NEWER}", "active")
    assert back.returncode == 0, back.stdout + back.stderr
    assert box.run("vampd", "--version") == f"vampd {__version__}"
    assert box.shows("ActiveState") == "active"
    assert night(box, "20251106")["status"] == "safe"


def test_a_version_that_does_not_start_leaves_the_old_one_at_work(box: Box) -> None:
    failed = install(box, "broken")

    assert failed.returncode == 69
    assert "9.9.10 did not start" in failed.stderr
    assert box.run("readlink", "/opt/vampd/previous") == NEWER
    assert box.run("vampd", "--version") == f"vampd {__version__}"
    assert soon(lambda: box.shows("ActiveState") == "active")


def test_what_work_was_done_with_is_not_gone_back_from(box: Box) -> None:
    assert install(box, "newer").returncode == 0
    simulate(box, "20251109")
    assert is_safe(box, "20251109"), box.journal("-u", "vampd")

    refused = install(box, "newer", "--rollback")

    assert refused.returncode == 69
    assert "going back would forget" in refused.stderr
    assert box.run("vampd", "--version") == f"vampd {NEWER}"
    assert soon(lambda: box.shows("ActiveState") == "active")


def test_removed_it_leaves_what_only_a_person_may_remove(box: Box) -> None:
    removed = install(box, "this", "--uninstall")

    assert removed.returncode == 0, removed.stderr
    assert box.rig("run", "test", "-e", "/opt/vampd").returncode == 1
    assert box.run("systemctl", "list-unit-files", "vampd*", "--no-legend") == ""
    for path in ("/etc/vampd/vampd.toml", "/var/lib/vampd/ledger.sqlite3", f"{NIGHTS}/20251106"):
        box.must("test", "-e", path)
