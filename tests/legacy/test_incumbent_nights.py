"""What the daemon does with folders in which the earlier pipeline was at work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.daemon_site import DATE, DaemonSite, make_site
from tests.support.fake_ledger import DAY_US, SECOND_US, FakeClock, opened, settings
from tests.support.incumbent import Incumbent
from tests.support.raw_cubes import write_raw_cube
from tests.support.trees import digests_of_tree, identities_of_tree
from vampd.errors import OperatorError
from vampd.ledger import legacy, nights
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.orders.night import Orders
from vampd.records import FileIdentity
from vampd.settings.sections import Config
from vampd.simulation.night import SimulatedNight
from vampd.simulation.reference_scenes import REFERENCE_SCENES
from vampd.states import Kind
from vampd.watch.inspect import inspect_cube
from vampd.watch.scan_cycle import ScanCycle

_YOUNGER = "20251107"
_FIRST = 425500  # above what the site's settings begin with


def _add(site: DaemonSite, date: str) -> Path:
    scenes = [REFERENCE_SCENES["pdi-short"]]
    SimulatedNight(scenes, date=date).write(site.root())
    return site.root() / date


def _nights(site: DaemonSite) -> dict[str, dict[str, Any]]:
    return {night["date"]: night for night in site.json("status", "--all")["nights"]}


def _two_nights(folder: Path) -> DaemonSite:
    """An older night that the earlier pipeline processed, and a younger one for vampd."""
    site = make_site(folder)
    _add(site, DATE)
    Incumbent(night=site.night(), first_number=_FIRST).process()
    _add(site, _YOUNGER)
    return site


Met = tuple[DaemonSite, dict[str, FileIdentity]]


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> Met:
    """The two nights after the daemon met them, and the older one's files before that."""
    site = _two_nights(tmp_path_factory.mktemp("met"))
    before = identities_of_tree(site.night())
    site.run()
    return site, before


def test_a_processed_folder_is_held_unasked_and_nobody_waits_for_it(met: Met) -> None:
    site, before = met

    found = _nights(site)

    assert found[DATE]["status"] == "held"
    assert "vcam1_hlinkbak, vcam2_hlinkbak, vgen2" in found[DATE]["cause"]
    assert (found[DATE]["quarantined"], found[DATE]["outputs"]) == (0, 0)
    assert found[_YOUNGER]["status"] == "safe"
    assert identities_of_tree(site.night()) == before


def test_a_retry_does_not_get_round_the_restore(met: Met) -> None:
    site, _ = met

    done = site.call("retry", DATE)

    assert done.returncode == 1
    assert f"vampd restore {DATE}" in done.stderr
    assert _nights(site)[DATE]["status"] == "held"


def test_what_the_daemon_noticed_can_be_imported_and_its_own_night_cannot(met: Met) -> None:
    site, _ = met

    (imported,) = site.json("admin", "import-legacy")["nights"]

    assert (imported["date"], imported["adopted"]) == (DATE, True)
    assert _nights(site)[_YOUNGER]["status"] == "safe"


def test_an_imported_night_is_made_anew_only_after_a_restore(tmp_path: Path) -> None:
    site = _two_nights(tmp_path)
    (imported,) = site.json("admin", "import-legacy")["nights"]
    raw = digests_of_tree(site.night() / "vcam1_hlinkbak")
    made = digests_of_tree(site.night() / "vgen2")

    early = site.call("release", DATE)
    restored = site.call("restore", DATE, "-y")
    released = site.call("release", DATE)
    site.run()

    assert early.returncode == 1
    assert f"vampd restore {DATE}" in early.stderr
    assert (restored.returncode, released.returncode) == (0, 0), restored.stderr + released.stderr
    assert {night["status"] for night in _nights(site).values()} == {"safe"}
    assert digests_of_tree(site.night() / "vcam1") == raw
    assert digests_of_tree(site.night() / "vgen2.incumbent") == made
    first = min(path.name for path in (site.night() / "vgen2").glob("*.fits.fz"))
    assert first == f"VMPA{imported['frame_ids']['last'] + 1:08d}.fits.fz"


