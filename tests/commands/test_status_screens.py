"""Every screen of `vampd status`, as it was looked at and found good: at both widths, with and
without colours. `python -m tests.commands.status_scenes` writes them anew.
"""

from __future__ import annotations

import click
import pytest

from tests.commands.status_scenes import GOLDEN, SCENES, SCREENS, pictures, screens
from vampd.commands.screen import Screen
from vampd.commands.status_picture import Picture
from vampd.commands.status_screen import lines
from vampd.states import NightStatus, TaskState
from vampd.views.causes import rule_of


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Picture]:
    return dict(pictures(tmp_path_factory.mktemp("scenes")))


NAMES = [path.stem.removeprefix("status_") for path in sorted(GOLDEN.glob("status_*.txt"))]


def test_every_scene_has_its_golden_screens_and_no_other_does(shown: dict[str, Picture]) -> None:
    assert set(NAMES) == set(shown)
    assert set(SCENES) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_screen_looks_as_it_did(name: str, shown: dict[str, Picture]) -> None:
    golden = (GOLDEN / f"status_{name}.txt").read_text(encoding="utf-8")

    assert screens(shown[name]) == golden


@pytest.mark.parametrize("name", NAMES)
def test_no_line_is_wider_than_its_screen_and_plain_ones_are_ascii(
    name: str, shown: dict[str, Picture]
) -> None:
    for screen in SCREENS.values():
        for line in lines(shown[name], screen):
            assert len(click.unstyle(line)) <= screen.width
            assert screen.colours or (line.isascii() and "\x1b" not in line)


@pytest.mark.parametrize("name", ["all_well", "at_rest", "fresh"])
def test_all_well_is_three_lines(name: str, shown: dict[str, Picture]) -> None:
    for screen in SCREENS.values():
        assert len(list(lines(shown[name], screen))) == 3


@pytest.mark.parametrize("glyphs", [False, True])
def test_who_sees_no_colours_tells_all_states_apart(*, glyphs: bool) -> None:
    screen = Screen(colours=False, glyphs=glyphs)

    signs = [screen.sign(word) for word in (*TaskState, NightStatus.WAITING, NightStatus.HELD)]

    assert len(set(signs)) == len(signs)


def test_no_scene_comes_under_the_rule_for_the_unknown(shown: dict[str, Picture]) -> None:
    rules = {rule_of(each)[0] for picture in shown.values() for each in picture.summaries}

    assert "unknown" not in rules
    assert len(rules) > 12
