"""The real daemon and Gen2's protocol: killed with a question on its way, decided, audited."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from msgspec import Struct

from tests.support.daemon_site import DATE, FIRST_NUMBER, DaemonSite, make_site
from tests.support.frame_id_counter import Counter, Fault
from tests.support.gen2_server import Observatory, observatory
from tests.support.waiting import wait_until
from vampd.io import number_papers
from vampd.io.beneath import night_folder
from vampd.simulation.night import SimulatedNight
from vampd.simulation.reference_scenes import REFERENCE_SCENES

_LONGEST_SECONDS = 60.0


class Told(Struct, frozen=True, kw_only=True):
    """What was seen on the way."""

    site: DaemonSite
    counter: Counter
    shown: dict[str, Any]  #: by `ids show` after the kill
    words: str  #: the same for people
    questions_after_restart: int


def asker(site: DaemonSite) -> int:
    """The process that asks, by the night's paper."""
    lines = number_papers.read(night_folder(site.night()))
    return int(next(line["pid"] for line in lines if line["do"] == "ask"))


def asks_gen2(site: DaemonSite, gen2: Observatory) -> None:
    text = site.config.read_text()
    first = f"first = {FIRST_NUMBER}\n"
    gen2_lines = f'issuer = "gen2"\ngen2_name_service = "{gen2.name_service}"\n'
    site.config.write_text(text.replace(first, first + gen2_lines))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """A night whose daemon was killed while Gen2 dealt, carried on by an operator."""
    folder = tmp_path_factory.mktemp("site")
    site = make_site(folder)
    counter = Counter(following=FIRST_NUMBER, fault=Fault.LATE)
    with observatory(folder / "frames_VMPA.txt", counter) as gen2:
        asks_gen2(site, gen2)
        SimulatedNight([*REFERENCE_SCENES.values()][1:3], date=DATE, seed=1).write(site.root())
        with site.running() as daemon:
            wait_until(lambda: counter.questions == 1)
            daemon.kill()
            os.kill(asker(site), signal.SIGKILL)  # as systemd does: all that it started
        site.run(status=1)  # a night is held
        questions = counter.questions
        shown = site.json("archive", "ids", "show", DATE)["nights"][0]
        words = site.call("archive", "ids", "show", DATE).stdout
        dealt = f"{FIRST_NUMBER}..{FIRST_NUMBER + len(counter.dealt) - 1}"
        adopted = site.call("archive", "ids", "adopt", DATE, dealt, "--why", "the Gen2 log says so")
        assert adopted.returncode == 0, adopted.stderr
        site.run()
        yield Told(
            site=site,
            counter=counter,
            shown=shown,
            words=words,
            questions_after_restart=questions,
        )


def test_an_answer_that_comes_while_the_daemon_is_dead_is_used_by_the_next_one(
    tmp_path: Path,
) -> None:
    site = make_site(tmp_path)
    counter = Counter(following=FIRST_NUMBER, fault=Fault.LATE)
    with observatory(tmp_path / "frames_VMPA.txt", counter) as gen2:
        asks_gen2(site, gen2)
        SimulatedNight([*REFERENCE_SCENES.values()][1:2], date=DATE, seed=1).write(site.root())
        with site.running() as daemon:
            wait_until(lambda: counter.questions == 1)
            daemon.kill()

        site.run()

    changes = (site.night() / "vgen2/name_changes.txt").read_text().splitlines()
    assert (counter.questions, site.status()) == (1, "safe")
    assert [line.split("\t")[1] for line in changes] == [
        f"VMPA{number:08d}.fits" for number in counter.dealt
    ]


def audit(site: DaemonSite) -> tuple[int, dict[str, Any]]:
    done = site.call("archive", "ids", "audit", "--json")
    return done.returncode, json.loads(done.stdout)


