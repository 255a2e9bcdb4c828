"""Where to look now: everywhere, at whole nights, or at files that have a name. Pure."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from msgspec import Struct, field


class Hint(Struct, frozen=True):
    """Something happened in *night*, to the file *name*; None: perhaps to any."""

    night: Path | None
    name: str | None = None  #: relative to the night, as the disk has it


#: Anything may have changed anywhere.
EVERYTHING = Hint(None)


class Hints(Struct):
    """What was hinted at since the last look; the same hint twice is one."""

    everything: bool = False
    nights: set[Path] = field(default_factory=set)  #: to be looked at whole
    files: dict[Path, set[str]] = field(default_factory=lambda: defaultdict(set))  #: by night

    def __bool__(self) -> bool:
        return self.everything or bool(self.nights) or bool(self.files)

    def add(self, hint: Hint) -> None:
        """Keep one more hint."""
        if hint.night is None:
            self.everything = True
        elif hint.name is None:
            self.nights.add(hint.night)
        else:
            self.files[hint.night].add(hint.name)

    def __or__(self, other: Hints) -> Hints:
        both = Hints(self.everything or other.everything, self.nights | other.nights)
        for files in (self.files, other.files):
            for night, names in files.items():
                both.files[night] |= names
        return both
