"""What a restore deletes stays deleted, whatever happens to the power afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.faults.rig import CALM, Battery, needs_compiler

_RESTORE = """\
import sys
from vampd.io.beneath import night_folder
from vampd.orders.restore import RestorePlan, delete_derived

derived = ("vgen2/a.fits.fz", ".vampd/quick_look/a.png", "manifest_VMP.csv")
plan = RestorePlan(folder=night_folder(sys.argv[1]), derived=derived, renames=(), is_planned=True)
delete_derived(plan)
"""


@needs_compiler
def test_every_folder_out_of_which_something_went_is_durable_at_the_end(tmp_path: Path) -> None:
    night = tmp_path / "nights" / "20251106"
    for name in ("vgen2/a.fits.fz", ".vampd/quick_look/a.png", "manifest_VMP.csv"):
        (night / name).parent.mkdir(parents=True, exist_ok=True)
        (night / name).touch()
    battery = Battery(night, tmp_path / "papers")

    subprocess.run(
        [sys.executable, "-c", _RESTORE, str(night)],
        env=battery.armed(CALM),
        check=True,
        timeout=60,
    )

    events = battery.listed()
    gone = [each for each in events if each.what == "unlink"]
    assert len(gone) == 3
    for each in gone:
        above = (night / each.path).parent
        later = [other for other in events if other.number > each.number and other.what == "sync"]
        assert above in [night / other.path for other in later], each