def test_a_killed_daemon_does_not_ask_again_and_says_what_can_be_done(told: Told) -> None:
    (request,) = told.shown["requests"]

    assert told.questions_after_restart == told.counter.questions == 1
    assert told.shown["status"] == "held"
    assert request["state"] == "asked"
    assert request["count"] == len(told.counter.dealt)
    assert f"vampd archive ids adopt {DATE} FIRST..LAST --why TEXT" in told.words
    assert f"vampd archive ids void {DATE} --why TEXT" in told.words


def test_the_night_is_safe_with_the_numbers_that_were_adopted(told: Told) -> None:
    vgen2 = told.site.night() / "vgen2"
    changes = (vgen2 / "name_changes.txt").read_text().splitlines()

    assert told.site.status() == "safe"
    assert [line.split("\t")[1] for line in changes] == [
        f"VMPA{number:08d}.fits" for number in told.counter.dealt
    ]
    assert (told.site.far() / "vgen2/name_changes.txt").read_text().splitlines() == changes


def test_the_audit_proves_it(told: Told) -> None:
    code, report = audit(told.site)

    assert (code, report["problems"], report["exceptions"]) == (0, [], [])
    assert report["bound"] == len(told.counter.dealt)
    assert "ok" in told.site.call("archive", "ids", "audit").stdout


@contextmanager
def changed(path: Path, kept: Path) -> Iterator[None]:
    """Let a test change a file; bring it back."""
    shutil.copy2(path, kept)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        kept.rename(path)


def number_named(told: Told, place: int) -> str:
    return f"VMPA{told.counter.dealt[place]:08d}"


def spoil_header(path: Path, _: str) -> None:
    with fits.open(path, mode="update", disable_image_compression=True) as units:
        units[1].header["FRAMEID"] = "VMPA00000007"


def forget_line(path: Path, _: str) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))


def other_number(path: Path, name: str) -> None:
    path.write_text(path.read_text().replace(name, "VMPA00000007"))


def remove(path: Path, _: str) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("file", "spoil", "said"),
    [
        ("vgen2/{name}.fits.fz", spoil_header, "FRAMEID says 'VMPA00000007', not '{name}'"),
        ("vgen2/{name}.fits.fz", remove, "{name}.fits.fz: is not there"),
        ("vgen2/{name}.txt", remove, "{name}.txt: is not there"),
        ("vgen2/name_changes.txt", forget_line, "does not say"),
        ("vgen2/name_changes.txt", other_number, "VMPA00000007.fits', and the ledger does not"),
        ("manifest_VMP_20251106.csv", forget_line, "does not say '{name}|"),
        ("manifest_VMP_20251106.csv", remove, "No such file or directory"),
    ],
)
def test_the_audit_names_each_discrepancy(
    told: Told, file: str, spoil: Callable[[Path, str], None], said: str
) -> None:
    name = number_named(told, 0)
    path = told.site.night() / file.format(name=name)
    with changed(path, told.site.folder / "kept"):
        spoil(path, name)
        code, report = audit(told.site)

    assert code == 1
    assert any(said.format(name=name) in problem for problem in report["problems"])


def test_the_audit_names_a_number_that_two_nights_bear(told: Told) -> None:
    name = number_named(told, 1)
    other = told.site.root() / "20251001/vgen2"
    other.mkdir(parents=True)
    (other / f"{name}.fits.fz").touch()
    try:
        code, report = audit(told.site)
    finally:
        shutil.rmtree(other.parent)

    assert code == 1
    assert any(
        f"{name}: stands in {other}/{name}.fits.fz and in" in problem
        for problem in report["problems"]
    )


def test_the_audit_names_a_file_that_no_output_explains(told: Told) -> None:
    stray = told.site.night() / "vgen2/VMPA00000009.fits.fz"
    stray.touch()
    try:
        code, report = audit(told.site)
    finally:
        stray.unlink()

    assert code == 1
    assert any("VMPA00000009.fits.fz: bears a frame ID" in text for text in report["problems"])
