"""The scratch folder of one attempt of a piece of work: `UNIT.ATTEMPT.HOST.LIFE.PID`.

All that an attempt writes lies in there until it is published by renaming. So taking the folder
away ends the attempt, wherever it goes on: on a host that is cut off, say. From then on nothing of
it gets a final name, and the next attempt may begin.

1. Work that is done on this machine makes the folder itself; a killed process writes no more.
2. Of work that is handed to another host the daemon makes it before, and the job names it as its
   *place*. Who finds no such folder was given up, and leaves off.
3. What is over is cleared by the next one who comes: earlier attempts of the same unit, for the
   ledger gives out one at a time; and what dead processes of its own host left. The folders of
   other hosts and other units stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from vampd.errors import RetryableError
from vampd.io.beneath import (
    Beneath,
    clear,
    create_folders,
    create_passing_folder,
    is_folder,
    names_in,
    night_folder,
    remove,
    remove_folder,
)
from vampd.io.scratch import Owner, is_over, owned, owner_of
from vampd.layout import SCRATCH_FOLDER

_MOST_TRIES = 100  # of taking away a folder into which somebody still writes
#: As earlier versions named scratch, by its process alone: none of those is at work beside us.
_EARLIER = re.compile(r".+\.(fits\.fz|txt|trial|look|tar)\.[0-9]+(\.unpacked)?")


class Attempted(Protocol):
    """What a job says of its scratch."""

    @property
    def attempt(self) -> int:
        """The attempt of its task."""

    @property
    def night(self) -> str:
        """The night's folder, absolute."""

    @property
    def scratch(self) -> str:
        """The folder in the night in which those of all attempts lie."""

    @property
    def unit(self) -> str:
        """Of what it is an attempt; one is made at a time."""

    @property
    def place(self) -> str | None:
        """The name of the folder that was made for it; None: it makes one."""


@contextmanager
def attempt_folder(job: Attempted) -> Iterator[Beneath]:
    """The folder of this attempt; it is gone afterwards.

    RetryableError: it was made by the daemon, and taken away: the attempt was given up.
    """
    above = create_folders(night_folder(job.night), job.scratch, is_scratch=True)
    clear_what_is_over(above, job.unit, job.attempt)
    if job.place is None:
        folder = _make(above / name_of(job.unit, job.attempt))
    else:
        folder = above / job.place
        if not is_folder(folder):
            msg = f"{folder}: this attempt was given up meanwhile"
            raise RetryableError(msg)
    try:
        yield folder
    finally:
        with suppress(OSError):  # given up, or a disk that is away: cleared by the next attempt
            take_away(folder)


def name_of(unit: str, attempt: int, owner: Owner | None = None) -> str:
    """The name of an attempt's folder; of this process where *owner* is None."""
    return owned(f"{unit}.{attempt}", owner)


def make_place(job: Attempted, owner: Owner) -> str:
    """Make the folder of an attempt that *owner* is to do; its name."""
    above = create_folders(night_folder(job.night), job.scratch, is_scratch=True)
    return _make(above / name_of(job.unit, job.attempt, owner)).name


def give_up_place(job: Attempted) -> None:
    """Take the folder away that was made for a job: from then on nothing of it is published.

    OSError: it cannot be; then it is not known whether that is so.
    """
    assert job.place is not None, job
    take_away(night_folder(job.night) / job.scratch / job.place)


def take_away(folder: Beneath) -> None:
    """Remove a file, or a folder with all that is in it, even while somebody writes there.

    OSError: something of it cannot be removed.
    """
    if not is_folder(folder):
        remove(folder, missing_ok=True)
        return
    for _ in range(_MOST_TRIES):
        try:
            for name in names_in(folder):
                clear(folder / name)
            remove_folder(folder)
        except FileNotFoundError:
            if not is_folder(folder):
                return
        except OSError:
            if not is_folder(folder) or not names_in(folder):
                raise
        else:
            return
    msg = f"{folder}: more and more is written there; it cannot be taken away"
    raise OSError(msg)


def clear_what_is_over(above: Beneath, unit: str, attempt: int) -> None:
    """Take away what earlier attempts of *unit* and dead processes of this host left."""
    for name in names_in(above):
        found = owner_of(name)
        if found is None:
            if _EARLIER.fullmatch(name) is not None:
                clear(above / name)
            continue
        whose, _, number = found[0].rpartition(".")
        is_earlier = whose == unit and number.isdecimal() and int(number) < attempt
        if is_earlier or is_over(found[1]):
            take_away(above / name)


def clear_all(night: str) -> None:
    """Take away every attempt's folder of a night of which nothing goes on, on whatever host."""
    above = night_folder(night) / SCRATCH_FOLDER
    if is_folder(above):
        for name in names_in(above):
            if owner_of(name) is not None:
                take_away(above / name)


def _make(folder: Beneath) -> Beneath:
    if is_folder(folder):  # of a process of that number which is no more
        take_away(folder)
    create_passing_folder(folder)
    return folder
