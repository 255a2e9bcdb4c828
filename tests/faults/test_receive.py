"""What goes from the inbox lies durably where it belongs, whoever put it there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.faults.rig import CALM, Battery, needs_compiler

_CARRY = """\
import hashlib, sys
from vampd.receive import carry

file = carry.CarryFile(path="vgen2/a", digests=[hashlib.sha256(b"cube").hexdigest()], ours=None)
job = carry.CarryJob(
    night="archive 20251106", inbox=sys.argv[1] + "/in", date="20251106",
    base=sys.argv[1] + "/sdata", place="20251106", marker=None, keep_free_bytes=0, files=[file],
)
print(carry.work(job).verdicts[0].word)
"""


@needs_compiler
def test_a_file_that_a_hand_moved_on_is_durable_before_the_one_in_the_inbox_goes(
    tmp_path: Path,
) -> None:
    for name in ("in/20251106/vgen2/a", "sdata/20251106/vgen2/a"):
        (tmp_path / "all" / name).parent.mkdir(parents=True)
        (tmp_path / "all" / name).write_bytes(b"cube")
    battery = Battery(tmp_path / "all", tmp_path / "papers")

    done = subprocess.run(
        [sys.executable, "-c", _CARRY, str(tmp_path / "all")],
        env=battery.armed(CALM),
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )

    events = [str(each) for each in battery.listed()]
    assert done.stdout == "there already\n"
    durable = events.index("sync sdata/20251106/vgen2")
    assert durable < events.index("unlink in/20251106/vgen2/a")
