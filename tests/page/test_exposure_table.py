"""The table of exposures sorts and filters over all rows, whatever a browser asks."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.page.conftest import HOSTILE, HOSTILE_DATE
from tests.page.site import Page
from tests.support.daemon_site import DATE
from vampd.commands.page.exposure_table import COLUMNS, found, in_order, table
from vampd.states import FlcState, OutputState
from vampd.views.exposures import Exposure, Shot, settings

_NIGHT = f"/night/archive/{DATE}/exposures"


def made_shot(number: int, *, fwhm: float | None = None, target: str = "HD 1") -> Shot:
    return Shot(
        exposure=Exposure(
            output=number,
            night=1,
            batch=1,
            cube=number,
            name=f"vsync_{number}",
            frame_id=number,
            camera=1 + number % 2,
            synchronised=True,
            flc_state=FlcState.A,
            first_us=number * 1_000_000,
            last_us=number * 1_000_000,
            frames=100,
            state=OutputState.BUILT,
            sent_us=None,
            cards="{}",
            median_adu=None,
            peak_adu=None,
            saturated_pixels=None,
            flux_adu=None,
            fwhm_pixels=fwhm,
            made_us=None,
        ),
        settings=settings(f'{{"OBJECT": "{target}", "EXPTIME": 0.5}}'),
    )


def _numbers(shots: list[Shot]) -> list[int]:
    return [shot.exposure.output for shot in shots]


@pytest.mark.parametrize("down", [False, True])
def test_what_was_not_measured_stands_last_either_way(down: bool) -> None:
    shots = [made_shot(1, fwhm=3.0), made_shot(2), made_shot(3, fwhm=2.0)]

    assert _numbers(in_order(shots, "fwhm", down=down)) == ([1, 3, 2] if down else [3, 1, 2])


@pytest.mark.parametrize(
    ("find", "numbers"),
    [
        ("fwhm>2", [1]),
        ("fwhm<=2", [3]),
        ("cam=1", [2]),
        ("ab aur", [3]),
        ("ABAUR", []),
        ("flc=a exptime=0.5 hd", [1, 2]),
        ("fwhm>many", []),
        ("nonsense>1", []),
        ("where=built", [1, 2, 3]),
        ("vmpa00000002", [2]),
    ],
)
def test_every_word_of_a_filter_is_true_of_what_is_found(find: str, numbers: list[int]) -> None:
    shots = [made_shot(1, fwhm=3.0), made_shot(2), made_shot(3, fwhm=2.0, target="AB Aur")]

    assert _numbers(found(shots, find)) == numbers


@given(
    find=st.text(max_size=30),
    sort=st.sampled_from([*COLUMNS, "nonsense", ""]),
    order=st.sampled_from(["up", "down", "?"]),
    page=st.text(max_size=8) | st.integers().map(str),
)
def test_a_table_answers_whatever_is_asked(find: str, sort: str, order: str, page: str) -> None:
    shots = [made_shot(number, fwhm=float(number % 7) or None) for number in range(250)]

    made = table(shots, {"find": find, "sort": sort, "order": order, "page": page})

    assert 1 <= made.paging.page <= made.paging.pages
    assert len(made.rows) <= 100
    assert made.total == 250


def test_pages_together_hold_every_row_once() -> None:
    shots = [made_shot(number) for number in range(250)]

    pages = [table(shots, {"page": str(page)}).rows for page in (1, 2, 3)]

    shown = [shot.exposure.output for rows in pages for shot in rows]
    assert shown == list(reversed(range(250)))


def test_the_table_has_every_output_with_its_settings_and_where_it_is(page: Page) -> None:
    [night] = page.site.json("show", DATE)["nights"]

    text = page.get(_NIGHT).text

    for frame_id in night["frame_ids"]:
        assert f"<td>{frame_id}</td>" in text
    assert text.count('class="state verified"') == len(night["frame_ids"])
    assert "AB Aur" in text


def test_a_filter_in_the_address_leaves_out_what_is_not_like_it(page: Page) -> None:
    every = page.get(_NIGHT).text.count("data-item")
    a = page.get(f"{_NIGHT}?find=flc%3DA", x_fragment="1").text.count("data-item")
    b = page.get(f"{_NIGHT}?find=flc%3DB", x_fragment="1").text.count("data-item")

    assert 0 < a == b < every


def test_a_hostile_target_and_filter_stay_text(page: Page) -> None:
    text = page.get(f"/night/archive/{HOSTILE_DATE}/exposures").text
    asked = page.get(f'{_NIGHT}?find={quote(HOSTILE)}"onfocus%3D').text

    assert HOSTILE not in text + asked
    assert "&lt;script&gt;" in text
    assert re.search(r'value="&lt;script&gt;alert\(1\)&lt;/script&gt;&#34;onfocus=', asked)
