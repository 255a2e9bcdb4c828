"""`doctor` finds what is missing, says what to do, and changes nothing."""

from __future__ import annotations

import grp
import json
import os
import pwd
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.support.frame_id_counter import Counter
from tests.support.gen2_server import observatory
from tests.support.ledger_site import NOW_US, Site
from tests.support.mail_server import PASSWORD, USER, post_office
from tests.support.trees import digests_of_tree
from tests.support.users import SERVICE, STRANGER, folder_for_all, needs_users, python
from vampd.cli import group
from vampd.errors import UsageError
from vampd.io import rice
from vampd.io.lock import StateLock
from vampd.io.unix_socket import listen
from vampd.remote.destination_marker import marker_text
from vampd.states import Kind


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    for kind in Kind:
        site.root(kind)
        (site.folder / "far" / kind).mkdir()
    return site


def findings(site: Site) -> dict[str, list[str]]:
    """What was found, by state; the exit code must fit."""
    result = CliRunner().invoke(group, ["--config", str(site.config), "admin", "doctor", "--json"])
    answer = json.loads(result.stdout)
    found: dict[str, list[str]] = {"ok": [], "warn": [], "bad": []}
    for each in answer["findings"]:
        found[each["state"]].append(f"{each['what']} -> {each['advice']}")
    assert result.exit_code == (1 if found["bad"] else 0)
    assert answer["ok"] is not bool(found["bad"])
    return found


def tree(site: Site) -> dict[str, str]:
    """Every file but those that SQLite needs beside the ledger while somebody reads it."""
    every = digests_of_tree(site.folder)
    return {path: digest for path, digest in every.items() if not path.endswith(("-wal", "-shm"))}


def has(lines: list[str], text: str) -> bool:
    return any(text in line for line in lines)


def test_a_healthy_site_has_nothing_bad_and_stays_as_it_is(site: Site) -> None:
    before = tree(site)

    found = findings(site)

    assert not found["bad"]
    assert has(found["ok"], f"archive root {site.folder}/archive")
    assert has(found["ok"], f"{site.folder}/far/archive: reachable, writable")
    assert has(found["ok"], "schema up to date")
    assert has(found["warn"], "nobody holds it, so no daemon runs")
    assert tree(site) == before


def test_a_running_daemon_is_named(site: Site) -> None:
    with StateLock.acquire(site.state):
        assert has(findings(site)["ok"], "daemon's lock: held by pid")


def test_another_disk_in_a_roots_place_is_bad(site: Site) -> None:
    marker = site.folder / "archive/.vampd-root"
    marker.write_text("vampd-root 00000000-0000-0000-0000-000000000000\n")

    assert has(findings(site)["bad"], "its marker is foreign")


def test_a_missing_root_is_bad(site: Site) -> None:
    (site.folder / "archive").rename(site.folder / "elsewhere")

    assert has(findings(site)["bad"], "archive: no such folder -> mount its disk")


def test_a_missing_far_folder_is_bad(site: Site) -> None:
    (site.folder / "far/archive").rmdir()

    assert has(findings(site)["bad"], "is no folder there")


def test_a_far_machine_that_cannot_be_reached_is_bad(site: Site) -> None:
    text = site.config.read_text()
    text = text.replace(f'"{site.folder}/far/archive"', '"127.0.0.1:/far"')
    site.config.write_text(text + '[ssh]\noptions = ["-p", "1"]\n')

    bad = findings(site)["bad"]
    assert has(bad, "127.0.0.1, port 1, cannot be reached: Connection refused")
    assert has(bad, "try it: ssh -p 1 127.0.0.1")


