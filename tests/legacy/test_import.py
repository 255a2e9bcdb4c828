"""`vampd admin import-legacy`: every word of the earlier pipeline is recorded, none obeyed."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.incumbent import Incumbent, status_table
from tests.support.ledger_site import NOW_US, Site
from tests.support.reference_night import INCUMBENT_NIGHT, needs_incumbent_night
from tests.support.trees import identities_of_tree
from vampd.errors import UsageError
from vampd.simulation.night import SimulatedNight
from vampd.simulation.reference_scenes import REFERENCE_SCENES
from vampd.states import Kind

_DATE = "20251106"
_FIRST = 425001


@pytest.fixture(scope="module")
def processed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small night that the earlier pipeline processed."""
    root = tmp_path_factory.mktemp("processed")
    scenes = [REFERENCE_SCENES["pdi-short"], REFERENCE_SCENES["one-frame"]]
    SimulatedNight(scenes, date=_DATE).write(root)
    Incumbent(night=root / _DATE, first_number=_FIRST).process()
    return root / _DATE


@pytest.fixture
def site(tmp_path: Path, processed: Path) -> Site:
    """Two roots; the processed night lies in that of archive nights."""
    site = Site(folder=tmp_path / "site")
    shutil.copytree(processed, site.folder / "archive" / _DATE)
    return site


def _night(site: Site) -> Path:
    return site.folder / "archive" / _DATE


def _rows(site: Site, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(site.ledger)) as ledger:
        return ledger.execute(query).fetchall()


def _dump(site: Site) -> list[str]:
    with closing(sqlite3.connect(site.ledger)) as ledger:
        return [line for line in ledger.iterdump() if "sqlite_stat" not in line]


def _imported(site: Site, *arguments: object) -> dict[str, Any]:
    answer = site.answer("admin", "import-legacy", *arguments)
    (night,) = answer["nights"]
    found: dict[str, Any] = {**answer, **night}
    return found


def _said(found: dict[str, Any], key: str, words: str) -> bool:
    return any(words in line for line in found[key])


def test_a_processed_night_is_held_and_its_frame_ids_are_used_for_ever(site: Site) -> None:
    found = _imported(site)

    count = found["frame_ids"]["count"]
    assert found["adopted"] is True
    assert _rows(site, "select kind, date, status, hold from night") == [
        ("archive", _DATE, "held", "processed by the earlier pipeline; adopted, not verified")
    ]
    assert _rows(site, "select min(number), count(*), max(state) from frame_id") == [
        (_FIRST, count, "void")
    ]
    assert count == len(list((_night(site) / "vgen2").glob("VMPA*.fits.fz")))
    assert _said(found, "proved", f"{count} of them with frame IDs, VMPA00425001")
    assert _said(found, "proved", "vcam1_hlinkbak: 2 raw cubes, 2 timing files; 2 of the size")
    assert _said(found, "unproved", "never verified by digest: no table names this night")


def test_timing_files_that_were_written_anew_and_cubes_without_one_are_told(site: Site) -> None:
    backup = _night(site) / "vcam1_hlinkbak"
    gone = min(backup.glob("*.txt"))
    gone.unlink()

    found = _imported(site)

    assert _said(found, "unproved", "1 of 1 timing file in vcam1_hlinkbak written anew")
    assert _said(found, "unproved", "2 of 2 timing files in vcam2_hlinkbak written anew")
    assert _said(
        found, "unproved", f"1 raw cube in vcam1_hlinkbak without a timing file, {gone.stem}"
    )
    assert _said(found, "unproved", "2 cubes in vgen2 without a timing file under the same name")
    assert _said(found, "unproved", "2 timing files without a cube: what it synchronised")


def test_timing_files_of_the_logger_s_own_are_not_taken_for_written_anew(tmp_path: Path) -> None:
    site = Site(folder=tmp_path / "site")
    scenes = [REFERENCE_SCENES["pdi-short"], REFERENCE_SCENES["one-frame"]]
    night = SimulatedNight(scenes, date=_DATE)
    night.write(site.folder / "archive")
    (_night(site) / "vbad").mkdir()
    (_night(site) / "vgen2").mkdir()

    found = _imported(site)

    assert not _said(found, "unproved", "written anew")
    assert not _said(found, "unproved", "without a timing file")


