"""Whether a raw timing file still is what the logger wrote.

The earlier pipeline writes a timing file anew in place, so through the hard link into its own
backup too. It strips the blanks at the ends of the logger's comments, and computes times in
microseconds as floating-point numbers, whose steps are a quarter of one in this century.
"""

from __future__ import annotations

import re

#: Enough for the comments and some rows.
START_BYTES = 8192

_SINCE_START = re.compile(rb"\d+\.(\d{9})")
_STEP_NS = 250
#: So many rows do not lie on those steps by chance: one in 250 does.
_ENOUGH_ROWS = 3


def is_rewritten(start: bytes) -> bool:
    """Whether the timing file that begins with *start* was written anew by the earlier pipeline.

    A row that *start* cuts does not count.
    """
    lines = start.splitlines(keepends=True)
    whole = [line.rstrip(b"\n") for line in lines if line.endswith(b"\n")]
    comments = [line for line in whole if line.startswith(b"#")]
    since = [fields[2] for line in whole if line[:1] != b"#" and len(fields := line.split()) > 5]
    times_ns = [int(match[1]) for text in since if (match := _SINCE_START.fullmatch(text))]
    if not times_ns or len(times_ns) < len(since) or any(ns % _STEP_NS for ns in times_ns):
        return False
    if comments:
        return not any(line.endswith(b" ") for line in comments)
    return sum(ns > 0 for ns in times_ns) >= _ENOUGH_ROWS
