"""Whatever text comes from outside, what is kept of it suits the ledger, a log and a terminal."""

from __future__ import annotations

import sqlite3

from hypothesis import given
from hypothesis import strategies as st

from vampd.plain_text import plain_text

#: Surrogates included, as names of files that are no UTF-8 hold them.
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


@given(ANY_TEXT)
def test_any_text_can_be_stored_and_printed(text: str) -> None:
    plain = plain_text(text)

    (stored,) = sqlite3.connect(":memory:").execute("select ?", [plain]).fetchone()
    assert stored == plain
    assert plain.replace("\n", "").replace("\t", "").isprintable()


def test_ordinary_text_stays_as_it_is() -> None:
    text = "rsync of 20251106 exited 23:\n\tno such folder: /mnt/tier1/été"

    assert plain_text(text) == text


def test_of_a_long_text_both_ends_are_kept() -> None:
    text = plain_text("begin" + "x" * 100_000 + "end", most=100)

    assert text.startswith("begin")
    assert text.endswith("end")
    assert "[99908 characters left out]" in text