@needs_incumbent_night
def test_what_the_pipeline_s_own_programs_did_to_raw_timing_files_is_told(tmp_path: Path) -> None:
    site = Site(folder=tmp_path / "site")
    shutil.copytree(INCUMBENT_NIGHT, _night(site))

    found = _imported(site)

    assert _said(found, "unproved", "25 of 26 timing files in vcam1_hlinkbak written anew")
    assert _said(found, "unproved", "24 of 25 timing files in vcam2_hlinkbak written anew")
    assert _said(found, "unproved", "1 raw cube in vcam1_hlinkbak without a timing file")
    assert _said(found, "unproved", "8 cubes in vgen2 without a timing file under the same name")


def test_what_is_proved_and_what_is_not_is_shown_with_the_night(site: Site) -> None:
    _imported(site)
    _imported(site, "--digests")

    text = " ".join(site.said("show", _DATE).split())

    assert "not proved: the copy at the far end was never verified by digest" in text
    assert "proved: SHA-256 of" in text
    assert "no digest of what lies in vgen2" not in text


def test_to_import_touches_no_file(site: Site) -> None:
    before = identities_of_tree(site.folder / "archive")

    _imported(site, "--digests")

    assert identities_of_tree(site.folder / "archive") == before


def test_a_second_import_changes_nothing(site: Site) -> None:
    (site.folder / "archive" / "ARCHIVE_LOG.csv").write_text(
        status_table([(_night(site), "True,,True,,True,2025-11-14T20:15:09")])
    )
    first = _imported(site)
    before = _dump(site)

    second = _imported(site)

    assert (first["changed"], second["changed"]) == (True, False)
    assert second["lines"] == []
    assert _dump(site) == before


def test_a_dry_run_says_the_same_and_records_nothing(site: Site) -> None:
    site.make_ledger()
    before = _dump(site)

    dry = _imported(site, "--dry-run")

    assert _dump(site) == before
    assert dry["lines"] == _imported(site)["lines"] != []


def test_a_dry_run_makes_no_ledger(site: Site) -> None:
    _imported(site, "--dry-run")

    assert not site.ledger.exists()


def test_the_tables_word_is_kept_and_called_what_it_is(site: Site) -> None:
    (site.folder / "archive" / "ARCHIVE_LOG.csv").write_text(
        status_table([(_night(site), "True,,True,,True,2025-11-14T20:15:09")])
    )

    found = _imported(site)

    assert _said(found, "unproved", "says safe since 2025-11-14T20:15:09, which compared checksum")
    assert _said(found, "conflicts", "says processed, and not when")
    (row,) = _rows(site, "select processed, processed_at, safe, safe_at, night from legacy_row")
    assert row == (1, None, 1, "2025-11-14T20:15:09", 1)
    assert "True" in site.said("status", "--format", "csv").splitlines()[1]


def test_what_is_marked_for_deletion_is_told_and_stays(site: Site) -> None:
    vgen2 = _night(site) / "vgen2"
    (site.folder / "archive" / "MARKED_FOR_DELETION.csv").write_text(
        f"scexao5_path,delete_after\n{vgen2},2025-11-15T20:15:09+00:00\n"
    )

    text = site.said("admin", "import-legacy")

    assert "marked for deletion" in text
    assert "vampd leaves it alone" in " ".join(text.split())
    assert any(vgen2.iterdir())
    assert _rows(site, "select folder, delete_after from legacy_row") == [
        (str(vgen2), "2025-11-15T20:15:09+00:00")
    ]


