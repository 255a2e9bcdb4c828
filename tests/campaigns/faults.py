"""Every file-system event of a small night, struck: the end must be the one without a fault.

    python -m tests.campaigns.faults [--mode NAME]... [--deed NAME]... [--sample N | --all]

Events are counted over the daemon, its workers and their programs, the ledger's own included; with
--all each event is struck by each deed, which takes hours. Prints what is not identical, and a line
of counts for each mode; exits with 1 if anything was not. `tests/faults` says what is done.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.faults.firing import Range, Shot, ready, sample
from tests.faults.rig import Deed, Fault
from tests.faults.scenes import TRIALS


def main() -> int:
    asked = _asked()
    os.nice(19 - os.nice(0))
    print(f"seed {asked.seed}", flush=True)
    chance = random.Random(asked.seed)
    bad = 0
    with tempfile.TemporaryDirectory(prefix="vampd-faults-") as folder:
        for mode in asked.mode or TRIALS:
            with ready(mode, Path(folder) / mode) as place:
                print(f"{mode}: {len(place.events)} events", flush=True)
                shots = [_told(place.shoot(fault)) for fault in _chosen(place, asked, chance)]
            bad += sum(not shot.is_good for shot in shots)
            _sum_up(mode, len(place.events), shots)
    return 1 if bad else 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", action="append", choices=sorted(TRIALS))
    parser.add_argument("--deed", action="append", type=Deed, choices=list(Deed))
    parser.add_argument("--sample", type=int, default=20, help="faults of each mode")
    parser.add_argument("--all", action="store_true", help="every event, every deed")
    parser.add_argument("--at", type=int, help="this event only")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)))
    return parser.parse_args()


def _chosen(place: Range, asked: argparse.Namespace, chance: random.Random) -> list[Fault]:
    """What is to be struck; without --all and --at, a sample."""
    deeds = asked.deed or list(Deed)
    every = range(1, len(place.events) + 1)
    if asked.at:
        return [Fault(at=asked.at, deed=deed) for deed in deeds]
    if asked.all:
        return [Fault(at=at, deed=deed) for at in every for deed in deeds]
    return sample(place.events, deeds, asked.sample, chance)


def _told(shot: Shot) -> Shot:
    print(f"  {shot}", flush=True)
    return shot


def _sum_up(mode: str, events: int, shots: list[Shot]) -> None:
    reached = [shot for shot in shots if shot.event]
    counts = {
        "mode": mode,
        "events": events,
        "faults": len(reached),
        "identical": sum(shot.is_good for shot in reached),
        "not reached": len(shots) - len(reached),
        "by a retry": sum(shot.retries > 0 for shot in reached),
        **Counter(str(shot.fault.deed) for shot in reached),
    }
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    sys.exit(main())
