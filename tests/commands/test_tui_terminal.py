"""The full screen at a real pseudo-terminal: start, keys, size, and how the terminal is left."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.commands import tui_scenes
from tests.support.ledger_site import Site
from tests.support.terminal import Terminal, terminal
from vampd.states import Kind

#: What a terminal is told on the way out: the first screen, with a cursor and no mouse.
_FIRST_SCREEN, _CURSOR = b"\x1b[?1049l", b"\x1b[?25h"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A night that somebody holds, whose reason is not what it should be."""
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    for kind in Kind:
        site.root(kind)
    site.daemon()
    tui_scenes.hostile(site)
    return site


def tui(site: Site) -> Sequence[str]:
    return [sys.executable, "-m", "vampd", "--config", str(site.config), "tui"]


def is_clean(screen: Terminal, before: list[object]) -> bool:
    """Whether the terminal is as it was, and was told so."""
    entered, left = screen.raw.rfind(b"\x1b[?1049h"), screen.raw.rfind(_FIRST_SCREEN)
    return screen.modes() == before and 0 <= entered < left < screen.raw.rfind(_CURSOR)


def test_a_person_sits_down_looks_resizes_and_leaves_with_ctrl_c(site: Site) -> None:
    with terminal(tui(site)) as screen:
        before = screen.modes()
        screen.see("! the daemon is not running", "arch held", "q leave")
        assert screen.modes() != before
        screen.press("down")
        screen.see("held: [red]AB Aur[/red]", "\\x1b[31m\\x1b]0;owned\\x07")
        screen.resize(120, 40)
        screen.see("20251106 archive     held", "held: [red]AB Aur[/red]")
        screen.press("?")
        screen.see("release the chosen night")
        screen.press("ctrl+c")

        assert screen.end() == 0
        assert is_clean(screen, before)
        assert b"owned\x07" not in screen.raw
        assert b"Traceback" not in screen.raw


def test_without_colours_nothing_is_coloured_and_what_is_chosen_is_seen(site: Site) -> None:
    with terminal(tui(site), environment={"NO_COLOR": "1"}) as screen:
        screen.see("! the daemon is not running", "q leave")
        (place,) = [y for y, line in enumerate(screen.lines) if line.startswith("! the daemon")]
        cells = [screen.screen.buffer[y][0] for y in range(24)]
        screen.press("q")

        assert screen.end() == 0
        assert {(cell.fg, cell.bg) for cell in cells} == {("default", "default")}
        assert [y for y, cell in enumerate(cells) if cell.reverse and y == place] == [place]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_request_to_end_leaves_the_terminal_as_it_was(number: signal.Signals, site: Site) -> None:
    with terminal(tui(site)) as screen:
        before = screen.modes()
        screen.see("q leave")
        screen.child.send_signal(number)

        assert screen.end() == 0
        assert is_clean(screen, before)


@pytest.mark.parametrize("kind", ["dumb", ""])
def test_a_dumb_terminal_is_told_what_to_type_instead(kind: str, site: Site) -> None:
    with terminal(tui(site), environment={"TERM": kind}) as screen:
        assert screen.end() == 64
        assert "for one that cannot: vampd status" in "".join(screen.lines)
        assert b"\x1b" not in screen.raw


def test_what_is_no_terminal_is_told_the_same(site: Site) -> None:
    result = site.run("tui")

    assert "needs a terminal" in str(result.exception)
