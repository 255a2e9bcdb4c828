"""The full screen: what is seen at both sizes, and each order from its key to the ledger."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.commands import tui_scenes
from tests.commands.status_scenes import SCENES
from tests.support.full_screen import Seen, at_full_screen
from tests.support.ledger_site import NOW_US, Site
from tests.support.typed import answering
from vampd.allowed import Outcome
from vampd.commands.tui.lines import Tone
from vampd.commands.tui.offers import OFFERS
from vampd.commands.tui.paint import content
from vampd.io.lock import StateLock
from vampd.states import Kind, Stage

SMALL, LARGE = (80, 24), (120, 40)
_TRANSFER_FAILED = (
    "update task set state = 'failed', error = 'x', error_class = 'deterministic'"
    " where stage = 'transfer'"
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Both roots are there; a daemon ran, and was stopped."""
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    for kind in Kind:
        site.root(kind)
    site.daemon()
    return site


@contextmanager
def daemon(site: Site) -> Iterator[None]:
    """Somebody holds the lock."""
    site.execute("update daemon set stopped_us = null")
    with StateLock.acquire(site.state):
        yield


def rows(site: Site, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(site.ledger)) as ledger:
        return ledger.execute(query).fetchall()


def seen(site: Site, *words: str, size: tuple[int, int] = SMALL, keys: tuple[str, ...] = ()) -> str:
    """What is on the screen once *words* are, after *keys*."""
    found: list[str] = []

    async def look(screen: Seen) -> None:
        await screen.see("leave")
        await screen.press(*keys)
        found.append(await screen.see(*words))

    at_full_screen(site, look, size=size)
    return found[0]


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "120x40"])
@pytest.mark.parametrize(
    ("scene", "is_up", "words"),
    [
        ("all_well", True, ("under way", "collecting", "+ 7 nights at rest", "vampd close 202511")),
        ("live", True, ("newest frame  15:59:40 UT  20.0 s ago", "held back by  camera 2")),
        ("live", True, ("arriving: 20251108 arch", "2 files, 40 MB a minute")),
        ("held_by_order", True, ("needs somebody", "dome flats", "vampd release 20251107")),
        ("failed_to_send", True, ("failed: transfer, 2 times", "then: vampd retry 20251107")),
        ("all_well", False, ("daemon not running", "! the daemon is not", "systemctl start vampd")),
    ],
)
def test_what_matters_stands_on_the_first_screen(
    scene: str, is_up: bool, words: tuple[str, ...], size: tuple[int, int], site: Site
) -> None:
    {**SCENES, "live": tui_scenes.live}[scene](site)

    with daemon(site) if is_up else nullcontext():
        text = seen(site, *words, "log of", size=size)

    assert max(map(len, text.splitlines())) <= size[0]


def test_a_stage_at_work_has_a_bar_as_in_status(site: Site) -> None:
    SCENES["running"](site)

    with daemon(site):
        text = seen(site, "build     [███░░░░░░░]  37 %  3/8", size=LARGE)

    assert "● 20251107 archive     running" in text


def test_what_is_worst_stands_first_and_what_is_well_is_folded(site: Site) -> None:
    for day in range(1, 29):
        site.night(f"202510{day:02}", "safe")
    SCENES["held_by_order"](site)
    site.night("20251108", "failed")

    text = seen(site, "28 nights at rest", "! the daemon", size=LARGE)

    places = [text.index(each) for each in ("! the daemon", "20251108", "20251107", "28 nights")]
    assert places == sorted(places)
    assert "20251015" not in text


def test_what_is_at_rest_unfolds_and_is_found_by_any_word(site: Site) -> None:
    for day in range(1, 29):
        site.night(f"202510{day:02}", "safe", kind=Kind.ENGINEERING)

    async def look(screen: Seen) -> None:
        await screen.see("+ 28 nights at rest")
        await screen.press("f")
        await screen.see("- 28 nights at rest", "20251028 eng  safe")
        await screen.press("f", "slash", "=1015")
        await screen.see("1015: 1 night", "20251015 eng", "engineering 20251015 safe")
        await screen.press("enter", "escape")
        await screen.see("+ 28 nights at rest")

    at_full_screen(site, look)


def test_keys_move_through_the_list_the_night_and_the_log(site: Site) -> None:
    SCENES["failed_to_send"](site)

    async def look(screen: Seen) -> None:
        await screen.see("! the daemon", "systemctl start vampd")
        await screen.press("j")
        await screen.see("archive 20251107 failed")
        await screen.press("k")
        await screen.see("next  systemctl start vampd")
        await screen.press("down", "enter")  # the night alone: there is room
        await screen.until(lambda: "needs somebody" not in screen.text, "night alone")
        await screen.press("G")
        await screen.see("orders", "folder")
        await screen.press("escape", "tab", "tab")
        assert screen.app.focused is not None
        assert screen.app.focused.id == "log"
        await screen.press("question_mark")
        await screen.see("retry the chosen night", "seek by date")
        await screen.press("q")
        await screen.until(lambda: "seek by date" not in screen.text, "end of the keys")
        await screen.pilot.resize_terminal(*LARGE)
        await screen.see("20251107 archive     failed")
        await screen.pilot.resize_terminal(40, 10)
        await screen.see("20251107")

    at_full_screen(site, look)


