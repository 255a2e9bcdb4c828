"""Write the corpus as two nights: `python -m tests.poison.write FOLDER` makes them to look at.

In the first are cubes that are refused or taken; in the second what nobody takes, which holds it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from tests.poison.case import Case, Unseen
from tests.poison.cases import cases
from tests.poison.place import Place

NIGHT, HELD_NIGHT = "20251106", "20251107"


def write_corpus(root: Path) -> Mapping[Case, Place]:
    """Make every case, in the night to which it belongs; where each one lies."""
    found = {}
    for number, case in enumerate(cases()):
        date = HELD_NIGHT if isinstance(case.expected, Unseen) else NIGHT
        found[case] = place = Place(night=root / date, number=number)
        case.make(place)
    return found


if __name__ == "__main__":
    print(f"{len(write_corpus(Path(sys.argv[1])))} cases")
