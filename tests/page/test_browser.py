"""The page in a real Chromium: it lives, turns red, and fits both sizes and both schemes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.page.conftest import HOSTILE_DATE
from tests.page.site import Page, serving
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


def _open(chromium: Any, address: str, width: int = 1280, scheme: str = "light") -> Any:
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab = context.new_page()
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


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", f"/night/archive/{DATE}", f"/night/archive/{HOSTILE_DATE}"])
def test_a_page_fits_and_complains_of_nothing(
    page: Page, chromium: Any, path: str, width: int, scheme: str
) -> None:
    tab = _open(chromium, page.address + path, width, scheme)
    _wait_for_text(tab, "#heard", " s ")

    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.complaints == []
    paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in paper.strip("rgb()").split(",")[:3])
    assert (brightness > 380) is (scheme == "light")
    tab.context.close()


def test_what_changes_is_shown_without_a_word_of_the_reader(page: Page, chromium: Any) -> None:
    tab = _open(chromium, f"{page.address}/night/archive/{DATE}")
    held = page.site.call("hold", DATE, "--why", "clouds came")
    assert held.returncode == 0, held.stderr

    _wait_for_text(tab, "#content", "clouds came")

    page.site.call("release", DATE)
    tab.context.close()


def test_details_that_were_opened_stay_open(page: Page, chromium: Any) -> None:
    tab = _open(chromium, f"{page.address}/night/archive/{DATE}")
    tab.evaluate("[...document.querySelectorAll('details')].at(-1).open = true")
    page.site.call("hold", DATE, "--why", "a second cloud")

    _wait_for_text(tab, "#content", "a second cloud")

    assert tab.evaluate("[...document.querySelectorAll('details')].at(-1).open") is True
    page.site.call("release", DATE)
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
