"""`vampd`, and `python -m vampd`."""

from __future__ import annotations

import gc

# A command that only shows something makes many objects that stay, as it is loaded: to look through
# them for garbage, over and over, takes a tenth of its time. The daemon is none the worse for it.
gc.set_threshold(50_000)

from vampd.cli import main  # noqa: E402 - loaded under that rule

__all__ = ["main"]

if __name__ == "__main__":
    main()
