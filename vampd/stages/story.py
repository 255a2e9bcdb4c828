"""The story of a night, from which a lost ledger is made again: its events, and its rows.

`journal.jsonl` is the night's part of the ledger's events, a line each, to which is only ever
added; `ledger.jsonl.gz` holds the night's rows. A worker writes both, and reads the ledger for
itself: of a large night they are long, and the daemon has more to do.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct
from msgspec.structs import asdict

from vampd.io.beneath import Beneath, create_folder, night_folder, open_file, opened_folder
from vampd.layout import OWN_FOLDER
from vampd.ledger import dumps, exports
from vampd.ledger.connection import Ledger, looked_into
from vampd.ledger.exports import Event, Written
from vampd.ledger.nights import get_night
from vampd.ledger.records import Night
from vampd.stages.manifest import replacing

JOURNAL = f"{OWN_FOLDER}/journal.jsonl"
LEDGER_DUMP = f"{OWN_FOLDER}/ledger.jsonl.gz"

_TAIL_BYTES = 1 << 16


class StoryJob(Struct, frozen=True, kw_only=True):
    """The story of a night is to be written."""

    number: int  #: the night's
    folder: str  #: absolute
    ledger: str  #: the ledger's file
    with_dump: bool  #: the rows, too


def prepare_records(ledger: Ledger, night: Night, *, with_dump: bool = True) -> StoryJob:
    """What a worker must know to write the story of a night."""
    return StoryJob(
        number=night.id, folder=night.folder, ledger=str(ledger.path), with_dump=with_dump
    )


def write_story(job: StoryJob) -> Written:
    """Add to the journal, and write the rows anew where that is asked for; return how far they go.

    RetryableError: the ledger cannot be read now.
    """
    folder = night_folder(job.folder)
    # The ledger as it is once nobody else writes these: the journal may have grown meanwhile.
    with _alone(folder), looked_into(Path(job.ledger)) as ledger:
        night = get_night(ledger, job.number)
        return write_records(ledger, night, folder, with_dump=job.with_dump)


def write_records(
    ledger: Ledger, night: Night, folder: Beneath, *, with_dump: bool = True
) -> Written:
    """`write_story`, by a ledger that is open, where nobody else writes."""
    create_folder(folder / OWN_FOLDER)
    event = _write_journal(folder, ledger, night)
    if with_dump:
        with replacing(folder, LEDGER_DUMP) as file:
            dumps.write_dump(ledger, night, file)
    ended = exports.stages_ended(ledger, night.id)
    return Written(event=event, with_dump=with_dump, ended=ended)


@contextmanager
def _alone(folder: Beneath) -> Iterator[None]:
    """Without another worker at the same papers: stages write them, and a background job does."""
    create_folder(folder / OWN_FOLDER)
    with opened_folder(folder / OWN_FOLDER) as descriptor:
        with suppress(OSError):  # a file system that knows no locks: a line may stand there twice
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def _write_journal(folder: Beneath, ledger: Ledger, night: Night) -> int:
    """Add what happened since; return the last event.

    A journal that ends otherwise than with an event of this ledger is written anew.
    """
    known = _known(folder, ledger, night.id)
    last = exports.last_event(ledger, night.id)
    if known is None:
        with replacing(folder, JOURNAL) as file:
            for line in _lines(ledger, night.id, 0):
                file.write(line)
    elif known < last:
        descriptor = open_file(folder / JOURNAL, os.O_WRONLY | os.O_APPEND)
        with os.fdopen(descriptor, "wb") as file:
            for line in _lines(ledger, night.id, known):
                file.write(line)
            file.flush()
            os.fsync(file.fileno())
    return last


def _known(folder: Beneath, ledger: Ledger, night: int) -> int | None:
    """The event that the journal ends with; None: it ends with none of this ledger's."""
    line = _last_line(folder / JOURNAL)
    try:
        number = int(json.loads(line)["id"])
    except (ValueError, TypeError, KeyError):
        return None
    row = exports.event_of(ledger, night, number)
    return number if row is not None and _line(row) == line else None


def _last_line(journal: Beneath) -> bytes:
    """With its end; empty where there is no journal, or it ends within a line."""
    try:
        descriptor = open_file(journal)
    except FileNotFoundError:
        return b""
    with os.fdopen(descriptor, "rb") as file:
        size_bytes = os.fstat(descriptor).st_size
        file.seek(max(0, size_bytes - _TAIL_BYTES))
        lines = file.read().splitlines(keepends=True)
    return lines[-1] if lines else b""


def _lines(ledger: Ledger, night: int, after: int) -> Iterator[bytes]:
    return map(_line, exports.events_after(ledger, night, after))


def _line(event: Event) -> bytes:
    return json.dumps(asdict(event)).encode() + b"\n"
