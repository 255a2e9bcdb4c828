"""Where a case of the corpus is made: one cube and its timing file, at a time of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from msgspec import Struct

from tests.support.raw_cubes import (
    COMMON_CARDS,
    FIRST_US,
    card_text,
    header_bytes,
    image_cards,
    timing_bytes,
)
from vampd.time_units import SECOND_US

WIDTH, HEIGHT, FRAMES = 6, 4, 3
SECONDS_APART = 20
FIRST_VALUE = 1000

_DATE_CARD = "DATE    = '2025-11-06T{:02d}:{:02d}:{:02d}'"


class Place(Struct, frozen=True, kw_only=True):
    """The place of the case *number* in a night; its pixels all have a value of their own."""

    night: Path
    number: int

    @property
    def value(self) -> int:
        return FIRST_VALUE + self.number

    @property
    def first_us(self) -> int:
        return FIRST_US + self.number * SECONDS_APART * SECOND_US

    @property
    def stem(self) -> str:
        hours, minutes, seconds = self._clock(0)
        return f"vcam1_{hours:02d}:{minutes:02d}:{seconds:02d}.000000000"

    @property
    def cube(self) -> Path:
        return self.night / "vcam1" / f"{self.stem}.fits"

    @property
    def timing(self) -> Path:
        return self.cube.with_suffix(".txt")

    @property
    def extra(self) -> list[str]:
        """The cards of a good cube beside those of its shape."""
        return [_DATE_CARD.format(*self._clock(3)), *COMMON_CARDS[1:]]

    def cards(self, *more: str) -> list[str]:
        """All cards of a good cube, and *more*."""
        return image_cards(WIDTH, HEIGHT, FRAMES, [*self.extra, *more])

    def pixels(self, frames: int = FRAMES) -> bytes:
        found = np.full((frames, HEIGHT, WIDTH), self.value - 32768, dtype=">i2").tobytes()
        return found + bytes(-len(found) % 2880)

    def rows(self, frames: int = FRAMES) -> bytes:
        """A good timing file."""
        return timing_bytes(frames, first_us=self.first_us)

    def write(
        self,
        *,
        header: bytes | None = None,
        pixels: bytes | None = None,
        rows: bytes | None = None,
    ) -> None:
        """Both files; what is not given is good."""
        self.cube.parent.mkdir(parents=True, exist_ok=True)
        header = header_bytes(self.cards()) if header is None else header
        self.cube.write_bytes(header + (self.pixels() if pixels is None else pixels))
        self.timing.write_bytes(self.rows() if rows is None else rows)

    def write_with(self, keyword: str, card: str | bytes | None) -> None:
        """A cube whose card *keyword* is *card*; None: it has none. A new one is put at the end."""
        new = [] if card is None else [_padded(card)]
        cards = [each.encode("latin-1") for each in self.cards()]
        places = [n for n, each in enumerate(cards) if each[:8].rstrip() == keyword.encode()]
        place = places[0] if places else len(cards)
        cards[place : place + len(places)] = new
        self.write(header=joined(cards))

    def _clock(self, later_seconds: int) -> tuple[int, int, int]:
        seconds = 5 * 3600 + 10 * 60 + self.number * SECONDS_APART + later_seconds
        return seconds // 3600, seconds // 60 % 60, seconds % 60


Make = Callable[[Place], None]


def joined(cards: list[bytes]) -> bytes:
    """A header of raw cards, END and padding."""
    text = b"".join(cards) + card_text("END").encode()
    return text + b" " * (-len(text) % 2880)


def _padded(card: str | bytes) -> bytes:
    content = card.encode("latin-1") if isinstance(card, str) else card
    assert len(content) <= 80, content
    return content.ljust(80)
