"""`python -m vampd` is `vampd`."""

from __future__ import annotations

from vampd.cli import main

if __name__ == "__main__":
    main()
