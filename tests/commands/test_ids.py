"""`vampd archive ids show` and `vampd archive ids audit`, on ledgers in any state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.ledger_site import NOW_US, Site
from vampd.causes import Cause
from vampd.errors import UsageError
from vampd.ledger.counter import spans_text
from vampd.states import Stage, WaitCode

FIRST = 425_189


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    return site


def deal(site: Site, night: int, numbers: list[int], *, state: str = "bound", **more: Any) -> None:
    for number in numbers:
        site.insert(
            "frame_id",
            number=number,
            night=night,
            content_key=f"{number}",
            state=state,
            **{"reserved_us": NOW_US, "changed_us": NOW_US, "changed_by": "daemon", **more},
        )


def ask(site: Site, night: int, state: str, **more: Any) -> None:
    site.insert(
        "frame_request",
        night=night,
        count=3,
        issuer="gen2 frames",
        state=state,
        **{"asked_us": NOW_US, "changed_us": NOW_US, "changed_by": "daemon", **more},
    )


def report(site: Site, *words: str) -> tuple[int, dict[str, Any]]:
    result = site.run("archive", "ids", *words, "--json")
    return result.exit_code, json.loads(result.output)


def test_an_unclear_request_is_shown_with_what_came_and_with_the_choices(site: Site) -> None:
    night = site.night("20251106", "held")
    reply = f"VMPA{FIRST:08d}\nVMPX00000001"
    ask(site, night, "unclear", reply=reply, error="'VMPX00000001' came")

    shown = site.run("archive", "ids", "show").output

    assert "3 of gen2 frames" in shown
    assert "because: 'VMPX00000001' came" in shown
    assert f"came: VMPA{FIRST:08d}\n" in shown
    assert "vampd archive ids adopt 20251106 FIRST..LAST --why TEXT" in shown
    assert "vampd archive ids void 20251106 --why TEXT" in shown


def test_numbers_skips_and_waits_are_shown(site: Site) -> None:
    first = site.night("20251105", "held")
    site.execute("update night set ids_skip_why = 'no time' where id = ?", first)
    cause = Cause(WaitCode.OLDER_NIGHT, {"older": "20251101", "older_status": "held"})
    second = site.night("20251106", "waiting", cause=cause)
    deal(site, second, [FIRST, FIRST + 1])
    deal(site, second, [FIRST + 2], state="void", why="its output is no longer part of the night")

    lines = site.run("archive", "ids", "show").output.splitlines()

    assert lines[:2] == ["archive 20251105  held  no frame IDs", "  skipped: no time"]
    assert lines[2] == (
        f"archive 20251106  waiting  2 bound (VMPA{FIRST:08d}..VMPA{FIRST + 1:08d}),"
        f" 1 void (VMPA{FIRST + 2:08d})"
    )
    assert lines[3] == f"  waits for {cause}"


def test_one_night_is_shown_as_programs_read_it(site: Site) -> None:
    site.night("20251105", "ready")
    night = site.night("20251106", "held")
    ask(site, night, "void", why="the service was down")

    code, shown = report(site, "show", "20251106")

    assert (code, shown["schema"]) == (0, 1)
    (only,) = shown["nights"]
    assert only["date"] == "20251106"
    assert only["requests"][0]["state"] == "void"
    assert only["requests"][0]["why"] == "the service was down"


def test_an_empty_ledger_is_proved(site: Site) -> None:
    assert report(site, "audit")[0] == 0


def test_numbers_of_which_the_ledger_knows_nothing_are_told_and_are_no_fault(site: Site) -> None:
    deal(site, site.night("20251105", "ready"), [FIRST])
    deal(site, site.night("20251106", "ready"), [FIRST + 3])

    code, found = report(site, "audit")

    assert (code, found["problems"]) == (0, [])
    (gap,) = found["gaps"]
    assert gap.startswith(f"VMPA{FIRST + 1:08d} to VMPA{FIRST + 2:08d}, before those of archive")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("reserved", "reserved, and neither bound nor void"),
        ("void", "void, and no row says why"),
    ],
)
def test_a_number_that_is_nowhere_is_named(site: Site, state: str, said: str) -> None:
    night = site.night("20251106", "ready")
    site.task(night, Stage.FRAME_IDS, "done")
    deal(site, night, [FIRST], state=state)

    code, found = report(site, "audit")

    assert code == 1
    assert found["problems"] == [f"archive 20251106: VMPA{FIRST:08d}: {said}"]


def test_what_is_unclear_is_no_proof(site: Site) -> None:
    ask(site, site.night("20251106", "held"), "unclear")

    code, found = report(site, "audit")

    assert code == 1
    assert "unclear what was dealt of 3 frame IDs" in found["problems"][0]


def test_only_archive_nights_have_frame_ids(site: Site) -> None:
    result = site.run("archive", "ids", "show", "20251106")

    assert result.exit_code == 1


def strange(site: Site, number: int = 99_999_999) -> str:
    """A file whose number is far above; return where it lies."""
    place = f"{site.folder}/archive/20251001/vgen2/VMPA{number:08d}.fits.fz"
    site.insert(
        "number_seen",
        folder=f"{site.folder}/archive/20251001",
        stamp="[]",
        highest=number,
        place=place,
        runs=json.dumps([[number, number, place]]),
        looked_us=NOW_US,
    )
    return place


@pytest.mark.parametrize("command", ["status", "check", "admin doctor", "archive ids audit"])
def test_a_number_that_is_not_believed_is_told_everywhere(site: Site, command: str) -> None:
    site.insert("daemon", started_us=NOW_US, pid=1, version="0", heard_us=NOW_US)
    place = strange(site)

    shown = " ".join(site.run(*command.split()).output.split())

    assert f"VMPA99999999 stands in {place}" in shown or f"VMPA99999999 in {place}" in shown
    assert (
        "vampd archive ids audit" in shown
        or "vampd archive ids dismiss VMPA99999999 --why TEXT" in shown
    )


def test_what_an_operator_says_of_it_is_kept_and_it_is_told_no_more(site: Site) -> None:
    strange(site)
    words = ("VMPA99999999", "--why", "a test of mine")

    dry = site.run("archive", "ids", "dismiss", *words, "--dry-run")
    still = report(site, "audit")
    done = site.run("archive", "ids", "dismiss", *words)
    twice = site.run("archive", "ids", "dismiss", *words)

    assert "(dry run)" in dry.output
    assert still[0] == 1
    assert done.exit_code == 0, done.output
    assert "said of them before" in twice.output
    assert report(site, "audit")[1]["problems"] == []
    assert "a test of mine" in site.run("log").output


def test_a_word_that_gives_frame_ids_up_names_how_many_and_asks(site: Site) -> None:
    strange(site, 600_000)
    words = ("ids", "used", "VMPA00600000", "--why", "the archive says so")

    asked = site.run(*words)
    done = site.run(*words, "-y")
    shown = json.loads(site.run(*words, "-y", "--json").output)

    assert isinstance(asked.exception, UsageError)
    assert "174812 frame IDs above VMPA00425188" in asked.output
    assert "nothing was done" in str(asked.exception)
    assert done.exit_code == 0, done.output
    assert shown["changed"] is False


@pytest.mark.parametrize("number", ["VMPB00425189", "0", "VMPA999999999", "x"])
def test_what_is_no_frame_id_is_a_usage_error(site: Site, number: str) -> None:
    assert isinstance(
        site.run("archive", "ids", "used", number, "--why", "x").exception, UsageError
    )


def test_what_was_dealt_above_cannot_be_called_unused(site: Site) -> None:
    deal(site, site.night("20251105", "safe"), [FIRST + 10])

    refused = site.run("archive", "ids", "used", str(FIRST), "--why", "x")

    assert refused.exit_code == 1
    assert f"VMPA{FIRST + 10:08d} was dealt by vampd" in str(refused.exception)


def test_numbers_are_told_in_runs_not_as_a_span_over_another_nights() -> None:
    assert spans_text([5, 3, 4, 9]) == "VMPA00000003 to VMPA00000005, VMPA00000009"
