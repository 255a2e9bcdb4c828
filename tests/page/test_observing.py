"""What observers look at: pictures of cubes, from nowhere but the night's own, and their pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.page.conftest import HOSTILE, HOSTILE_DATE
from tests.page.site import Page
from tests.support.daemon_site import DATE
from vampd.commands.page.report_view import chosen
from vampd.commands.page.wall import Card
from vampd.views.exposures import Settings

_NIGHT = f"/night/archive/{DATE}"


def _pictures(page: Page) -> list[str]:
    """The addresses of the pictures on a night's wall."""
    return re.findall(r'src="([^"]+\.256\.png[^"]*)"', page.get(f"{_NIGHT}/pictures").text)


def _cubes(page: Page, date: str = DATE) -> list[str]:
    text = page.get(f"/night/archive/{date}/pictures").text
    return list(dict.fromkeys(re.findall(r'href="([^"]+/cube/[^"]+)"', text)))


def _good(page: Page) -> str:
    """The frame ID of a cube of the night that has its pictures."""
    [night] = page.site.json("show", DATE)["nights"]
    return str(night["frame_ids"][0])


def test_the_wall_has_each_output_that_was_looked_at_and_a_minus_b_of_pairs(page: Page) -> None:
    [night] = page.site.json("show", DATE)["nights"]

    pictures = _pictures(page)

    assert len([each for each in pictures if "mean.256" in each]) == len(night["frame_ids"])
    states = {"A": 0, "B": 0}
    for name in _cubes(page):
        states["A"] += name.endswith(".A")
        states["B"] += name.endswith(".B")
    assert states["A"] == states["B"] > 0
    assert len([each for each in pictures if "a-b.256" in each]) == states["A"]


def test_every_picture_of_the_wall_is_there_and_may_be_kept(page: Page) -> None:
    pictures = _pictures(page)
    assert pictures
    for address in pictures:
        answer = page.get(address)

        assert answer.status == 200
        assert answer.headers["content-type"] == "image/png"
        assert "immutable" in answer.headers["cache-control"]
        assert answer.content.startswith(b"\x89PNG")


def test_a_picture_whose_version_is_not_told_is_asked_for_again_but_not_sent_twice(
    page: Page,
) -> None:
    address = _pictures(page)[0].partition("?")[0]

    first = page.get(address)
    again = page.get(address, If_None_Match=first.headers["etag"])

    assert first.headers["cache-control"] == "private, no-cache"
    assert (again.status, again.content) == (304, b"")


def test_a_cube_has_its_pictures_measures_header_and_raw_files(page: Page) -> None:
    address = next(each for each in _cubes(page) if each.endswith(".A"))

    text = page.get(address).text

    for what in ("mean", "highest", "a-b"):
        found = re.search(rf'src="([^"]+/{what}\.1024\.png[^"]*)"', text)
        assert found is not None
        assert page.get(found[1]).content.startswith(b"\x89PNG")
    assert "FWHM of the brightest source" in text or "no source" in text
    assert "vcam1/vcam1_" in text or "vcam2/vcam2_" in text
    assert "<code>EXPTIME</code>" in text


def test_a_frame_id_leads_to_its_cube(page: Page) -> None:
    [night] = page.site.json("show", DATE)["nights"]
    frame_id = night["frame_ids"][0]

    answer = page.get(f"/id/{frame_id}")

    assert answer.status == 302
    assert f"<h1>{frame_id}" in page.get(answer.headers["location"]).text


def test_a_cube_is_found_by_its_frame_id_too(page: Page) -> None:
    [night] = page.site.json("show", DATE)["nights"]
    frame_id = night["frame_ids"][-1]

    assert f"<h1>{frame_id}" in page.get(f"{_NIGHT}/cube/{frame_id}").text


@pytest.mark.parametrize("path", ["", "/mean.256.png", "/mean.1024.png"])
def test_the_cube_of_which_wrong_addresses_are_made_below_is_there(page: Page, path: str) -> None:
    answer = page.get(f"{_NIGHT}/cube/{_good(page)}{path}")

    assert answer.status == 200
    assert answer.content.startswith(b"\x89PNG") is bool(path)


@pytest.mark.parametrize(
    "path",
    [
        "/id/VMPA00000001",
        "/id/nonsense",
        f"{_NIGHT}/cube/nonsense",
        f"{_NIGHT}/cube/..%2f..%2fetc",
        f"{_NIGHT}/cube/nonsense/mean.256.png",
        f"{_NIGHT}/cube/%2e%2e/mean.256.png",
        f"{_NIGHT}/cube/..%2fquicklook%2f{{good}}/mean.256.png",
        f"{_NIGHT}/cube/{{good}}/mean.257.png",
        f"{_NIGHT}/cube/{{good}}/SHA256SUMS.256.png",
        f"{_NIGHT}/cube/{{good}}/..%2fmean.256.png",
        "/night/archive/19990101/cube/{good}/mean.256.png",
        "/night/archive/19990101/pictures",
    ],
)
def test_what_the_ledger_does_not_know_is_not_found(page: Page, path: str) -> None:
    answer = page.get(path.replace("{good}", _good(page)))

    assert answer.status == 404
    assert not answer.content.startswith(b"\x89PNG")


@pytest.mark.parametrize("content", ["a link", "another file"])
def test_what_lies_where_a_picture_should_is_not_sent(
    page: Page, tmp_path: Path, content: str
) -> None:
    address = _pictures(page)[0]
    cube, what = re.findall(r"/cube/([^/]+)/([^?]+)", address)[0]
    shown = page.get(f"{_NIGHT}/cube/{cube}").text
    name = re.findall(r"<h1>(VMPA\d{8})", shown)[0]
    picture = page.site.night() / ".vampd/quicklook" / f"{name}.{what}"
    kept = picture.rename(tmp_path / "kept.png")
    try:
        if content == "a link":
            picture.symlink_to(kept)
        else:
            picture.write_bytes(b"secret")

        answer = page.get(address)
    finally:
        picture.unlink()
        kept.rename(picture)

    assert answer.status == 404
    assert b"secret" not in answer.content
    assert page.get(address).status == 200


def test_pages_of_observers_hold_no_script_and_no_text_that_runs(page: Page) -> None:
    cubes = _cubes(page, HOSTILE_DATE)
    assert cubes, "the hostile night has no picture"
    for path in (f"/night/archive/{HOSTILE_DATE}/pictures", *cubes[:1], *_cubes(page)[:1]):
        answer = page.get(path)

        assert HOSTILE not in answer.text
        assert "<script>" not in answer.text
        assert " style=" not in answer.text
        assert "unsafe-inline" not in answer.headers["content-security-policy"]
    assert "&lt;script&gt;" in page.get(cubes[0]).text


def test_a_report_shows_each_change_of_settings_and_of_the_rest_some_evenly() -> None:
    targets = ["DARK"] * 3 + ["HD 1"] * 50 + ["HD 2"] + ["HD 1"] * 50
    cards = [
        Card(first_us=number, settings=Settings(target=target), cameras={})
        for number, target in enumerate(targets)
    ]

    few, some, every = (chosen(cards, most) for most in (2, 10, 1000))

    assert [card.first_us for card in few] == [0, 53]
    assert {0, 3, 53, 54} < {card.first_us for card in some}
    assert len(some) == 10
    assert every == cards