def test_table_and_folder_that_contradict_each_other_are_told(site: Site) -> None:
    table = site.folder / "archive" / "ARCHIVE_LOG.csv"
    gone = site.folder / "archive" / "20250101"
    rows = [(_night(site), "False,,False,,False,"), (gone, "True,,True,,True,")]
    table.write_text(status_table([*rows, (Path("/other/20250102"), "True,,True,,True,")]))

    found = _imported(site)

    assert _said(found, "conflicts", "does not say processed, but")
    assert _said(found, "strays", f"{gone} is not there")
    assert _said(found, "strays", "/other/20250102 lies in no root")


def test_a_cube_that_was_cut_or_renumbered_is_named(site: Site) -> None:
    cubes = sorted((_night(site) / "vgen2").glob("VMPA*.fits.fz"))
    cubes[0].write_bytes(b"")
    cubes[1].write_bytes(cubes[1].read_bytes()[:-2880])
    cubes[2].rename(cubes[2].with_name("VMPA00429999.fits.fz"))

    found = _imported(site)

    assert _said(found, "conflicts", f"{cubes[0].name}: ends within a header, after 0 bytes")
    assert any(cubes[1].name in line and "demand" in line for line in found["conflicts"])
    assert _said(found, "conflicts", "VMPA00429999.fits.fz: its header's FRAMEID is VMPA0042500")
    assert _said(found, "conflicts", "the manifest lists 1 file not there")
    assert (429999,) in _rows(site, "select number from frame_id")


def test_a_number_that_vampd_gave_to_something_else_is_a_conflict(site: Site) -> None:
    site.make_ledger()
    night = site.night("20251001", "safe")
    site.insert(
        "frame_id",
        number=_FIRST,
        night=night,
        content_key="x",
        state="bound",
        reserved_us=NOW_US,
        changed_us=NOW_US,
        changed_by="vampd",
    )

    found = _imported(site)

    assert _said(found, "lines", "conflict: VMPA00425001 of vgen2/VMPA00425001")
    assert _rows(site, f"select state, night from frame_id where number = {_FIRST}") == [
        ("bound", night)
    ]


def test_numbers_that_only_a_list_names_are_used_too(site: Site) -> None:
    shutil.rmtree(_night(site) / "vgen2")

    found = _imported(site)

    assert found["frame_ids"]["first"] == _FIRST
    assert _said(found, "unproved", "in its lists that no file bears")


def test_a_raw_header_that_was_edited_through_a_hard_link_is_found(site: Site) -> None:
    raw = next((_night(site) / "vcam1_hlinkbak").glob("*.fits"))
    content = raw.read_bytes()
    raw.write_bytes(content.replace(b"FRAMEID = 'NA      '    ", b"FRAMEID = 'VMPA00425001'"))

    found = _imported(site)

    assert _said(found, "unproved", "1 raw header in vcam1_hlinkbak edited")
    assert found["frame_ids"]["count"] > 1


def test_a_night_that_stopped_on_the_way_is_adopted_with_what_is_missing(site: Site) -> None:
    night = _night(site)
    shutil.copytree(night / "vcam1_hlinkbak", night / "vcam1")
    (night / "vsync").mkdir()
    cube = next((night / "vgen2").glob("*.fits.fz"))
    cube.rename(night / "vgen2" / "vsync_05:10:00.000000.cam1.fitsframes")

    found = _imported(site)

    assert found["signs"] == ["vcam1_hlinkbak", "vcam2_hlinkbak", "vgen2", "vsync"]
    assert _said(found, "unproved", "vcam1 still holds raw cubes beside the backup")
    assert _said(found, "conflicts", "left over on the way")


def test_a_night_whose_files_are_all_gone_is_adopted_by_its_table(site: Site) -> None:
    for name in ("vgen2", "vcam1_hlinkbak", "vcam2_hlinkbak"):
        shutil.rmtree(_night(site) / name)
    (site.folder / "archive" / "ARCHIVE_LOG.csv").write_text(
        status_table([(_night(site), "True,,True,,True,")])
    )

    found = _imported(site)

    assert found["adopted"] is True
    assert _said(found, "unproved", "no raw cube lies here")
    assert _said(found, "conflicts", "nothing of that lies in its folder")


