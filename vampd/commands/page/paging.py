"""Long lists are shown by pages, which are counted from 1."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from msgspec import Struct

#: What a browser asked after the question mark of an address.
Asked = Mapping[str, str]

_MOST_DIGITS = 6


class Paging(Struct, frozen=True, kw_only=True):
    """Page *page* of a list of *total* things, *size* on a page; *asked* is kept in its links."""

    page: int
    size: int
    total: int
    asked: Asked

    @property
    def pages(self) -> int:
        """How many pages there are: 1 for an empty list."""
        return max(1, -(-self.total // self.size))

    @property
    def first(self) -> int:
        """How many things stand before this page."""
        return (self.page - 1) * self.size

    def link(self, page: int) -> str:
        """The address of another page, from its question mark on; empty where there is none."""
        if not 1 <= page <= self.pages or page == self.page:
            return ""
        return f"?{urlencode({**self.asked, 'page': str(page)})}"


def paging(asked: Asked, *, size: int, total: int) -> Paging:
    """The page that was *asked* for, or the nearest that there is."""
    text = asked.get("page", "1")
    page = int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else 1
    whole = Paging(page=1, size=size, total=total, asked=asked)
    return Paging(page=min(max(1, page), whole.pages), size=size, total=total, asked=asked)
