"""Measures against time, a target over its nights, and the year: right, and everything escaped."""

from __future__ import annotations

import re
from datetime import date
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.page.conftest import HOSTILE, HOSTILE_DATE
from tests.page.site import Page
from tests.page.test_exposure_table import made_shot
from tests.support.daemon_site import DATE
from vampd.commands.page.charts import HEIGHT, WIDTH, charts, time_ticks, value_ticks
from vampd.commands.page.year import SIGNS, year_of
from vampd.states import NightStatus

_numbers = st.floats(min_value=-1e12, max_value=1e12, allow_nan=False)


@given(st.lists(_numbers, min_size=1, max_size=300))
def test_every_point_lies_on_its_chart(values: list[float]) -> None:
    shots = [made_shot(number, fwhm=value) for number, value in enumerate(values)]

    [chart] = charts(shots)

    for point in chart.points:
        assert 0 <= point.x <= WIDTH
        assert 0 <= point.y <= HEIGHT


def test_of_many_points_the_one_that_stands_out_is_shown() -> None:
    shots = [made_shot(number, fwhm=99.0 if number == 4321 else 2.0) for number in range(10_000)]

    [chart] = charts(shots)

    assert len(chart.points) < 500
    assert chart.left_out == 10_000 - len(chart.points)
    assert [point for point in chart.points if "99" in point.title.partition(": ")[2]]


@given(low=_numbers, apart=st.floats(min_value=1e-3, max_value=1e12))
def test_ticks_of_values_are_few_and_around_them(low: float, apart: float) -> None:
    ticks = value_ticks(low, low + apart)

    assert 2 <= len(ticks) <= 7
    assert ticks[0] <= low + apart * 1e-3 + abs(low) * 1e-9
    assert ticks[-1] >= low + apart * 0.999 - abs(low) * 1e-9


def test_ticks_of_a_night_are_full_hours_of_hawaii() -> None:
    begin_us = 1_762_405_800_000_000  # 19:10 HST

    texts = [text for _, text in time_ticks(begin_us, begin_us + 4 * 3_600_000_000)]

    assert texts == ["20:00", "21:00", "22:00", "23:00"]


def test_a_year_has_each_night_on_its_day_and_says_the_stage_at_work() -> None:
    night = {
        "kind": "archive",
        "date": "20251106",
        "status": "running",
        "stages": {"sync": "done", "build": "running", "deliver": "pending"},
    }

    year = year_of([night, {**night, "date": "20240101"}], "", today=date(2026, 1, 1))

    [entry] = year.months[10].days[5].nights
    assert (year.year, year.before, year.after) == (2025, 2024, None)
    assert (entry.date, entry.stage) == ("20251106", "build")
    assert year.months[10].blank == 5  # the 1st was a Saturday
    assert year.counts == {"running": 1}


def test_every_status_has_a_sign() -> None:
    assert set(SIGNS) == set(NightStatus)


@pytest.mark.parametrize("asked", ["0000", "9999", "x", "²²²²", "-100", "20251"])
def test_any_year_can_be_asked_for(page: Page, asked: str) -> None:
    assert page.get(f"/calendar?year={quote(asked)}").status == 200


def test_the_calendar_leads_to_every_night(page: Page) -> None:
    text = page.get("/calendar?year=2025").text

    for night in (DATE, HOSTILE_DATE):
        assert f'<a class="day safe" href="/night/archive/{night}"' in text


def test_points_lead_to_their_cubes(page: Page) -> None:
    text = page.get(f"/night/archive/{DATE}/measures").text

    links = set(re.findall(r'href="([^"]+/cube/[^"]+)"', text))
    [night] = page.site.json("show", DATE)["nights"]
    assert len(links) == len(night["frame_ids"])
    assert page.get(links.pop()).status == 200


def test_a_target_has_its_nights(page: Page) -> None:
    text = page.get("/target/AB%20Aur").text

    assert f"archive {DATE}" in text
    assert HOSTILE_DATE not in text


def test_every_target_is_listed_and_leads_to_its_page(page: Page) -> None:
    text = page.get("/target").text

    links = re.findall(r'href="(/target/[^"]+)"', text)
    assert "/target/AB%20Aur" in links
    assert all(page.get(link).status == 200 for link in links)


@pytest.mark.parametrize("path", ["/target/", "/target/nobody", "/target/%22"])
def test_a_target_that_nobody_looked_at_is_not_found(page: Page, path: str) -> None:
    assert page.get(path).status == 404


def test_a_hostile_target_has_a_page_on_which_it_stays_text(page: Page) -> None:
    shown = page.get(f"/night/archive/{HOSTILE_DATE}/exposures").text
    [address] = set(re.findall(r'href="(/target/[^"]+)"', shown))

    for path in (address, f"/night/archive/{HOSTILE_DATE}/measures", "/calendar"):
        answer = page.get(path)

        assert answer.status == 200
        assert HOSTILE not in answer.text
        assert "<script>" not in answer.text
        assert " style=" not in answer.text
    assert "&lt;script&gt;" in page.get(address).text
