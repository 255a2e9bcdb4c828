"""Which nights a DATE means."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.ledger_site import Site
from vampd.errors import OperatorError, UsageError
from vampd.states import Kind


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    site.night("20251031", "safe")
    site.night("20251101", "safe", kind=Kind.ENGINEERING)
    site.night("20251106", "safe")
    site.night("20251106", "safe", kind=Kind.ENGINEERING)
    return site


def shown(site: Site, *arguments: object) -> list[tuple[str, str]]:
    nights = site.answer("show", *arguments)["nights"]
    return [(night["kind"], night["date"]) for night in nights]


@pytest.mark.parametrize("text", ["20251101", "2025-11-01", "20251101..20251101"])
def test_a_date_may_be_written_in_several_ways(site: Site, text: str) -> None:
    assert shown(site, text) == [("engineering", "20251101")]


def test_a_folder_names_its_own_night_even_where_the_date_is_two(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = site.folder / "engineering"
    assert shown(site, f"{folder}/20251106/") == [("engineering", "20251106")]
    monkeypatch.chdir(folder)
    assert shown(site, "./20251106") == [("engineering", "20251106")]


def test_last_is_the_newest_night_of_the_ledger(site: Site) -> None:
    assert shown(site, "last", "--kind", "archive") == [("archive", "20251106")]


def test_a_range_gives_the_nights_in_order(site: Site) -> None:
    assert shown(site, "2025-10-01..20251105") == [
        ("archive", "20251031"),
        ("engineering", "20251101"),
    ]


@pytest.mark.parametrize("text", ["20251106", "last", "20251101..20251130"])
def test_an_order_for_two_nights_is_refused_until_the_kind_is_said(site: Site, text: str) -> None:
    with pytest.raises(UsageError, match="two nights: add --kind"):
        site.said("release", text)
    assert shown(site, text, "--kind", "archive") == [("archive", "20251106")]


@pytest.mark.parametrize("text", ["tomorrow", "2025110", "20251106..", "20251107..20251101", ""])
def test_what_is_no_date_is_a_mistake_of_the_command_line(site: Site, text: str) -> None:
    with pytest.raises(UsageError):
        site.said("show", text)


def test_an_unknown_night_is_refused_with_the_newest_that_is_known(site: Site) -> None:
    with pytest.raises(OperatorError, match="no such night; its newest is engineering 20251106"):
        site.said("show", "20260101")
    with pytest.raises(OperatorError, match="no such archive night"):
        site.said("show", "20251101", "--kind", "archive")
