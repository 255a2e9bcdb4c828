"""The full screen without a terminal: what stands on it, and keys."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from textual.pilot import Pilot

from tests.support.fake_ledger import FakeClock
from tests.support.ledger_site import NOW_US, Site
from vampd.commands.screen import Screen
from vampd.commands.tui.app import Tui
from vampd.settings.load import load

_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The screen while somebody sits before it."""

    app: Tui
    pilot: Pilot[None]

    @property
    def text(self) -> str:
        """All that stands there."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in strips)

    async def press(self, *keys: str) -> None:
        """Type *keys*; a text of several letters after `=`."""
        for key in keys:
            await self.pilot.press(*(key[1:] if key.startswith("=") else [key]))

    async def see(self, *words: str) -> str:
        """Wait until all of *words* stand there; all that does."""
        await self.until(lambda: all(word in self.text for word in words), f"{words}")
        return self.text

    async def until(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait until it *is_so*."""
        until = time.monotonic() + _SECONDS
        while not is_so():
            assert time.monotonic() < until, f"no {what}; there is:\n{self.text}"
            await self.pilot.pause(0.02)


def at_full_screen(
    site: Site,
    script: Callable[[Seen], Awaitable[None]],
    *,
    size: tuple[int, int] = (80, 24),
    glyphs: bool = True,
    clock: FakeClock | None = None,
) -> None:
    """Let somebody do *script* before a screen of *size*, columns and lines."""

    async def sit() -> None:
        screen = Screen(colours=True, glyphs=glyphs)
        app = Tui(load(site.config), screen, clock or FakeClock(NOW_US))
        async with app.run_test(size=size) as pilot:
            await script(Seen(app=app, pilot=pilot))

    asyncio.run(sit())
