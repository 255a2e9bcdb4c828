"""A daemon killed on the way from a number to its delivery, whose ledger is lost then."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.daemon_site import (
    DATE,
    FIRST_NUMBER,
    DaemonSite,
    give_times,
    make_site,
    products,
)
from tests.support.trees import digests_of_tree
from tests.support.waiting import wait_until
from vampd.io.number_papers import PAPER
from vampd.simulation.night import SimulatedNight
from vampd.simulation.scenes import both, polarimetry
from vampd.stages.story import LEDGER_DUMP

_SCENES = [polarimetry(f"states {number}", 60, cube_frames=both(40)) for number in range(3)]
_LONGEST_SECONDS = 60.0


def on_paper(site: DaemonSite) -> bool:
    paper = site.night() / PAPER
    return paper.exists() and '"bind"' in paper.read_text()


def built(site: DaemonSite) -> bool:
    return any((site.night() / "vgen2").glob("VMPA*"))


def arriving(site: DaemonSite) -> bool:
    return any(site.far().parent.glob(f".incoming/{DATE}/vgen2/*"))


def delivered(site: DaemonSite) -> bool:
    return any(site.far().glob("vgen2/VMPA*"))


def made_site(folder: Path) -> DaemonSite:
    site = make_site(folder)
    SimulatedNight(_SCENES, date=DATE).write(site.root())
    give_times(site.night())
    return site


def copies(site: DaemonSite) -> dict[str, str]:
    """What lies at the far end; the manifest names this machine's folders."""
    found = digests_of_tree(site.far() / "vgen2")
    found["manifest"] = next(site.far().glob("manifest*")).read_text().replace(str(site.folder), "")
    return found


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> DaemonSite:
    site = made_site(tmp_path_factory.mktemp("calm"))
    site.run()
    return site


@pytest.mark.parametrize(
    ("moment", "has_dump"),
    [
        (on_paper, False),
        (built, True),
        pytest.param(arriving, False, marks=pytest.mark.campaign),
        (delivered, True),
        pytest.param(on_paper, True, marks=pytest.mark.campaign),
        pytest.param(built, False, marks=pytest.mark.campaign),
        pytest.param(arriving, True, marks=pytest.mark.campaign),
        pytest.param(delivered, False, marks=pytest.mark.campaign),
    ],
)
def test_every_frame_keeps_its_number_and_no_number_is_given_twice(
    calm: DaemonSite, tmp_path: Path, moment: Callable[[DaemonSite], bool], *, has_dump: bool
) -> None:
    site = made_site(tmp_path / "site")
    with site.running() as daemon:
        wait_until(lambda: moment(site), lambda: site.log()[-3000:], every_seconds=0.005)
        daemon.kill()
    if moment is delivered:
        assert (site.far() / ".vampd/night.log").exists(), "it says whose the numbers are"
    for path in site.state.glob("*.sqlite3*"):
        path.unlink()
    if not has_dump:
        (site.night() / LEDGER_DUMP).unlink(missing_ok=True)

    refused = site.call("admin", "run", "--until-idle")
    rebuilt = site.call("admin", "rebuild-db")
    site.run()

    assert refused.returncode == 78
    assert "vampd admin rebuild-db" in refused.stderr
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert site.status() == "safe"
    assert products(site) == products(calm)
    assert copies(site) == copies(calm)
    audited = site.call("archive", "ids", "audit")
    assert audited.returncode == 0, audited.stdout


def test_of_a_night_of_which_only_raw_files_and_far_copies_are_left_the_frames_keep_their_numbers(
    calm: DaemonSite, tmp_path: Path
) -> None:
    site = made_site(tmp_path / "site")
    site.run()
    for path in (site.state, site.night() / ".vampd", site.night() / "vgen2"):
        shutil.rmtree(path)
    next(site.night().glob("manifest*")).unlink()

    site.run(status=1)
    (night,) = site.json("status")["nights"]
    log = ".vampd/night.log"
    (site.night() / log).write_bytes((site.far() / log).read_bytes())
    retried = site.call("retry", DATE)
    site.run()

    assert night["status"] == "held"
    assert "it was delivered before" in night["cause"]
    assert ".vampd/night.log" in night["cause"]
    assert retried.returncode == 0, retried.stderr
    assert site.status() == "safe"
    assert products(site) == products(calm)
    assert copies(site) == copies(calm)


def test_a_restored_night_keeps_the_paper_of_its_numbers(calm: DaemonSite, tmp_path: Path) -> None:
    site = made_site(tmp_path / "site")
    site.run()
    restored = site.call("restore", DATE, "--force", "-y")
    for path in site.state.glob("*.sqlite3*"):
        path.unlink()

    rebuilt = site.call("admin", "rebuild-db")
    released = site.call("release", DATE)
    site.run()

    assert (restored.returncode, rebuilt.returncode) == (0, 0)
    assert released.returncode == 0, released.stderr
    assert products(site) == products(calm)


def test_a_number_far_above_in_a_night_uses_none_up_when_a_ledger_is_made_again(
    tmp_path: Path,
) -> None:
    site = made_site(tmp_path / "site")
    site.run()
    (site.night() / "vgen2/VMPA99999999.fits.fz").touch()
    for path in site.state.glob("*.sqlite3*"):
        path.unlink()
    rebuilt = site.call("admin", "rebuild-db")
    following = site.root() / "20251107"
    SimulatedNight(_SCENES[:1], date="20251107").write(site.root())

    site.run()
    numbers = sorted(path.name for path in (following / "vgen2").glob("VMPA*.fits.fz"))
    audited = site.call("archive", "ids", "audit")

    assert rebuilt.returncode == 0, rebuilt.stderr
    own = len(list((site.night() / "vgen2").glob("VMPA*.fits.fz"))) - 1
    assert numbers[0] == f"VMPA{FIRST_NUMBER + own:08d}.fits.fz"
    assert "VMPA99999999" in audited.stdout


@pytest.mark.parametrize("left", [".vampd/SHA256SUMS", ".vampd/journal.jsonl", PAPER])
def test_where_any_paper_of_a_night_is_left_a_daemon_does_not_begin_anew(
    tmp_path: Path, left: str
) -> None:
    site = make_site(tmp_path)
    path = site.night() / left
    path.parent.mkdir(parents=True)
    path.touch()

    done = site.call("admin", "run", "--until-idle")

    assert done.returncode == 78
    assert str(path) in done.stderr
    assert not list(site.state.glob("ledger*"))


def test_where_the_table_of_headers_is_left_a_daemon_does_not_begin_anew(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    (site.state / "headers.sqlite3").touch()

    done = site.call("admin", "run", "--until-idle")

    assert done.returncode == 78
    assert "headers.sqlite3 tells of one" in done.stderr


def test_a_first_start_needs_no_ceremony(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    (site.root() / "lost+found").mkdir()

    assert site.call("admin", "run", "--until-idle").returncode == 0
