"""The times that operators type: UT unless they say HST, or so long ago."""

from __future__ import annotations

import pytest

from vampd.commands.moments import parse_moment
from vampd.commands.screen import time_json
from vampd.errors import UsageError

_NOW_US = 1_762_444_800_000_000  # 2025-11-06 16:00:00 UT


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2025-11-06T05:10", "2025-11-06T05:10:00.000000Z"),
        ("2025-11-06 05:10:30 UT", "2025-11-06T05:10:30.000000Z"),
        ("2025-11-06 05:10:30.5 UTC", "2025-11-06T05:10:30.500000Z"),
        ("20251106T05:10Z", "2025-11-06T05:10:00.000000Z"),
        ("2025-11-05 19:10 HST", "2025-11-06T05:10:00.000000Z"),
        ("2025-11-06T05:10+02:00", "2025-11-06T03:10:00.000000Z"),
        ("20251106", "2025-11-06T00:00:00.000000Z"),
        ("90s", "2025-11-06T15:58:30.000000Z"),
        ("15min", "2025-11-06T15:45:00.000000Z"),
        ("1.5 h ago", "2025-11-06T14:30:00.000000Z"),
        ("3d", "2025-11-03T16:00:00.000000Z"),
    ],
)
def test_a_moment_is_read_as_it_is_written(text: str, meant: str) -> None:
    assert time_json(parse_moment(text, now_us=_NOW_US)) == meant


@pytest.mark.parametrize("text", ["yesterday", "2025-13-06", "2025-11-06T25:00", "3", "h", ""])
def test_what_is_no_moment_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError, match="2025-11-06T05:10"):
        parse_moment(text, now_us=_NOW_US)
