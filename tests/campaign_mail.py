"""Many courses of `tests.schedule.mail_life`: `python -m tests.campaign_mail [COURSES [FIRST]]`."""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from tests.post_office import post_office
from tests.schedule.made import FakeClock, opened, settings
from tests.schedule.mail_life import Life
from tests.schedule.test_mail import Scene

_STEPS = 200


def main() -> None:
    courses = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    logging.disable(logging.CRITICAL)  # of what goes wrong on purpose
    began, mails = time.monotonic(), 0
    for seed in range(first, first + courses):
        with tempfile.TemporaryDirectory() as name, post_office() as office:
            folder, clock = Path(name), FakeClock()
            settings(folder)
            with closing(opened(folder / "state", clock)) as ledger:
                life = Life(Scene(folder, ledger, clock, office), seed)
                try:
                    life.go(_STEPS)
                except AssertionError:
                    print(f"course {seed}: {' '.join(life.said[-40:])}")
                    raise
            mails += len(office.received)
    seconds = time.monotonic() - began
    print(f"{courses} courses, {courses * _STEPS} steps, {mails} mails, {seconds:.0f} s: all well")


if __name__ == "__main__":
    main()
