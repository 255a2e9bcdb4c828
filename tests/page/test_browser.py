"""The page in a real Chromium: it lives, turns red, and fits both sizes and both schemes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.page.conftest import HOSTILE_DATE
from tests.page.site import Page, held, serving
from tests.support.daemon_site import DATE

sync_api = pytest.importorskip("playwright.sync_api")

_CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(_CHROMIUM is None, reason="no Chromium: apt-get install chromium")

# The last three: without them it asks for its maker's hosts at every start.
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=_FLAGS)
        yield browser
        browser.close()


#: Of Hawaii: when the page is as the browser likes it, and when it is dark.
_NOON = datetime(2025, 11, 6, 22, tzinfo=UTC)
_MIDNIGHT = datetime(2025, 11, 6, 10, tzinfo=UTC)


def _open(
    chromium: Any,
    address: str,
    width: int = 1280,
    scheme: str = "light",
    now: datetime | None = None,
) -> Any:
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab = context.new_page()
    if now is not None:
        tab.clock.set_fixed_time(now)
    tab.complaints = []
    tab.on("console", lambda message: tab.complaints.append(message.text))
    tab.on("pageerror", lambda error: tab.complaints.append(str(error)))
    tab.on("dialog", lambda dialog: (tab.complaints.append("a dialog"), dialog.dismiss()))
    tab.goto(address)
    return tab


def _wait_for_text(tab: Any, selector: str, text: str) -> None:
    """Nothing is evaluated in the page for it: its policy forbids that, too."""
    sync_api.expect(tab.locator(selector)).to_contain_text(text, timeout=30_000)


def _heard(tab: Any) -> str:
    return str(tab.inner_text("#heard"))


_PATHS = [
    "/",
    f"/night/archive/{DATE}",
    f"/night/archive/{HOSTILE_DATE}",
    f"/night/archive/{DATE}/pictures",
    f"/night/archive/{DATE}/measures",
    f"/night/archive/{HOSTILE_DATE}/exposures",
    "/calendar",
    "/target",
    "/target/AB%20Aur",
    "/id/VMPA00425189",
]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_pages_fit_and_complain_of_nothing(
    page: Page, chromium: Any, width: int, scheme: str
) -> None:
    tab = _open(chromium, page.address, width, scheme, _NOON)
    for path in _PATHS:
        tab.goto(page.address + path)
        _wait_for_text(tab, "#heard", " s ")

        assert tab.evaluate("document.documentElement.scrollWidth") <= width, path
        assert tab.complaints == [], path
        assert _is_bright(tab) is (scheme == "light"), path
    tab.context.close()


def _is_bright(tab: Any) -> bool:
    paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(int(part) for part in paper.strip("rgb()").split(",")[:3]) > 380


def test_it_is_dark_at_night_unless_somebody_chose_which_is_remembered(
    page: Page, chromium: Any
) -> None:
    tab = _open(chromium, page.address, now=_MIDNIGHT)
    at_night = _is_bright(tab)
    tab.keyboard.press("t")
    tab.keyboard.press("t")
    chosen = _is_bright(tab)
    tab.goto(f"{page.address}/calendar")

    assert (at_night, chosen) == (False, True)
    assert _is_bright(tab)
    assert tab.inner_text("#theme") == "theme: light"
    tab.context.close()


def test_what_changes_is_shown_without_a_word_of_the_reader(page: Page, chromium: Any) -> None:
    tab = _open(chromium, f"{page.address}/night/archive/{DATE}")

    with held(page, "clouds came"):
        _wait_for_text(tab, "#content", "clouds came")

    tab.context.close()


def test_details_that_were_opened_stay_open(page: Page, chromium: Any) -> None:
    tab = _open(chromium, f"{page.address}/night/archive/{DATE}")
    tab.evaluate("[...document.querySelectorAll('details')].at(-1).open = true")

    with held(page, "a second cloud"):
        _wait_for_text(tab, "#content", "a second cloud")

        assert tab.evaluate("[...document.querySelectorAll('details')].at(-1).open") is True
    tab.context.close()


def test_a_silent_daemon_and_a_silent_server_turn_red(page: Page, chromium: Any) -> None:
    text = page.site.config.read_text()
    page.site.config.write_text(text + "\n[page]\nsilent_seconds = 0.5\n")
    try:
        with serving(page.site) as impatient:
            tab = _open(chromium, impatient.address)
            tab.wait_for_selector("#heard.silent", timeout=20_000)
            daemon_silent = _heard(tab)
        _wait_for_text(tab, "#heard", "no word")
    finally:
        page.site.config.write_text(text)

    assert "daemon last heard" in daemon_silent
    assert tab.get_attribute("#heard", "class") == "heard silent"
    tab.context.close()


def test_keys_go_from_the_table_to_a_cube_and_back(page: Page, chromium: Any) -> None:
    tab = _open(chromium, f"{page.address}/night/archive/{DATE}/exposures")
    second = tab.locator("[data-item]").nth(1).get_attribute("href")

    for key in ("j", "j", "Enter"):
        tab.keyboard.press(key)
    tab.wait_for_url(f"**{second}")
    tab.keyboard.press("u")

    tab.wait_for_url(f"**/night/archive/{DATE}")
    assert tab.complaints == []
    tab.context.close()


def test_a_filter_is_reached_by_a_key_and_leaves_out_rows_at_once(
    page: Page, chromium: Any
) -> None:
    tab = _open(chromium, f"{page.address}/night/archive/{DATE}/exposures")
    every = tab.locator("[data-item]").count()

    tab.keyboard.press("/")
    tab.keyboard.type("flc=A")

    _wait_for_text(tab, "#content", f" of {every} outputs")
    assert 0 < tab.locator("[data-item]").count() < every
    assert tab.url.endswith("find=flc%3DA")
    assert tab.complaints == []
    tab.context.close()


def test_nights_are_filtered_where_they_stand(page: Page, chromium: Any) -> None:
    tab = _open(chromium, page.address)

    tab.keyboard.press("/")
    tab.keyboard.type(HOSTILE_DATE)

    sync_api.expect(tab.locator("table.grid td:first-child a:visible")).to_have_count(1)
    tab.context.close()


def test_help_is_a_key_away(page: Page, chromium: Any) -> None:
    tab = _open(chromium, page.address)

    tab.keyboard.press("?")
    shown = tab.is_visible("#help")
    tab.keyboard.press("Escape")

    assert shown
    assert not tab.is_visible("#help")
    assert tab.complaints == []
    tab.context.close()


def test_a_row_that_has_the_focus_keeps_it_when_the_page_is_renewed(
    page: Page, chromium: Any
) -> None:
    tab = _open(chromium, f"{page.address}/night/archive/{DATE}")
    tab.keyboard.press("j")
    chosen = tab.evaluate("document.activeElement.getAttribute('href')")
    assert "/cube/" in chosen

    with held(page, "a third cloud"):
        _wait_for_text(tab, "#content", "a third cloud")

        assert tab.evaluate("document.activeElement.getAttribute('href')") == chosen
    tab.context.close()