class _Watched:
    """A night in one root, and rounds that go when told."""

    def __init__(self, folder: Path, config: Config, ledger: Ledger, clock: FakeClock) -> None:
        self.night_folder = folder / "archive" / DATE
        self.orders = Orders(ledger, config)
        self.ledger = ledger
        self.clock = clock
        self.scan_cycle = ScanCycle(ledger, clock, config)
        for stem in ("vcam1_05:10:00.000000000", "vcam1_06:10:00.000000000"):
            frames = [np.full((4, 6), number, np.uint16) for number in range(5)]
            write_raw_cube(self.night_folder, frames, stem=stem)

    @property
    def night(self) -> Night:
        return nights.find_night(self.ledger, Kind.ARCHIVE, DATE)

    def go_until_it_would_be_over(self) -> None:
        self.clock.pass_seconds(DAY_US / SECOND_US)
        for _ in range(6):
            self.clock.pass_seconds(3600)
            self.scan_cycle.go()
            for watch in list(self.scan_cycle.nights.values()):
                pairs = dict(watch.wanted)
                found = [inspect_cube(watch.folder, *pair) for pair in pairs.values()]
                self.scan_cycle.accept(watch.night, pairs, found)
                self.scan_cycle.judge_again(watch.night, pairs)

    def order(self, name: str, **arguments: object) -> dict[str, Any]:
        given = {"kind": "archive", "date": DATE, "dry_run": False, **arguments}
        return self.orders.carry_out(name, given, "somebody")


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[_Watched]:
    config, clock = settings(tmp_path), FakeClock()
    with closing(opened(config.state_dir, clock)) as ledger:
        yield _Watched(tmp_path, config, ledger, clock)


def test_a_night_that_is_being_processed_is_not_taken_for_what_is_left_of_it(
    watched: _Watched,
) -> None:
    """Some of its cubes are out of `vcam1/` already: what is there is no night."""
    Incumbent(night=watched.night_folder).back_up(("vcam1",))
    for path in sorted((watched.night_folder / "vcam1").iterdir())[:2]:
        path.unlink()

    watched.go_until_it_would_be_over()

    assert watched.night.closed_us is None
    assert str(watched.night.hold).startswith(
        "the earlier pipeline was at work in its folder (vcam1_hlinkbak)"
    )


def test_a_backup_that_appears_while_a_night_is_collected_holds_it(watched: _Watched) -> None:
    watched.scan_cycle.go()
    before = watched.night.hold
    Incumbent(night=watched.night_folder).back_up(("vcam1",))

    watched.go_until_it_would_be_over()

    assert before is None
    assert watched.night.closed_us is None
    assert "vcam1_hlinkbak" in (watched.night.hold or "")


def test_an_operator_who_released_such_a_night_is_not_asked_again(watched: _Watched) -> None:
    """Left-overs that hide no raw file, as `vbad/`, hold a night once."""
    (watched.night_folder / "vbad").mkdir()
    watched.go_until_it_would_be_over()
    held = watched.night.hold

    watched.order("release")
    watched.go_until_it_would_be_over()

    assert "vbad" in (held or "")
    assert watched.night.hold is None
    assert watched.night.closed_us is not None


def test_a_dry_release_of_such_a_night_says_that_it_is_refused(watched: _Watched) -> None:
    Incumbent(night=watched.night_folder).back_up(("vcam1",))
    watched.go_until_it_would_be_over()

    with pytest.raises(OperatorError, match="vampd restore"):
        watched.order("release", dry_run=True)


def test_a_restore_without_an_import_remembers_the_frame_ids_that_were_used(
    watched: _Watched,
) -> None:
    Incumbent(night=watched.night_folder).back_up(("vcam1",))
    for path in (watched.night_folder / "vcam1").iterdir():
        path.unlink()
    (watched.night_folder / "vgen2").mkdir()
    (watched.night_folder / "vgen2" / "VMPA00425777.fits.fz").touch()
    (watched.night_folder / f"manifest_VMP_{DATE}.csv").write_text("VMPA00425778.fits|/x|1\n")
    watched.go_until_it_would_be_over()

    watched.order("restore", force=False, prove=False)

    numbers = watched.ledger.rows("select number, state from frame_id order by number")
    assert [tuple(row) for row in numbers] == [(425777, "void"), (425778, "void")]
    assert sorted(path.name for path in watched.night_folder.iterdir()) == [
        f"manifest_VMP_{DATE}_incumbent.csv",
        "vcam1",
        "vgen2.incumbent",
    ]


def test_an_empty_night_is_held_once_the_signs_are_seen(watched: _Watched) -> None:
    """A night that was judged before its signs were known: none of it is processed either."""
    watched.scan_cycle.go()
    watched.ledger.update("night", watched.night.id, status="empty")
    (watched.night_folder / "vcam1").rename(watched.night_folder / "vcam1_hlinkbak")

    watched.scan_cycle.go()

    assert watched.night.status != "empty"
    assert watched.night.hold_code == "earlier pipeline"


def test_the_history_tells_what_was_noticed_adopted_and_released(watched: _Watched) -> None:
    (watched.night_folder / "vbad").mkdir()
    watched.scan_cycle.go()
    legacy.adopt(watched.ledger, watched.night, legacy.Found(signs=["vbad"]))
    watched.order("release")

    events = watched.ledger.rows("select was, became from event where subject = 'adoption'")

    assert [tuple(event) for event in events] == [
        (None, "noticed"),
        ("noticed", "adopted"),
        ("adopted", "released"),
    ]
