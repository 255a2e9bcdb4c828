"""Who is not the service's user: members of its group read and order, strangers are told why not.

A real daemon as a user of its own, and the commands as others.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.daemon_site import DATE, DaemonSite, add_night, make_site
from tests.support.terminal import terminal
from tests.support.users import (
    CHECKOUT,
    ENVIRONMENT,
    MEMBER,
    SERVICE,
    STRANGER,
    User,
    folder_for_all,
    needs_users,
    python,
)

pytestmark = [needs_users, pytest.mark.timeout(300)]

#: What tells nights and needs no terminal; each as it is typed.
_READING = [
    ("status",),
    ("status", DATE, "--json"),
    ("status", "--format", "csv"),
    ("show", DATE),
    ("log", DATE),
    ("explain", DATE),
    ("data", "files", DATE, "--json"),
    ("data", "summary", DATE),
    ("data", "audit", DATE),
    ("quarantine", DATE),
    ("archive", "ids", "show"),
    ("archive", "ids", "audit"),
    ("data", "trace", "VMPA00425189:0"),
    ("data", "headers", DATE, "--json"),
    ("data", "headers", DATE, "--where", "U_SYNC and \"U_FLC\" = 'A'"),
    ("admin", "hooks", DATE),
    ("archive", "manifest", DATE),
    ("space", "reclaim", "--dry-run"),
    ("retry", DATE, "--dry-run"),
    ("data", "verify", DATE),
]


class Site(DaemonSite, frozen=True, kw_only=True):
    """One whose daemon is the service's user's, and whose socket lies where others may go."""

    def words(self, *words: str) -> list[str]:
        return [python(), "-m", "vampd", "--config", str(self.config), *words]

    def as_user(self, user: User, *words: str) -> subprocess.CompletedProcess[str]:
        return user.run(*self.words(*words))

    @contextmanager
    def serving(self) -> Iterator[subprocess.Popen[bytes]]:
        """A daemon at work, which listens."""
        with (self.folder / "daemon.log").open("ab") as log:
            words = SERVICE.words(*self.words("admin", "run"))
            daemon = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=CHECKOUT,
                env=ENVIRONMENT,
            )
        try:
            until = time.monotonic() + 60
            while not (self.folder / "run" / "vampd-read.sock").exists():
                assert daemon.poll() is None, self.log()
                assert time.monotonic() < until, self.log()
                time.sleep(0.05)
            yield daemon
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(timeout=60)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A site with a safe night; all of it is the service's user's."""
    with folder_for_all() as folder:
        make_site(folder)
        site = Site(folder=folder)
        with site.config.open("a") as settings:
            settings.write(f'[control]\nsocket = "{folder}/run/vampd.sock"\n')
        (folder / "run").mkdir()
        add_night(site, "small")
        for path in (folder, *folder.rglob("*")):
            os.chown(path, SERVICE.uid, SERVICE.gid)
        done = site.as_user(SERVICE, "admin", "run", "--until-idle")
        assert done.returncode == 0, done.stderr
        yield site


@pytest.fixture(scope="module")
def served(site: Site) -> Iterator[Site]:
    with site.serving():
        yield site


def _without_times(text: str) -> str:
    """What does not change between two calls: the time itself and ages do; wrapping, too."""
    times = r"\d{4}-\d\d-\d\d.\d\d:\d\d(:\d\d(\.\d+)?)?|\d+(\.\d+)? (s|min|h)\b"
    times += r'|"(free_bytes|spare_bytes|nights_left)": [\d.]+|\d+(\.\d+)? GB free'
    return " ".join(re.sub(times, "...", " ".join(text.split())).split())


@pytest.mark.parametrize("user", [MEMBER, STRANGER], ids=["member", "stranger"])
@pytest.mark.parametrize("words", [("status",), ("retry", DATE)], ids=" ".join)
def test_without_a_daemon_another_user_is_told_who_may(
    site: Site, user: User, words: tuple[str, ...]
) -> None:
    refused = site.as_user(user, *words)

    assert refused.returncode == 69
    assert "no daemon answers" in refused.stderr
    assert f"put `sudo -u {_name(SERVICE.uid)}` before the command" in refused.stderr


