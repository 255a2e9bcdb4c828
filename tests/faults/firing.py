"""A trial in calm, and then under one fault after another; what is not the same is told."""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from tests.faults.rig import CALM, Deed, Event, Fault
from tests.faults.scenes import TRIALS, Mail, Trial
from tests.support.mail_server import post_office
from vampd.layout import CAMERA_FOLDERS, OUTPUT_FOLDER

#: After these nobody has to say "retry".
_BY_ITSELF = frozenset({Deed.KILL, Deed.ENOSPC, Deed.FULL, Deed.SHORT})


class Shot(Struct, frozen=True, kw_only=True):
    """One fault, and what came of it."""

    fault: Fault
    event: str  #: what was struck, as the shim listed it; empty: there were not so many events
    differing: tuple[str, ...]
    retries: int  #: times that an operator had to say so

    @property
    def is_good(self) -> bool:
        return not self.differing and not (self.retries and self.fault.deed in _BY_ITSELF)

    def __str__(self) -> str:
        good = "identical" if self.is_good else "WRONG"
        shown = "".join(f"\n    {line}" for line in self.differing[:8])
        more = f", {self.retries} retries" if self.retries else ""
        return f"{self.fault}: {self.event or 'not reached'}: {good}{more}{shown}"


class Range:
    """A trial whose beginning is kept, and its calm end."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self._kept = trial.folder / "kept"
        trial.prepare()
        _copy(trial.site.folder, self._kept)
        self._back_to_the_beginning()
        trial.fire(CALM)
        self.events: list[Event] = trial.battery.listed()
        assert trial.finish() == 0, "in calm somebody had to say retry"
        self.calm = trial.found()

    def shoot(self, fault: Fault) -> Shot:
        """Do it all again under *fault*."""
        self._back_to_the_beginning()
        self.trial.fire(fault)
        struck = [event for event in self.trial.battery.listed() if event.number == fault.at]
        event = str(struck[0]) if struck else ""
        try:
            retries = self.trial.finish()
            found = self.trial.found()
        except AssertionError as error:
            return Shot(fault=fault, event=event, differing=(str(error),), retries=0)
        return Shot(fault=fault, event=event, differing=self._differing(found), retries=retries)

    def _differing(self, found: dict[str, str]) -> tuple[str, ...]:
        names = sorted(found.keys() | self.calm.keys())
        return tuple(
            f"{name}: {self.calm.get(name, 'nothing')[:200]} in calm, {value[:200]} now"
            for name in names
            if (value := found.get(name, "nothing")) != self.calm.get(name, "nothing")
        )

    def _back_to_the_beginning(self) -> None:
        shutil.rmtree(self.trial.site.folder, ignore_errors=True)
        _copy(self._kept, self.trial.site.folder)


def _copy(source: Path, target: Path) -> None:
    """Copy a site; what vampd never writes to keeps its inodes, by which it is known."""

    def copied(one: str, other: str) -> str:
        if Path(one).parent.name not in {*CAMERA_FOLDERS, OUTPUT_FOLDER}:
            return shutil.copy2(one, other)
        os.link(one, other)
        return other

    shutil.copytree(source, target, symlinks=True, copy_function=copied)


def sample(
    events: Sequence[Event], deeds: Sequence[Deed], count: int, chance: random.Random
) -> list[Fault]:
    """*count* faults: as often at a rare kind of event as at a common one, each deed in turn."""
    kinds: dict[str, list[int]] = {}
    for event in events:
        kinds.setdefault(re.sub(r"[0-9]+", "#", str(event)), []).append(event.number)
    return [
        Fault(at=chance.choice(kinds[chance.choice(list(kinds))]), deed=deeds[number % len(deeds)])
        for number in range(count)
    ]


@contextmanager
def ready(name: str, folder: Path) -> Iterator[Range]:
    """The trial *name*, carried once in calm, in *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    with post_office() as office:
        yield Range(Mail(folder, office) if name == Mail.name else TRIALS[name](folder))
