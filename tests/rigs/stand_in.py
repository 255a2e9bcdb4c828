"""A service that does nothing but what systemd sees of vampd, told by files what to do next.

In the state directory it finds `wrong` (it exits as for a wrong configuration) or `hang` (it
feeds the watchdog no longer), and writes `seen.json`: what it was able to do.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import vampd.errors
from vampd.io.process import run
from vampd.io.systemd import notify, set_up_logging

log = logging.getLogger("vampd.stand_in")


def may_write(folder: str) -> bool:
    """Whether a file can be made in *folder*, and removed again."""
    path = Path(folder) / "stand-in"
    try:
        path.touch()
        path.unlink()
    except OSError:
        return False
    return True


def look_around() -> dict[str, object]:
    """What a service that is restricted like vampd is able to do."""
    import astropy.io.fits
    import imagecodecs
    import numpy as np

    nicer = subprocess.run(["nice", "-n", "9", "nice"], capture_output=True, text=True, check=True)
    frames = imagecodecs.rcomp_encode(np.arange(3200, dtype=np.int16), nblock=32)
    return {
        "modules": [module.__name__ for module in (astropy.io.fits, imagecodecs, np)],
        "rice_bytes": len(frames),
        "exit_code_of_a_program": run(["true"], deadline_seconds=10).code,
        "home": str(Path.home()),
        "writes": {
            folder: may_write(folder)
            for folder in ("/mnt/fuuu", "/etc", "/home", str(Path.home()), "/var/cache/vampd")
        },
        "reads_home": Path("/home/observer/.ssh/config").read_text(),
        "niceness_of_a_worker": int(nicer.stdout),
        "oom_score_adjust": int(Path("/proc/self/oom_score_adj").read_text()),
        "user": os.getuid(),
    }


def main() -> int:
    """Start, say so, and live until told otherwise."""
    set_up_logging()
    state = Path(os.environ["STATE_DIRECTORY"])
    if (state / "wrong").exists():
        return vampd.errors.ConfigError.exit_code
    (state / "seen.json").write_text(json.dumps(look_around()))
    time.sleep(0.5)
    log.info("ready", extra={"NIGHT": "20251106", "STAGE": "build", "FILE": "x.fits"})
    notify("READY=1")
    while not (state / "hang").exists():
        notify("WATCHDOG=1")
        listing = sorted(path.name for path in Path("/mnt/fuuu").iterdir())
        notify(f"STATUS=sees {' '.join(listing) or 'nothing'}")
        time.sleep(0.1)
    time.sleep(3600)
    return 0


if __name__ == "__main__":
    sys.exit(main())