def test_a_missing_program_is_bad(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    found = findings(site)

    assert has(found["bad"], "funpack is not installed")
    assert has(found["bad"], "rsync is not installed")


def test_a_clock_that_went_back_is_bad(site: Site) -> None:
    site.daemon()
    site.execute("update daemon set heard_us = ?", 2 * NOW_US)

    assert has(findings(site)["bad"], "but the daemon was heard of at")


def test_a_damaged_ledger_is_bad_and_stops_no_other_check(site: Site) -> None:
    site.ledger.write_bytes(b"nonsense" * 1000)

    found = findings(site)

    assert has(found["bad"], "not a database")
    assert has(found["ok"], "far/archive: reachable")


def test_mistakes_in_the_settings_are_bad_and_programs_are_looked_at_all_the_same(
    site: Site,
) -> None:
    site.config.write_text("nonsense = 1\n")

    found = findings(site)

    assert has(found["bad"], "nonsense is not a setting")
    assert has(found["ok"], "rsync:")


def test_a_mail_server_is_asked_and_its_password_kept_from_others(site: Site) -> None:
    password = site.folder / "password"
    password.write_text(PASSWORD)
    with post_office() as office:
        with site.config.open("a") as settings:
            settings.write(
                f'[mail]\nhost = "127.0.0.1"\nport = {office.port}\n'
                f'user = "{USER}"\npassword_file = "{password}"\n'
            )
        found = findings(site)

        assert has(found["bad"], "takes no password; leave mail.user empty")
        assert has(found["warn"], f"{password}: others may read the password")
        assert has(found["warn"], "alerts.recipients is empty")
        assert not office.received


def test_without_settings_there_is_no_mail_to_be_checked(site: Site) -> None:
    assert has(findings(site)["ok"], "mail: not configured")


def test_a_test_mail_goes_to_the_operators_and_its_answer_is_told(site: Site) -> None:
    with post_office() as office:
        office.addresses["b@example.org"] = "550 who?"
        with site.config.open("a") as settings:
            settings.write(
                f'[mail]\nhost = "127.0.0.1"\nport = {office.port}\n'
                'sender = "vampd@example.org"\nrecipients = ["archive@example.org"]\n'
                'data_host = "here"\n'
                '[alerts]\nrecipients = ["a@example.org", "b@example.org"]\n'
            )

        result = site.run("admin", "doctor", "--mail")

    (received,) = office.accepted
    assert received.recipients == ("a@example.org",)
    assert "test mail" in received.mail["Subject"]
    assert "test mail to a@example.org: taken (250 OK)" in result.output
    assert "test mail to b@example.org: 550 who?" in result.output
    assert result.exit_code == 1


def test_who_deals_frame_ids_is_looked_for_and_asked_nothing(site: Site, tmp_path: Path) -> None:
    text = site.config.read_text(encoding="utf-8")
    program = "first = 425189\nissuer = 'command'\ncommand = ['/no/such', '{count}']"
    site.config.write_text(text.replace("first = 425189", program), encoding="utf-8")
    without = findings(site)
    counter = Counter(following=1)
    with observatory(tmp_path / "frames_VMPA.txt", counter) as gen2:
        service = f"issuer = 'gen2'\ngen2_name_service = '{gen2.name_service}'"
        site.config.write_text(text.replace("first = 425189", service), encoding="utf-8")
        found = findings(site)
        gen2.registered = False
        missing = findings(site)

    assert has(without["bad"], "/no/such, which deals frame IDs, cannot be run")
    assert has(found["ok"], "frame IDs are dealt by Gen2: frames at 127.0.0.1:")
    assert has(missing["bad"], "knows no service frames")
    assert counter.questions == 0


def test_what_others_may_open_of_the_state_directory_is_told_and_how_to_close_it(
    site: Site,
) -> None:
    site.state.chmod(0o755)
    (site.state / "headers.sqlite3").touch(0o644)

    warned = findings(site)["warn"]

    assert has(warned, "state is open to other users (mode 0755): they can lock it -> chmod 700")
    assert has(warned, "headers.sqlite3 is open to other users (mode 0644)")
    assert site.state.stat().st_mode & 0o777 == 0o755


def test_a_group_that_the_machine_does_not_know_is_told(site: Site) -> None:
    settings = site.config.read_text()
    socket = f'[control]\nsocket = "{site.folder}/vampd.sock"\ngroup = "nosuchgroup"\n'
    site.config.write_text(settings + socket)

    assert has(findings(site)["warn"], "control.group is nosuchgroup, and this machine has no such")


def test_a_socket_that_is_another_groups_is_told(site: Site) -> None:
    path = site.folder / "vampd.sock"
    settings = site.config.read_text()
    other = next(each for each in grp.getgrall() if each.gr_gid != os.getegid())
    site.config.write_text(f'{settings}[control]\nsocket = "{path}"\ngroup = "{other.gr_name}"\n')

    with listen(path):
        warned = findings(site)["warn"]

    assert has(warned, f"and control.group is {other.gr_name} -> usermod -aG {other.gr_name}")


@needs_users
def test_a_doctor_who_may_not_enter_is_told_whose_rights_count() -> None:
    with folder_for_all() as folder:
        site = Site(folder=folder / "site")
        site.make_ledger()
        for path in (site.state, *site.state.iterdir()):
            os.chown(path, SERVICE.uid, SERVICE.gid)
        site.state.chmod(0o700)
        words = ("-m", "vampd", "--config", str(site.config), "admin", "doctor", "--json")
        answer = json.loads(STRANGER.run(python(), *words).stdout)

    bad = [f"{each['what']} -> {each['advice']}" for each in answer["findings"]]
    owner = pwd.getpwuid(SERVICE.uid).pw_name
    assert has(bad, f"site/state is {owner}'s alone")
    assert has(bad, f"sudo -u {owner} vampd admin doctor")


def test_the_coder_that_does_the_work_is_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = findings(site)["ok"]
    rice.chosen.cache_clear()
    monkeypatch.setitem(sys.modules, "vampd.io._rice", None)  # as where nothing was compiled
    monkeypatch.delattr("vampd.io._rice")
    missing = findings(site)["warn"]
    rice.chosen.cache_clear()

    assert has(sound, "Rice coder: our own, and CFITSIO's agrees with it")
    assert has(missing, "Rice coder: not our own, which was not compiled")
    assert has(missing, "-> install gcc and python3-dev, then vampd again")


MARKER = ".vampd-destination"
UUID = "11111111-2222-4333-8444-55555555abcd"


def claim(site: Site, *words: str) -> Result:
    return CliRunner().invoke(
        group, ["--config", str(site.config), "admin", "doctor", "--claim", *words]
    )


def known(site: Site) -> list[tuple[str, str]]:
    """Every marker that was ever the one of the archive's far disk, and who said so."""
    query = "select marker, why from far_disk where place like '%/far/archive' order by id"
    with closing(sqlite3.connect(site.ledger)) as ledger:
        return ledger.execute(query).fetchall()


def test_a_far_disk_without_a_marker_is_given_one_by_the_first_delivery(site: Site) -> None:
    assert has(findings(site)["ok"], "far/archive: has no marker yet; the first delivery")


def test_a_claimed_far_disk_is_known_and_another_in_its_place_is_bad(site: Site) -> None:
    place = str(site.folder / "far/archive")

    assert claim(site, place, "-y").exit_code == 0

    assert has(findings(site)["ok"], "far/archive: its marker is that of the disk")
    (site.folder / "far/archive" / MARKER).unlink()
    assert has(findings(site)["bad"], "is missing: not mounted, or not the disk that it was")
    (site.folder / "far/archive" / MARKER).write_text(marker_text(UUID))
    assert has(findings(site)["bad"], "is another: not the disk to which nights were delivered")


def test_a_disk_that_was_changed_on_purpose_is_claimed_on_record(site: Site) -> None:
    place = str(site.folder / "far/archive")
    claim(site, place, "-y")
    [first] = known(site)
    (site.folder / "far/archive" / MARKER).write_text(marker_text(UUID))

    dry = claim(site, "--dry-run")
    assert known(site) == [first]
    refused = claim(site)
    assert isinstance(refused.exception, UsageError)
    assert known(site) == [first]
    done = claim(site, "-y")
    again = claim(site, "-y")

    assert (dry.exit_code, done.exit_code, again.exit_code) == (0, 0, 0)
    assert known(site) == [first, (UUID, "vampd admin doctor --claim")]
    assert "nothing to do" in again.stdout
    assert not findings(site)["bad"]


def test_of_several_far_disks_that_are_others_one_must_be_named(site: Site) -> None:
    for kind in Kind:
        claim(site, str(site.folder / "far" / kind), "-y")
        (site.folder / "far" / kind / MARKER).write_text(marker_text(UUID))

    refused = claim(site, "-y")

    assert isinstance(refused.exception, UsageError)
    assert "name the one, --claim PLACE" in str(refused.exception)
    assert len(known(site)) == 1


def test_what_was_never_delivered_to_is_left_to_its_first_delivery(site: Site) -> None:
    done = claim(site, "-y")

    assert "nothing to do" in done.stdout
    assert not (site.folder / "far/archive" / MARKER).exists()


def test_only_a_far_folder_of_the_settings_is_claimed(site: Site) -> None:
    (site.folder / "other").mkdir()

    refused = claim(site, str(site.folder / "other"), "-y")

    assert isinstance(refused.exception, UsageError)
    assert not list((site.folder / "other").iterdir())


def test_an_empty_folder_is_claimed_only_by_somebody_who_was_told(site: Site) -> None:
    asked = claim(site, str(site.folder / "far/archive"))

    assert isinstance(asked.exception, UsageError)
    assert "it is EMPTY, and no mount point" in asked.output
    assert not (site.folder / "far/archive" / MARKER).exists()