def test_without_glyphs_all_but_the_scroll_bars_is_ascii(site: Site) -> None:
    SCENES["running"](site)
    found: list[str] = []

    async def look(screen: Seen) -> None:
        found.append(await screen.see("build     [###-------]", "log of archive"))

    with daemon(site):
        at_full_screen(site, look, glyphs=False)

    assert {each for each in found[0] if not each.isascii()} <= set("▁▂▃▄▅▆▇█")


# --- Orders ----------------------------------------------------------------------------------


def failed(site: Site) -> int:
    """A night whose transfer failed."""
    night = site.night("20251106", "failed")
    site.stages(night, Kind.ARCHIVE, Stage.TRANSFER)
    site.execute(_TRANSFER_FAILED)
    return night


def held(site: Site) -> int:
    night = site.night("20251106", "held", cause="clouds")
    site.execute("update night set hold = cause where id = ?", night)
    return night


def mailed(site: Site) -> int:
    """A safe night whose mail the archive's server took."""
    night = site.night("20251106", "safe")
    site.stages(night, Kind.ARCHIVE, None)
    stamp = {"changed_us": NOW_US, "changed_by": "daemon"}
    mail = site.insert(
        "mail", state="sent", message_id="<1@x>", composed_us=NOW_US, content=b"x", **stamp
    )
    site.insert("mail_recipient", mail=mail, address="archive@x", accepted_us=NOW_US)
    site.insert(
        "mail_night", mail=mail, night=night, batch=1, manifest="m", manifest_sha256="0" * 64
    )
    site.insert(
        "deliverable",
        night=night,
        path="m",
        size_bytes=1,
        sha256="0" * 64,
        sent_us=NOW_US,
        verified_us=NOW_US,
    )
    return night


_ORDERS: dict[str, tuple[Callable[[Site], int], str, tuple[str, ...], str]] = {
    "retry": (
        failed,
        "it is tried again now",
        (),
        "select changed_by like 'uid %' from task where stage = 'transfer' and state = 'pending'",
    ),
    "release": (
        held,
        "it goes on; it was held: clouds",
        (),
        "select hold is null from night where status = 'collecting'",
    ),
    "hold": (
        failed,
        "no more work of it is begun",
        ("=dome flats are missing", "enter"),
        "select hold = 'dome flats are missing' from night",
    ),
    "ack": (
        mailed,
        "acknowledged by the archive",
        ("=by telephone", "enter"),
        "select note = 'by telephone' and acked_by like 'uid %' from ack",
    ),
}


@pytest.mark.parametrize("is_up", [True, False], ids=["daemon up", "daemon down"])
@pytest.mark.parametrize("order", _ORDERS)
def test_an_order_says_what_it_will_do_is_agreed_to_and_stands_in_the_ledger(
    order: str, is_up: bool, site: Site
) -> None:
    scene, says, words, query = _ORDERS[order]
    scene(site)
    key = next(offer.key for offer in OFFERS if offer.order == order)

    async def give(screen: Seen) -> None:
        await _choose_the_night(screen)
        await screen.press(key)
        await screen.see(f"{order} archive 20251106", "What it will do:", says)
        await screen.press(*words)
        await screen.see("May it be done?")
        assert [row for row in rows(site, query) if row[0]] == []  # nothing yet
        await screen.press("y")
        on_record = "is not running: this is on record"
        text = await screen.see("Done:", says, "enter closes", *([] if is_up else [on_record]))
        assert (on_record in text) is not is_up
        await screen.press("enter")
        await screen.until(lambda: "enter closes" not in screen.text, "end of the box")

    with answering(site) if is_up else nullcontext():
        at_full_screen(site, give)

    assert rows(site, query) == [(1,)]


@pytest.mark.parametrize("key", ["n", "escape"])
def test_a_no_leaves_everything_as_it_was(key: str, site: Site) -> None:
    held(site)
    before = rows(site, "select * from event")

    async def give(screen: Seen) -> None:
        await _choose_the_night(screen)
        await screen.press("l")
        await screen.see("May it be done?")
        await screen.press(key)
        await screen.until(lambda: "May it be" not in screen.text, "end of the box")

    at_full_screen(site, give)

    assert rows(site, "select * from event") == before