def test_a_night_that_was_never_processed_is_vampds_to_do(site: Site) -> None:
    night = _night(site)
    for camera in ("vcam1", "vcam2"):
        (night / f"{camera}_hlinkbak").rename(night / camera)
    shutil.rmtree(night / "vgen2")
    (night / f"manifest_VMP_{_DATE}.csv").unlink()
    table = site.folder / "archive" / "ARCHIVE_LOG.csv"
    table.write_text(status_table([(night, "False,,False,,False,")]))

    found = _imported(site)

    assert found["adopted"] is False
    assert _rows(site, "select hold from night") == [(None,)]
    assert _rows(site, "select count(*) from frame_id") == [(0,)]


def test_of_vampds_own_night_only_what_was_set_aside_counts(site: Site) -> None:
    """Restored without an import, then made by vampd: those numbers are used all the same."""
    night = _night(site)
    (night / "vgen2").rename(night / "vgen2.incumbent")
    (night / f"manifest_VMP_{_DATE}.csv").rename(night / f"manifest_VMP_{_DATE}_incumbent.csv")
    for camera in ("vcam1", "vcam2"):
        (night / f"{camera}_hlinkbak").rename(night / camera)
    (night / ".vampd").mkdir()
    (night / "vgen2").mkdir()
    (night / "vgen2" / "VMPA00430000.fits.fz").write_bytes(b"")

    found = _imported(site)

    assert found["adopted"] is False
    assert found["frame_ids"]["last"] < 430000
    assert _rows(site, "select min(number) from frame_id") == [(_FIRST,)]


def test_a_night_of_vampds_own_is_not_adopted(site: Site) -> None:
    site.make_ledger()
    shutil.rmtree(_night(site) / "vgen2")
    (_night(site)).rename(site.folder / "aside")
    number = site.night(_DATE, "safe")
    (site.folder / "archive" / _DATE).rmdir()
    (site.folder / "aside").rename(_night(site))
    cube = site.cube(number, "vcam1_05:10:00.000000000", frames=10)
    site.output(number, 0, "vcam1_05:10:00.137310", [(cube, 0, 1, 10)])

    found = _imported(site)

    assert "conflict: vampd planned this night itself; it is not adopted" in found["lines"]
    assert _rows(site, "select status, hold from night") == [("safe", None)]


def test_digests_are_recorded_when_asked_for_and_stay_until_a_file_changes(site: Site) -> None:
    query = "select count(*) from legacy_file where sha256 is not null"
    _imported(site)
    without = _rows(site, query)
    found = _imported(site, "--digests")
    (with_them,) = _rows(site, query)
    _imported(site)
    kept = _rows(site, query)
    next((_night(site) / "vgen2").glob("*.txt")).write_text("other\n")
    _imported(site)

    assert without == [(0,)]
    assert with_them == (found["files"],)
    assert kept == [with_them]
    assert _rows(site, query) == [(with_them[0] - 1,)]


def test_one_night_or_one_table_can_be_named(site: Site) -> None:
    other = site.folder / "archive" / "20251107"
    shutil.copytree(_night(site), other)
    table = site.folder / "elsewhere.csv"
    table.write_text(status_table([(other, "True,,False,,False,")]))

    by_folder = site.answer("admin", "import-legacy", _night(site))
    by_table = site.answer("admin", "import-legacy", table)

    assert [night["date"] for night in by_folder["nights"]] == [_DATE]
    assert [night["date"] for night in by_table["nights"]] == ["20251107"]


def test_an_engineering_night_is_of_its_roots_kind(site: Site) -> None:
    _night(site).rename(site.folder / "engineering" / _DATE)

    _imported(site)

    assert _rows(site, "select kind from night") == [(Kind.ENGINEERING,)]


def test_a_path_that_is_not_there_is_refused(site: Site) -> None:
    with pytest.raises(UsageError, match="no such file"):
        site.said("admin", "import-legacy", site.folder / "nowhere")
