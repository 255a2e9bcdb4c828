"""A program of a site that prints frame IDs: `frame_id_command.py STATE COUNT`.

*STATE* is the file in which its counter lives; the fault in there says what goes wrong.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from msgspec.structs import asdict

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.frame_id_counter import Counter, Fault


def read(state: Path) -> Counter:
    values = json.loads(state.read_text())
    return Counter(**{**values, "fault": Fault(values["fault"])})


def write(state: Path, counter: Counter) -> None:
    state.write_text(json.dumps(asdict(counter)))


def main(state: Path, count: int) -> int:
    counter = read(state)
    if counter.fault is Fault.REFUSED:
        print("the observatory is closed", file=sys.stderr)
        return 75
    told = counter.deal(count)
    write(state, counter)
    if counter.fault is Fault.LATE:
        time.sleep(30)
    while counter.fault is Fault.SLOW and not state.with_name("go").exists():
        time.sleep(0.02)
    if counter.fault is Fault.LOST:
        return 1
    text = "\n".join(told)
    torn = counter.fault is Fault.TORN
    print(text[: len(text) // 2] if torn else text, flush=True)
    if counter.fault in {Fault.TORN, Fault.DEAD}:
        os.kill(os.getpid(), signal.SIGKILL)
    return 1 if counter.fault is Fault.ERROR else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
