"""Many courses of `tests.support.mail_life`: `python -m tests.campaigns.mail [COURSES [FIRST]]`."""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from tests.schedule.test_mail import Scene
from tests.support.fake_ledger import FakeClock, opened, settings
from tests.support.mail_life import Life
from tests.support.mail_server import post_office

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
