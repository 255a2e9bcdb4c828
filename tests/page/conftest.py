"""One served site for all tests of the page: a safe night, and one whose header is hostile."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.page.site import Page, serving
from tests.support.daemon_site import add_night, make_site
from tests.support.raw_cubes import COMMON_CARDS, write_raw_cube

HOSTILE = "<script>alert(1)</script>"
HOSTILE_DATE = "20251105"

_CARDS = [card for card in COMMON_CARDS if not card.startswith("OBJECT")] + [
    f"OBJECT  = '{HOSTILE}'"
]


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    site = make_site(tmp_path_factory.mktemp("page"))
    add_night(site, "small")
    frames = [np.full((4, 6), number, np.uint16) for number in range(5)]
    stem = "vcam1_05:10:00.000000000"
    write_raw_cube(site.root() / HOSTILE_DATE, frames, stem=stem, extra=_CARDS)
    (site.root() / HOSTILE_DATE / "vcam1" / f"{HOSTILE.replace('/', '')}.fits").write_bytes(b"?")
    site.run()
    with serving(site) as page:
        yield page