@pytest.mark.parametrize("user", [SERVICE, User(uid=0, gid=0)], ids=["service", "root"])
def test_without_a_daemon_the_service_s_user_and_root_read_all_the_same(
    site: Site, user: User
) -> None:
    done = site.as_user(user, "status", "--json")

    assert done.returncode == 0, done.stderr
    assert [night["status"] for night in json.loads(done.stdout)["nights"]] == ["safe"]


def test_after_an_order_of_root_s_without_a_daemon_the_daemon_starts_again(site: Site) -> None:
    for path in (*site.state.glob("vampd.lock"), *site.state.glob("headers*")):
        path.unlink()

    done = site.as_user(User(uid=0, gid=0), "hold", DATE, "--why", "maintenance")

    assert done.returncode == 0, done.stderr
    owners = {path.name: path.stat().st_uid for path in site.state.iterdir()}
    assert set(owners.values()) == {SERVICE.uid}, owners
    with site.serving():
        released = site.as_user(MEMBER, "release", DATE)
    assert released.returncode == 0, released.stderr + site.log()


def test_who_asks_and_stays_is_one_of_a_few_and_the_others_are_told_to_come_again(
    site: Site,
) -> None:
    path = str(site.folder / "run" / "vampd-read.sock")
    with site.serving() as daemon:
        stay = [socket.socket(socket.AF_UNIX) for _ in range(8)]
        for client in stay:
            client.connect(path)
        refused = site.as_user(MEMBER, "status")
        own = site.as_user(SERVICE, "status")
        for client in stay:
            client.close()
        until = time.monotonic() + 30
        while (later := site.as_user(MEMBER, "status")).returncode == 75:
            assert time.monotonic() < until

        assert daemon.poll() is None
    assert refused.returncode == 75
    assert "try again" in refused.stderr
    assert own.returncode == later.returncode == 0


@pytest.mark.parametrize("words", _READING, ids=" ".join)
def test_a_member_reads_what_the_service_s_user_reads(served: Site, words: tuple[str, ...]) -> None:
    own = served.as_user(SERVICE, *words)
    other = served.as_user(MEMBER, *words)

    assert other.stderr == own.stderr
    assert other.returncode == own.returncode == 0
    assert _without_times(other.stdout) == _without_times(own.stdout)
    assert len(other.stdout) > 20


def test_a_member_orders_in_his_own_name(served: Site) -> None:
    held = served.as_user(MEMBER, "hold", DATE, "--why", "dome flats")
    released = served.as_user(MEMBER, "release", DATE)
    told = served.as_user(MEMBER, "log", DATE)

    assert held.returncode == released.returncode == 0, held.stderr + released.stderr
    assert f"uid {MEMBER.uid}" in told.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("show", DATE),
        ("data", "headers", DATE),
        ("hold", DATE, "--why", "x"),
        ("watch",),
    ],
    ids=" ".join,
)
def test_a_stranger_is_told_that_he_lacks_the_right_and_what_gives_it(
    served: Site, words: tuple[str, ...]
) -> None:
    refused = served.as_user(STRANGER, *words, *(("--json",) if words == ("watch",) else ()))

    group, me = _group(), _name(STRANGER.uid)
    assert refused.returncode == 1
    assert f"{me} may not reach the daemon: that is for the group {group}" in refused.stderr
    assert f"sudo usermod -aG {group} {me}" in refused.stderr
    assert f"`sudo -u {_name(SERVICE.uid)}` before the command" in refused.stderr
    assert refused.stdout == ""


def test_others_enter_the_sockets_folder_and_nothing_else(served: Site) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in served.state.iterdir()}

    assert served.state.stat().st_mode & 0o777 == 0o700
    assert set(modes.values()) == {0o600}, modes
    for name in ("vampd.sock", "vampd-read.sock"):
        found = (served.folder / "run" / name).stat()
        assert (found.st_mode & 0o777, found.st_gid) == (0o660, SERVICE.gid)


