"""Giving space back, at length: `python -m tests.campaigns.reclaim [STEPS [SEED]]`, 10^6 steps."""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from pathlib import Path

from tests.support import reclaim_story
from tests.support.reclaim_world import template_ledger


def main(steps: int = 1_000_000, seed: int = 1) -> None:
    """Live through *steps* steps; print what was seen. AssertionError: something went wrongly."""
    logging.disable(logging.CRITICAL)
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=place) as folder:
        template = template_ledger(Path(folder) / "template")
        seen = reclaim_story.run(Path(folder), template, seed, steps)
        template.close()
    print(f"{steps} steps in {time.monotonic() - began:.0f} s, seed {seed}")
    for what, times in sorted(seen.items()):
        print(f"{times:9} {what}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
