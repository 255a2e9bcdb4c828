"""The real daemon tells the archive team and the operators, though it dies on the way."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np

from tests.support.daemon_site import DATE, DaemonSite, make_site
from tests.support.mail_server import PostOffice, post_office
from tests.support.raw_cubes import write_raw_cube
from tests.support.waiting import wait_for

_SECONDS = 60.0

#: 2025-11-06 05:10:00 UTC
_FIRST_US = 1_762_405_800_000_000


def _site(folder: Path, office: PostOffice) -> DaemonSite:
    site = make_site(folder)
    with site.config.open("a") as settings:
        settings.write(
            f'[mail]\nhost = "127.0.0.1"\nport = {office.port}\nsender = "vampd@example.org"\n'
            'recipients = ["archive@example.org"]\ndata_host = "scexao5"\nmode = "auto"\n'
        )
    frames = [np.full((4, 6), number, np.uint16) for number in range(5)]
    write_raw_cube(site.night(), frames, stem="vcam1_05:10:00.000000000", first_us=_FIRST_US)
    return site


def test_a_daemon_killed_after_the_server_took_the_mail_sends_the_same_bytes_again(
    tmp_path: Path,
) -> None:
    with post_office() as office:
        site = _site(tmp_path, office)
        office.may_speak.clear()
        with site.running() as daemon:
            assert office.came.wait(_SECONDS), site.log()
            daemon.kill()
            daemon.wait(timeout=_SECONDS)
        office.may_speak.set()
        (before,) = site.json("archive", "manifest", DATE)["nights"]

        site.run()

        (after,) = site.json("archive", "manifest", DATE)["nights"]
        first, second = office.received
    assert first == second
    assert first.attachment == (site.night() / f"manifest_VMP_{DATE}.csv").read_bytes()
    assert (before["state"], before["in_doubt"]) == ("sending", True)
    assert (after["state"], after["message_id"]) == ("sent", first.mail["Message-ID"])


def test_a_running_daemon_sends_on_an_operators_word_and_keeps_the_archives(
    tmp_path: Path,
) -> None:
    with post_office() as office:
        site = _site(tmp_path, office)
        site.config.write_text(site.config.read_text().replace('mode = "auto"', 'mode = "ask"'))
        site.run()
        asked = len(office.received)
        with site.running():
            wait_for(site.state / "vampd.sock")
            sent = site.call("archive", "manifest", DATE, "--send", "-y")
            acked = site.call("archive", "ack", DATE)
        (after,) = site.json("archive", "manifest", DATE)["nights"]

    assert asked == 0
    assert sent.returncode == 0, sent.stderr
    assert f"archive {DATE}: sent " in sent.stdout
    assert len(office.accepted) == 1
    assert acked.returncode == 0, acked.stderr
    assert after["state"] == "acknowledged"


def test_operators_are_told_of_a_failed_night_and_of_a_dead_daemon(tmp_path: Path) -> None:
    with post_office() as office:
        site = _site(tmp_path, office)
        with site.config.open("a") as settings:
            settings.write(
                '[alerts]\nrecipients = ["operator@example.org"]\nlook_seconds = 0.2\n'
                "disk_free_gb = 0\nsilent_minutes = 0.2\n"
            )
        site.far().parent.rmdir()
        with site.running() as daemon:
            assert office.came.wait(_SECONDS), site.log()
            checked = site.call("check")
            daemon.kill()
            daemon.wait(timeout=_SECONDS)
        _grow_old(site)

        watched = [site.call("check", "--alert") for _ in range(2)]

    failed, silent = office.accepted
    assert failed.recipients == silent.recipients == ("operator@example.org",)
    assert f"CRITICAL archive {DATE} failed: transfer:" in failed.text
    assert checked.returncode == 2
    assert f"VAMPD CRITICAL - archive {DATE} failed: transfer:" in checked.stdout
    assert [each.returncode for each in watched] == [2, 2]
    assert "was not stopped in order" in silent.text


def _grow_old(site: DaemonSite) -> None:
    """The daemon was heard of an hour ago."""
    with closing(sqlite3.connect(site.state / "ledger.sqlite3")) as ledger, ledger:
        ledger.execute("update daemon set heard_us = heard_us - 3600000000")
