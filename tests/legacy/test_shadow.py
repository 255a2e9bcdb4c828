"""A shadow works beside the earlier pipeline, writes to its own state alone, and compares."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon_site import DATE, DaemonSite, Settings, make_site
from tests.support.frames import read_file_stamps, who
from tests.support.incumbent import Incumbent
from tests.support.reference_night import INCUMBENT_NIGHT, needs_incumbent_night
from tests.support.waiting import wait_until
from vampd.errors import ConfigError, OperatorError
from vampd.io.lock import StateLock
from vampd.legacy.result import read_result
from vampd.legacy.shadow import Mirror, refuse_order
from vampd.settings.load import load
from vampd.settings.sections import Root
from vampd.simulation.night import SimulatedNight
from vampd.simulation.reference_scenes import REFERENCE_SCENES
from vampd.states import Kind

_FEW = ("pdi-short", "one-frame")
_MORE = (
    *_FEW,
    "pdi-drops-late",
    "dark-free-run",
    "sync-no-flc",
    "one-camera",
    "pdi-medium",
    "no-txt",
)


def _snapshot(folder: Path) -> dict[str, tuple[int, ...]]:
    """Everything that a write, a link, a rename or a change of rights would leave behind."""
    found: dict[str, tuple[int, ...]] = {}
    for path in (folder, *folder.rglob("*")):
        status = path.lstat()
        found[str(path.relative_to(folder))] = (
            status.st_ino,
            status.st_mode,
            status.st_nlink,
            status.st_uid,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )
    return found


def _add_scenes(site: DaemonSite, names: Sequence[str] = _FEW, kind: str = "archive") -> None:
    scenes = [scene for scene in REFERENCE_SCENES.values() if scene.name in names]
    SimulatedNight(scenes, date=DATE).write(site.root(kind))


def _frames(paths: Iterable[Path]) -> list[tuple[int, int, int]]:
    """Every frame in the cubes at *paths*, as (camera, scene, trigger)."""
    return sorted(frame for path in paths for frame in who(read_file_stamps(path)))


def _ledger(site: DaemonSite, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(site.state / "shadow" / "ledger.sqlite3")) as ledger:
        return ledger.execute(query).fetchall()


def _report(site: DaemonSite, *words: str) -> dict[str, Any]:
    (night,) = site.json("admin", "shadow-report", *words)["nights"]
    found: dict[str, Any] = night
    return found


def _figures(report: dict[str, Any]) -> dict[str, int]:
    return {name: found["frames"] for name, found in report["differences"].items()}


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[DaemonSite, Incumbent]:
    """A night of many scenes that a shadow planned, and that was processed without vampd then."""
    site = make_site(tmp_path_factory.mktemp("shadow"))
    _add_scenes(site, _MORE)
    done = site.call("admin", "run", "--shadow", "--until-idle")
    assert done.returncode == 0, done.stderr
    return site, Incumbent(night=site.night()).process()


def test_a_shadow_leaves_no_trace_under_the_roots_or_at_the_far_end(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    _add_scenes(site)
    _add_scenes(site, ("one-frame",), "engineering")
    places = [site.folder / "fuuu", site.folder / "far"]
    before = [_snapshot(place) for place in places]

    done = site.call("admin", "run", "--shadow", "--build", "--until-idle")

    assert done.returncode == 0, done.stderr
    assert [_snapshot(place) for place in places] == before
    assert sorted(path.name for path in site.state.iterdir()) == ["shadow"]
    built = (site.state / "shadow" / "archive" / DATE / "vgen2").glob("*.fits.fz")
    assert _frames(built) == _frames(site.night().glob("vcam?/*.fits"))


def test_a_shadow_needs_no_right_to_write_under_the_roots(tmp_path: Path) -> None:
    """The same on read-only mounts: a write that left no trace would be an error now."""
    site = make_site(tmp_path)
    _add_scenes(site)
    script = 'for place in "$1" "$2"; do mount --bind "$place" "$place" || exit 77;'
    script += ' mount -o remount,bind,ro "$place" || exit 77; done; shift 2; exec "$@"'
    places = [str(site.folder / "fuuu"), str(site.folder / "far")]
    words = site.words("admin", "run", "--shadow", "--until-idle")

    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *places, *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=90,
    )

    forbidden = done.returncode in {1, 77} and "ermission" in done.stderr + done.stdout
    if forbidden or done.stderr.startswith("unshare: "):
        pytest.skip("no mounts for this user, or in this place")
    assert done.returncode == 0, done.stderr
    assert _ledger(site, "select status from night") == [("held",)]


def test_a_shadow_plans_and_deals_sends_mails_nothing(
    compared: tuple[DaemonSite, Incumbent],
) -> None:
    site, _ = compared

    assert _ledger(site, "select distinct stage from task where state = 'done'") == [("sync",)]
    assert set(_ledger(site, "select distinct stage from task")) == {("sync",), ("build",)}
    assert _ledger(site, "select count(*) from output where state = 'planned'") > [(0,)]
    assert _ledger(site, "select count(*) from frame_id") == [(0,)]
    assert _ledger(site, "select count(*) from deliverable") == [(0,)]
    assert not (site.state / "ledger.sqlite3").exists()


def test_the_report_counts_what_the_other_pipeline_did(
    compared: tuple[DaemonSite, Incumbent],
) -> None:
    """The stand-in counts its own deeds; the report finds them from its files alone."""
    site, incumbent = compared

    report = _report(site)

    figures = _figures(report)
    assert report["theirs"]["frames"] == incumbent.done["frames"]
    assert figures["lost_unmatched"] == incumbent.done["unmatched"] > 0
    assert figures["lost_alone"] == incumbent.done["alone"] > 0
    assert figures["opposite_short"] == incumbent.done["opposite"] > 0
    assert figures["moved_whole"] == incumbent.done["moved"] > 0
    assert not {"lost", "lost_cube", "opposite", "unknown", "twice"} & figures.keys()
    assert report["planned"]["frames"] == report["alike"] + sum(figures.values())


@needs_incumbent_night
def test_what_the_other_pipeline_s_own_programs_did_is_found_with_its_causes(
    tmp_path: Path,
) -> None:
    """By pixels they lost 6 frames, labelled 58 wrong, and did not make 161 pairs."""
    site = make_site(tmp_path)
    shutil.copytree(INCUMBENT_NIGHT, site.night())
    done = site.call("admin", "run", "--shadow", "--until-idle")
    assert done.returncode == 0, done.stderr

    report = _report(site)

    assert report["theirs"] == {"frames": 4600, "cubes": 66}
    assert report["problems"] == []
    assert _figures(report) == {
        "lost_unmatched": 5,
        "lost_alone": 1,
        "opposite_short": 58,
        "moved_whole": 2 * 161,
        "doubted_there": 22,
        "doubted_here": 2,
    }


def test_a_timing_file_that_fits_no_cube_and_a_cube_without_one_are_told(
    compared: tuple[DaemonSite, Incumbent], tmp_path: Path
) -> None:
    site, _ = compared
    other = make_site(tmp_path)
    shutil.copytree(site.night(), other.night())
    orphans = sorted((other.night() / "vgen2").glob("vsync_*.txt"))
    rows = orphans[0].read_text().splitlines(keepends=True)
    orphans[0].write_text("".join(rows[:-1]))
    for path in other.night().glob("vcam?_hlinkbak/*.txt"):
        path.unlink()

    result = read_result(other.night())

    assert [line for line in result.problems if orphans[0].name in line] == [
        f"vgen2/{orphans[0].name}: a timing file to which no cube fits"
    ]
    (cube,) = [line for line in result.problems if "its frames cannot be told" in line]
    assert "no timing file, and none of" in cube


def test_without_the_orphan_a_cube_is_read_by_its_raw_timing_file(
    compared: tuple[DaemonSite, Incumbent], tmp_path: Path
) -> None:
    site, _ = compared
    other = make_site(tmp_path)
    shutil.copytree(site.night(), other.night())
    whole = read_result(other.night())
    for orphan in (other.night() / "vgen2").glob("vsync_*.txt"):
        orphan.unlink()

    result = read_result(other.night())

    assert result.problems == ()
    assert len(result.frames) == len(whole.frames)
    assert [cube.path for cube in result.cubes if cube.moved] == [
        cube.path for cube in whole.cubes if cube.moved
    ]


def test_the_report_says_which_cubes_differ(compared: tuple[DaemonSite, Incumbent]) -> None:
    site, incumbent = compared

    report = _report(site)

    named = {cube["path"]: cube for cube in report["cubes"]}
    assert len(named) == len(incumbent.numbers)
    assert {cube["name"] + "." for cube in named.values()} >= {
        stem.removesuffix(".A") + "." for stem in incumbent.numbers.values() if stem.endswith(".A")
    }
    per_cube = sum(
        cube["differences"].get("opposite sign: its cube has fewer than 26 frames", 0)
        for cube in named.values()
    )
    assert per_cube == incumbent.done["opposite"]


def test_a_night_that_is_processed_already_gets_the_same_plan(
    compared: tuple[DaemonSite, Incumbent], tmp_path: Path
) -> None:
    """Only the hard links are left of its raw files: they are the same files."""
    site, _ = compared
    late = make_site(tmp_path)
    shutil.copytree(site.night(), late.night())

    done = late.call("admin", "run", "--shadow", "--until-idle")

    assert done.returncode == 0, done.stderr
    query = "select name, frames, first_us, last_us from output order by ordinal"
    assert _ledger(late, query) == _ledger(site, query)
    assert _figures(_report(late)) == _figures(_report(site))


def test_pixels_that_differ_are_found(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    _add_scenes(site, ("pdi-short",))
    site.call("admin", "run", "--shadow", "--until-idle")
    Incumbent(night=site.night()).process()
    alike = _report(site, "--pixels")["pixels"]
    ones, others = sorted((site.night() / "vgen2").glob("*.fits.fz"))[:2]
    count = len(read_file_stamps(ones).triggers)
    shutil.copyfile(others, ones)

    report = _report(site, "--pixels")

    assert alike["different"] == 0
    assert alike["equal"] == report["theirs"]["frames"]
    assert report["pixels"]["different"] == count


def test_a_shadow_follows_a_night_that_is_processed_while_it_collects(tmp_path: Path) -> None:
    """The other pipeline does not wait for the shadow; the raw files are moved under its eyes."""
    site = make_site(tmp_path, Settings(quiet_seconds=3600.0))  # longer than the other one takes
    _add_scenes(site)
    cubes = len(list(site.night().glob("vcam?/*.fits")))

    with site.running("--shadow"):
        _wait(lambda: _ledger(site, "select count(*) from cube") == [(cubes,)], site)
        incumbent = Incumbent(night=site.night()).process()
    settings = site.config.read_text()
    site.config.write_text(settings.replace("quiet_minutes = 60.0", "quiet_minutes = 0.0"))
    site.call("admin", "run", "--shadow", "--until-idle")

    assert _ledger(site, "select status from night") == [("held",)]
    assert _ledger(site, "select hold from night") == [(None,)]
    assert _figures(_report(site))["opposite_short"] == incumbent.done["opposite"]


def test_a_shadow_runs_beside_the_daemon_of_the_same_settings(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    _add_scenes(site, ("one-frame",))

    with StateLock.acquire(site.state):
        daemon = site.call("admin", "run", "--until-idle")
        shadow = site.call("admin", "run", "--shadow", "--until-idle")

    assert (daemon.returncode, shadow.returncode) == (1, 0), shadow.stderr


def test_to_build_without_a_shadow_is_no_option(tmp_path: Path) -> None:
    assert make_site(tmp_path).call("admin", "run", "--build").returncode == 64


def _wait(is_so: Callable[[], bool], site: DaemonSite) -> None:
    def is_so_at_last() -> bool:
        with suppress(sqlite3.OperationalError):  # no ledger yet
            return is_so()
        return False

    wait_until(is_so_at_last, site.log)


def test_a_report_without_a_shadow_says_how_to_get_one(tmp_path: Path) -> None:
    site = make_site(tmp_path)

    done = site.call("admin", "shadow-report")

    assert done.returncode == 1
    assert "vampd admin run --shadow" in done.stderr


def _mirrored(site: DaemonSite) -> tuple[Mirror, Root]:
    mirror = Mirror()
    (root,) = (
        root for root in mirror.settings(load(site.config)).roots if root.kind is Kind.ARCHIVE
    )
    return mirror, root


def test_an_absent_disk_is_not_an_empty_one_without_a_marker_either(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    _add_scenes(site)
    mirror, root = _mirrored(site)
    first = mirror.renew(root)
    site.root().rename(tmp_path / "unmounted")
    site.root().mkdir()
    empty = mirror.renew(root)
    (site.root() / "20251107").mkdir()
    other = mirror.renew(root)

    assert first is None
    assert "nothing is mounted" in str(empty)
    assert "not the disk" in str(other)
    assert (root.path / DATE / "vcam1").is_symlink()


def test_the_raw_files_are_followed_into_the_backup_once_it_is_complete(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    _add_scenes(site)
    mirror, root = _mirrored(site)
    link = root.path / DATE / "vcam1"
    camera, backup = site.night() / "vcam1", site.night() / "vcam1_hlinkbak"
    places = []

    def look() -> None:
        assert mirror.renew(root) is None
        places.append(link.readlink().name)

    look()
    backup.mkdir()
    paths = sorted(camera.iterdir())
    os.link(paths[0], backup / paths[0].name)
    look()
    for path in paths[1:]:
        os.link(path, backup / path.name)
    look()
    shutil.rmtree(camera)
    look()

    assert places == ["vcam1", "vcam1", "vcam1_hlinkbak", "vcam1_hlinkbak"]


def test_a_shadow_takes_no_orders() -> None:
    with pytest.raises(OperatorError, match="no orders"):
        refuse_order("restore", {}, "uid 0")


def test_a_state_folder_too_deep_for_a_socket_is_refused_with_the_reason(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    deep = site.folder / "d" / ("x" * 90)
    site.config.write_text(site.config.read_text().replace(f"{site.folder}/state", str(deep)))
    site.config.write_text(site.config.read_text() + f'\n[control]\nsocket = "{tmp_path}/s"\n')

    with pytest.raises(ConfigError, match="shorten state_dir"):
        Mirror().settings(load(site.config))


def test_digests_are_left_to_those_who_deliver(compared: tuple[DaemonSite, Incumbent]) -> None:
    """Reading terabytes beside another pipeline and the cameras would gain a shadow nothing."""
    site, _ = compared

    assert _ledger(site, "select count(*) from raw_file where sha256 is not null") == [(0,)]