def test_a_hold_needs_its_reason(site: Site) -> None:
    failed(site)

    async def give(screen: Seen) -> None:
        await _choose_the_night(screen)
        await screen.press("h")
        await screen.see("The reason, for the ledger:")
        await screen.press("enter", "=  ", "enter")
        await screen.see("The reason, for the ledger:")
        await screen.press("escape")
        await screen.until(lambda: "The reason" not in screen.text, "end of the box")

    at_full_screen(site, give)

    assert rows(site, "select hold from night") == [(None,)]


@pytest.mark.parametrize(
    ("scene", "key", "why"),
    [
        (held, "h", "it is held already: clouds"),
        (failed, "l", "it is not held"),
        (mailed, "r", "nothing failed, and nothing waits for a retry"),
        (held, "a", "never mailed"),
    ],
)
def test_what_would_do_nothing_is_faint_and_its_key_tells_why(
    scene: Callable[[Site], int], key: str, why: str, site: Site
) -> None:
    scene(site)
    order = next(offer.order for offer in OFFERS if offer.key == key)

    async def give(screen: Seen) -> None:
        await _choose_the_night(screen)
        night = screen.app._night()
        assert night is not None
        assert night.verdicts[order].outcome is not Outcome.ACTS
        await screen.press(key)
        await screen.see("Nothing was done:", why)
        await screen.press("y", "enter")
        await screen.until(lambda: "Nothing was done" not in screen.text, "end of the box")
        await screen.press("enter", "G")
        await screen.see(f"-  {order}: ")

    at_full_screen(site, give, size=LARGE)


def test_what_the_order_itself_finds_on_the_disk_is_told(site: Site) -> None:
    """The table alone allows it; a daemon that does not listen refuses."""
    held(site)

    async def give(screen: Seen) -> None:
        await _choose_the_night(screen)
        await screen.press("l")
        await screen.see("refused:", "does not answer")

    with daemon(site):
        at_full_screen(site, give)

    assert rows(site, "select hold from night") == [("clouds",)]


async def _choose_the_night(screen: Seen) -> None:
    """The only one there is, wherever it stands in the list."""
    await screen.see("leave")

    def is_chosen() -> bool:
        return screen.app._night() is not None

    await screen.until(lambda: "20251106" in screen.text or "at rest" in screen.text, "night")
    await screen.press("f", "G")
    await screen.until(is_chosen, "night that is chosen")


# --- Trouble ---------------------------------------------------------------------------------


def test_a_ledger_that_is_not_there_or_newer_is_told_and_seen_once_it_can_be_read(
    site: Site,
) -> None:
    held(site)
    elsewhere = site.state.with_name("elsewhere")

    async def look(screen: Seen) -> None:
        await screen.see("20251106 archive     held")
        site.state.rename(elsewhere)
        await screen.see(
            "not to be read:", "no such folder", "seen last", "20251106 archive     held"
        )
        elsewhere.rename(site.state)
        await screen.until(lambda: "not to be read" not in screen.text, "end of the trouble")

    at_full_screen(site, look, size=LARGE)


def test_a_ledger_of_another_version_is_told(site: Site) -> None:
    held(site)
    site.execute("insert into _sqlite_migrations values (999, 'vampd', '9999_future', 'now')")
    site.execute("alter table live rename column held_by to kept_by")
    site.insert("live", night=1, kept_by="", changed_us=NOW_US)

    text = seen(site, "not to be read:", "newer vampd", size=LARGE)

    assert "Traceback" not in text


def test_no_night_yet_is_told(site: Site) -> None:
    seen(site, "! the daemon", "no night yet", "systemctl start vampd")
    with daemon(site):
        seen(site, "no night yet", "nothing was seen", "vampd admin doctor")


def test_hostile_words_stay_text(site: Site) -> None:
    tui_scenes.hostile(site)

    text = seen(site, "[red]AB Aur[/red]", "[@click=app.quit]x[/]", size=LARGE, keys=("j",))

    assert "\\x1b[31m\\x1b]0;owned\\x07" in text
    assert {each for each in text if not each.isprintable()} == {"\n"}


def test_pieces_of_a_line_stay_on_their_line() -> None:
    assert content([[("[b]a\n\x1b[1m", Tone.PLAIN)]]).plain == "[b]a \\x1b[1m"


# --- Without what it needs -------------------------------------------------------------------


def test_without_its_extra_the_error_names_it(site: Site) -> None:
    program = "import sys; sys.modules['textual'] = None\nfrom vampd.cli import main\nmain()"

    done = subprocess.run(
        [sys.executable, "-c", program, "--config", str(site.config), "tui"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "install.sh --extras tui, or pip install '.[tui]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_other_command_loads_it() -> None:
    program = (
        "import sys\nfrom pathlib import Path\nimport importlib\n"
        "from vampd.commands.names import COMMANDS\n"
        "from tests.support.command_line import command_of\n"
        "for name in COMMANDS:\n"
        "    if name != 'tui': command_of(tuple(name.split()))\n"
        "print('textual' in sys.modules)"
    )

    said = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ).stdout

    assert said == "False\n"
