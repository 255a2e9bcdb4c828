"""keep, unkeep, undelete and reclaim as operators type them, with no daemon about."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.ledger_site import NOW_US, Site
from vampd.errors import OperatorError, UsageError
from vampd.states import Kind

DATE = "20251106"
CUBE = "vcam1_05:00:00.000000000"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(folder=tmp_path)
    site.make_ledger()
    night = site.night(DATE, "safe", kind=Kind.ENGINEERING)
    site.stages(night, Kind.ENGINEERING, None)
    site.cube(night, CUBE, frames=3)
    return site


def test_a_kept_night_is_kept_once_and_says_why(site: Site) -> None:
    first = site.said("space", "keep", DATE, "--why", "a supernova")
    second = site.said("space", "keep", DATE, "--why", "again")

    assert "nothing of it is given back until `vampd space keep --no`" in first
    assert "it is kept already: a supernova" in second
    refusals = site.answer("space", "reclaim", DATE, "--dry-run")["nights"][0]["spaces"][0][
        "refusals"
    ]
    assert "it is kept: a supernova" in refusals


def test_unkeep_takes_it_back_once(site: Site) -> None:
    site.said("space", "keep", DATE, "--why", "a supernova")

    assert "it was kept: a supernova" in site.said("space", "keep", "--no", DATE)
    assert "it is not kept" in site.said("space", "keep", "--no", DATE)


@pytest.mark.parametrize("verb", [("keep",), ("keep", "--no")])
def test_a_dry_run_changes_nothing(site: Site, verb: tuple[str, ...]) -> None:
    if "--no" in verb:
        site.said("space", "keep", DATE, "--why", "x")
    why = ["--why", "x"]

    assert site.answer("space", *verb, DATE, *why, "--dry-run")["nights"][0]["changed"]
    assert site.answer("space", *verb, DATE, *why)["nights"][0]["changed"]


def test_a_dry_run_lists_what_speaks_against_each_night(site: Site) -> None:
    said = site.said("space", "reclaim", "--dry-run")

    assert f"engineering {DATE}: raw into the trash: 2 files" in said
    assert "not yet: it was not seen to be safe yet, of 30.0 days" in said
    assert "only when asked (reclaim.enabled is false)" in said


def test_nothing_goes_that_may_not_whoever_asks(site: Site) -> None:
    result = site.run("space", "reclaim", DATE, "-y")

    assert isinstance(result.exception, OperatorError)
    assert "nothing of it may go" in str(result.exception)
    assert "it was not seen to be safe yet" in str(result.exception)


def test_all_nights_are_meant_only_where_it_is_enabled(site: Site) -> None:
    result = site.run("space", "reclaim", "-y")

    assert isinstance(result.exception, OperatorError)
    assert "reclaim.enabled is false" in str(result.exception)


def test_the_word_on_quarantined_files_needs_a_reason(site: Site) -> None:
    assert isinstance(
        site.run("space", "reclaim", DATE, "--let-go-quarantined").exception, UsageError
    )


def test_the_word_on_quarantined_files_is_given_once(site: Site) -> None:
    site.execute("update raw_file set state = 'quarantined', reason = 'no timing file'")

    first = site.said("space", "reclaim", DATE, "--let-go-quarantined", "--why", "it is lost")
    second = site.said("space", "reclaim", DATE, "--let-go-quarantined", "--why", "again")

    assert f"vcam1/{CUBE}.fits may go" in first
    assert "no quarantined file of it is undecided" in second


def test_a_night_of_which_all_holds_is_begun_for_the_daemon(site: Site) -> None:
    _ready(site)

    listed = site.said("space", "reclaim", "--dry-run")
    begun = site.said("space", "reclaim", DATE, "-y")
    again = site.said("space", "reclaim", DATE, "-y")
    undone = site.said("space", "undelete", DATE)

    assert "may go, once every far copy is verified afresh" in listed
    assert "raw into the trash: 2 files" in begun
    assert "it is under way already" in again
    assert "0 files, 0.0 GB, are put back" in undone
    assert "nothing of it lies in the trash" in site.said("space", "undelete", DATE)


def test_nothing_lies_in_the_trash_of_a_night_that_was_never_touched(site: Site) -> None:
    assert "nothing of it lies in the trash" in site.said("space", "undelete", DATE)


def test_show_tells_who_keeps_a_night_and_what_lies_in_the_trash(site: Site) -> None:
    site.said("space", "keep", DATE, "--why", "a supernova")
    _put(site, "trashed")

    said, answer = site.said("show", DATE), site.answer("show", DATE)["nights"][0]

    assert "kept because a supernova" in said
    assert "in the trash 1 file, " in said
    assert (answer["kept"], answer["trash"]["files"]) == ("a supernova", 1)


@pytest.mark.parametrize(("state", "missed"), [("trashed", 0), ("unlinked", 0), ("returned", 1)])
def test_verify_misses_no_local_copy_that_gave_its_space_back(
    site: Site, state: str, missed: int
) -> None:
    site.execute(
        "insert into deliverable (night, path, size_bytes, sha256) values (1, 'vgen2/a.txt', 5, ?)",
        "a" * 64,
    )
    _put(site, state)

    answer = site.answer("data", "verify", DATE)

    assert len(answer["nights"][0]["here"]) == missed


def _put(site: Site, state: str) -> None:
    """Let the ledger say that an output went that way."""
    site.execute(
        "insert into reclaim (id, run, night, space, final, state, begun_us, begun_passed_us,"
        " changed_us, changed_by) values (1, 1, 1, 'outputs', 0, 'done', 1, 1, 1, 'vampd')"
    )
    site.execute(
        "insert into trash (reclaim, night, space, path, place, inode, size_bytes, modified_ns,"
        " state, changed_us, changed_by) values (1, 1, 'outputs', 'vgen2/a.txt', 'x', 1, 5, 1, ?,"
        " 1, 'vampd')",
        state,
    )


def _ready(site: Site) -> None:
    """Let all hold: its frames are rejected, with a reason; its raw file is proved."""
    site.execute(
        "insert into segment (night, raw_file, first, step, count, reason)"
        " select night, id, 0, 1, 3, 'no time' from raw_file where role = 'cube'"
    )
    site.execute(
        "insert into deliverable (night, path, size_bytes, sha256, verified_us, verdict)"
        " values (1, '.vampd/raw_sidecar.tar', 5, 'a', 1, 'verified')"
    )
    site.execute(
        "insert into rebuild_proof (night, batch, sidecar_sha256, proved_us, changed_us,"
        " changed_by) values (1, 1, 'a', 1, 1, 'vampd')"
    )
    site.execute("update raw_file set rebuilt_by = 1")
    site.execute("insert into witness (id, seen_ns, passed_us) values (1, 0, ?)", NOW_US)
    site.execute("insert into safe_since (night, since_us, passed_us) values (1, 1, 1)")


def test_where_it_is_enabled_all_nights_that_may_are_begun(site: Site) -> None:
    with site.config.open("a") as config:
        config.write("[reclaim]\nenabled = true\n")

    nothing = site.said("space", "reclaim", "-y")
    _ready(site)
    asked = site.run("space", "reclaim")
    begun = site.said("space", "reclaim", "-y")
    again = site.said("space", "reclaim", "-y")

    assert "nothing may go now" in nothing
    assert isinstance(asked.exception, UsageError)
    assert f"engineering {DATE}: raw into the trash: 2 files" in begun
    assert "nothing may go now" in again


def test_a_night_that_is_too_much_for_a_run_is_refused(site: Site) -> None:
    with site.config.open("a") as config:
        config.write("[reclaim]\nmax_gb_per_run = 0.000001\n")
    _ready(site)

    result = site.run("space", "reclaim", DATE, "-y")

    assert "a run takes 0.0 at most (reclaim.max_gb_per_run)" in str(result.exception)
