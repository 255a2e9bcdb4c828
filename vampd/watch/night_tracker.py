"""What is remembered of a night between two looks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from msgspec import Struct, field

from vampd.causes import Cause
from vampd.watch.inspect import Inspection
from vampd.watch.settle import TrackedFile


class NightTracker(Struct, kw_only=True):
    """What the rounds remember of one night; all of it can be found out again."""

    night: int
    folder: Path
    watched: dict[str, TrackedFile] = field(default_factory=dict)
    unsettled: set[str] = field(default_factory=set)  #: of these: the cameras', not stable yet
    inspections: dict[str, Inspection] = field(default_factory=dict)  #: by stem
    wanted: dict[str, tuple[str, str]] = field(default_factory=dict)  #: stem -> cube, timing
    failed_reads: Counter[str] = field(default_factory=Counter)  #: by stem, in succession
    unchanged_looks: int = 0
    begun_ns: int = 0  #: when it was first looked at in this life, by a clock that nobody sets
    changed_ns: int | None = None  #: when a look last found a change, by a clock that nobody sets
    is_known: bool = False  #: all its files were judged, so that only what changed need be
    is_news: bool = False  #: files came, went or were judged since losses were looked for
    waits_for: Cause | None = None  #: why it is not over
    due_us: int = 0  #: when it can be over at the earliest
    stamps: tuple[int, ...] = ()  #: when its folders changed, as last seen
