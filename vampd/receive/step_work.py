"""Doing a step, and reading what tells cubes apart. A worker's part."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from vampd.background.hooks import run_command
from vampd.errors import ResourceError, RetryableError
from vampd.io.beneath import Beneath, create_folders, open_file
from vampd.io.disk import MarkerState, check_marker, free_bytes


class PlaceDisk(Struct, frozen=True, kw_only=True):
    """The disk on which a night's files lie."""

    disk: str  #: a folder on it
    marker: str | None  #: by which it is known, where it is


class HeadersJob(PlaceDisk, frozen=True, kw_only=True):
    """Cubes of which the headers are to be read."""

    place: str  #: the night's own folder
    paths: Sequence[str]


class StepJob(PlaceDisk, frozen=True, kw_only=True):
    """One run of a step."""

    base: str  #: a folder that is there
    folder: str  #: relative to *base*; "": none is made
    keep_free_bytes: int
    command: list[str]
    deadline_seconds: float


class StepEnd(Struct, frozen=True, kw_only=True):
    """How a step ended."""

    code: int | None = None  #: None: it was ended
    error: str | None = None
    output: str = ""  #: the last that it said
    numbers: str | None = None  #: the last line that it printed, where that is a JSON object


class Header(Struct, frozen=True, kw_only=True):
    """What tells cubes apart: of cards OBJECT and MJD-STR."""

    target: str = ""
    start_s: float = 0.0  #: Unix seconds


def work(job: StepJob) -> StepEnd:
    """Run the command in its folder, which is made.

    ResourceError: too little is free. OperatorError: there is no such program.
    """
    folder = prepare_folder(job)
    command = ["env", f"--chdir={folder}", "--", *job.command]
    ended = run_command(command, job.deadline_seconds)
    error = None if ended.error is None else ended.error.replace("env", job.command[0], 1)
    return StepEnd(
        code=ended.code, error=error, output=ended.output, numbers=last_numbers(ended.output)
    )


def prepare_folder(job: StepJob) -> Path:
    """The folder of a step, made where it is not there.

    ResourceError: too little is free. RetryableError: the night's files are away with their disk.
    """
    _demand_disk(job)
    base = Path(job.base)
    free = free_bytes(base)
    if free < job.keep_free_bytes:
        msg = (
            f"{base}: {free / 1e9:.1f} GB are free, less than reduce.keep_free_gb"
            f" ({job.keep_free_bytes / 1e9:g})"
        )
        raise ResourceError(msg)
    folder = Beneath(base)
    if job.folder:
        folder = create_folders(folder, job.folder)
    return folder.path


def last_numbers(output: str) -> str | None:
    """The last line of *output*, where that is a JSON object."""
    lines = output.splitlines()
    try:
        return json.dumps(json.loads(lines[-1])) if lines and lines[-1].startswith("{") else None
    except ValueError:
        return None


def read_headers(job: HeadersJob) -> dict[str, Header]:
    """Target and start of each of *paths* below *place*, by path.

    RetryableError: the disk is away, which tells nothing of any cube.
    """
    place = Path(job.place)
    found = {path: _header(Beneath(place) / path) for path in job.paths}
    _demand_disk(job)
    return found


def _demand_disk(job: PlaceDisk) -> None:
    """RetryableError: the disk with a night's files is not there."""
    if job.marker is not None:
        state = check_marker(Path(job.disk), job.marker)
        if state is not MarkerState.OK:
            msg = f"{job.disk}: its marker is {state}: the night's files are away with its disk"
            raise RetryableError(msg)


def _header(where: Beneath) -> Header:
    from astropy.io import fits

    try:
        with os.fdopen(open_file(where), "rb") as file, fits.open(file) as units:
            cards = units[-1].header
            start = cards.get("MJD-STR", cards.get("MJD", 0.0))
            target = str(cards.get("OBJECT", "")).strip()
            return Header(target=_plain(target), start_s=(float(start) - 40587) * 86400)
    except (OSError, ValueError, TypeError):
        return Header()


def _plain(target: str) -> str:
    """A target's name as a word of a command and of a folder: letters, digits, . + - and _."""
    return "".join(each if each.isalnum() or each in ".+-_" else "_" for each in target).lstrip(
        ".-"
    )