@pytest.mark.parametrize(
    "sql",
    [
        "update night set status = 'held'",
        "attach '{folder}/x.sqlite3' as x",
        "pragma journal_mode = delete",
        "pragma wal_checkpoint(truncate)",
        "select load_extension('x')",
        "begin immediate",
        "commit",
        "vacuum into '{folder}/x.sqlite3'",
        "select randomblob(1000000000)",
        "select 1; select 2",
        "select 'a' from nowhere",
        "select \x00",
        "select ?",
    ],
)
def test_a_member_may_ask_and_nothing_else(served: Site, sql: str) -> None:
    done = _asked(served, sql.format(folder=served.folder))

    assert "refused" in done.stdout, done.stdout + done.stderr
    assert not (served.folder / "x.sqlite3").exists()
    assert served.as_user(MEMBER, "status").returncode == 0


def _asked(site: Site, sql: str) -> subprocess.CompletedProcess[str]:
    code = """
import sqlite3, sys
from pathlib import Path
from vampd.ledger.asking import asking
with asking(Path(sys.argv[1]), "ledger") as ledger:
    assert ledger.execute("select count(*) from night").fetchone()[0] == 1
    try:
        print("answer", ledger.execute(sys.argv[2].replace("<nul>", chr(0))).fetchall()[:1])
    except sqlite3.Error as error:
        print("refused", error)
    assert ledger.execute("select count(*) from night").fetchone()[0] == 1
"""
    path = str(site.folder / "run" / "vampd-read.sock")
    return MEMBER.run(python(), "-c", code, path, sql.replace("\x00", "<nul>"))


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"[" * 100_000 + b"\n",
        b'{"database": "../../etc/passwd"}\n',
        b'{"database": ["ledger"]}\n',
        b'{"database": "ledger"}\n{"sql": "select 1"}\n',
        b'{"database": "ledger"}\n{"sql": 7, "parameters": []}\n',
        b'{"database": "ledger"}\n{"sql": "select ?", "parameters": [{"blob": "!"}]}\n',
        b'{"database": "ledger"}\n{"sql": "select ?", "parameters": [[]]}\n',
        b'{"database": "ledger"}\n{"sql": "select ?", "parameters": [%d]}\n' % 2**80,
        b"\xff\xfe\n",
        b"x" * (5 << 20),
    ],
    ids=lambda said: repr(said[:40]),
)
def test_what_is_no_question_costs_the_daemon_nothing(served: Site, said: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(served.folder / "run" / "vampd-read.sock"))
        try:
            client.sendall(said)
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
        except (BrokenPipeError, ConnectionResetError):
            pass

    assert served.as_user(MEMBER, "status").returncode == 0


def _name(uid: int) -> str:
    import pwd

    return pwd.getpwuid(uid).pw_name


def _group() -> str:
    import grp

    return grp.getgrgid(SERVICE.gid).gr_name


def test_settings_that_are_closed_are_told_with_the_next_step(tmp_path: Path) -> None:
    done = STRANGER.run(python(), "-m", "vampd", "--config", str(tmp_path / "vampd.toml"), "status")

    assert done.returncode == 78
    assert "is not open to this user: chmod a+r" in done.stderr


@pytest.mark.parametrize(
    ("user", "words"),
    [(MEMBER, (DATE, "safe")), (STRANGER, ("not to be read:", "may not"))],
    ids=["member", "stranger"],
)
def test_the_full_screen_shows_who_may_look_and_tells_who_may_not(
    user: User, words: tuple[str, ...], served: Site
) -> None:
    command = user.words(*served.words("tui"))

    with terminal(command, columns=120, environment=ENVIRONMENT) as screen:
        screen.see("q leave")
        screen.press("f")
        screen.see(*words)
        screen.press("q")

        assert screen.end() == 0
