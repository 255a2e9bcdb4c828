"""The ledger is lost at random moments of a series of nights, and made again of its newest copy.

    python -m tests.campaigns.ledger_loss [--moments N] [--seed N]

Live nights and waiting ones in turn, the ledger gone or damaged in turn. Each series must end as
one whose ledger was never lost: no frame ID twice, nothing built twice with other content, the same
trees here and at the far end. Prints what is not; exits with 1 then. What a moment is, see
`tests/support/ledger_series.py`.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.support.ledger_series import Series


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)))
    asked = parser.parse_args()
    os.nice(19 - os.nice(0))
    logging.disable(logging.CRITICAL)
    chance = random.Random(asked.seed)
    print(f"seed {asked.seed}", flush=True)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="vampd-loss-") as top:
        calm = {
            live: Series(folder=Path(top) / f"calm-{live}", live=live) for live in (True, False)
        }
        for each in calm.values():
            each.run()
        for number in range(asked.moments):
            live = number % 2 == 0
            series = Series(
                folder=Path(top) / str(number),
                live=live,
                is_damaged=number % 4 > 1,
                lost_at=chance.randint(1, calm[live].moments),
            )
            wrong = _wrong(series, calm[live])
            counts["identical" if wrong is None else "not identical"] += 1
            counts["of a copy"] += series.begun_with is not None
            counts["frame IDs on paper then"] += len(series.bound)
            print(f"  moment {series.lost_at} of {calm[live].moments}: {wrong or 'ok'}", flush=True)
    print(json.dumps({"losses": asked.moments, **counts}))
    return 1 if counts["not identical"] else 0


def _wrong(series: Series, calm: Series) -> str | None:
    """What is not as it must be; None: nothing."""
    try:
        series.run()
        series.check_against(calm)
    except (AssertionError, Exception) as error:  # noqa: BLE001 - whatever it is, it is a finding
        return f"{type(error).__name__}: {error}"
    return None


if __name__ == "__main__":
    sys.exit(main())
