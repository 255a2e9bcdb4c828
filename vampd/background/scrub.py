"""Files that lie here are read through again, those that were read longest ago first.

Only while the cameras are quiet, and no more a day than the settings say. A file of vampd's own
that is damaged is mended from its copy at the far end; see `vampd.background.mend`. The cameras'
files are read and never written: one that is damaged is told.
"""

from __future__ import annotations

import errno
import logging
import os

from msgspec import Struct

from vampd.background.mend import FarCopyWrongError, Identity, MendJob, identity, mend
from vampd.errors import NotPlainError, VampdError
from vampd.io.beneath import Beneath, is_folder, night_folder, open_quietly
from vampd.io.publish import digest_open
from vampd.io.root import NightPlace, on_its_disk
from vampd.ledger import local_copies, nights, verifications
from vampd.ledger.connection import Ledger
from vampd.ledger.local_copies import LocalFile, Side, Verdict
from vampd.ledger.records import Night
from vampd.plain_text import plain_text
from vampd.schedule.background_job import BackgroundJob
from vampd.schedule.executor import Outcome
from vampd.schedule.work import Seat
from vampd.settings.sections import Config
from vampd.stages.verify import VerifyJob, verify_job
from vampd.time_units import DAY_US, MINUTE_US

log = logging.getLogger(__name__)

_PIECE_BYTES = 20_000_000_000  # some minutes of a disk
_PIECE_FILES = 500

RIGHT = "its bytes have the digest on record"
GONE = "there is no such file"

#: What the disk says of bytes that it cannot give back.
_UNREADABLE = frozenset({errno.EIO, errno.EUCLEAN, errno.EBADMSG, errno.EREMOTEIO})


class ScrubJob(Struct, frozen=True, kw_only=True):
    """Some files of one night are to be read through again."""

    night: int
    place: NightPlace
    files: tuple[LocalFile, ...]
    far: VerifyJob | None  #: where copies lie that may be right
    ledger: str  #: its path, to look into
    why_no_far: str = ""


class ReadFile(Struct, frozen=True, kw_only=True):
    """What was found of one file."""

    file: LocalFile
    verdict: Verdict
    why: str
    far_is_wrong: bool = False  #: its far copy was read, too, and is not right either


class Scrubbed(Struct, frozen=True, kw_only=True):
    """What was found of each that could be read."""

    files: tuple[ReadFile, ...]
    unread: str | None = None  #: why others were not


def is_idle(ledger: Ledger, config: Config, side: Side) -> bool:
    """Whether copies may be read through by themselves now."""
    quiet_us = round(config.night.quiet_minutes * MINUTE_US)
    return local_copies.may_read(ledger, side) and local_copies.is_quiet(ledger, quiet_us)


def pay(ledger: Ledger, config: Config, side: Side, size_bytes: int) -> None:
    """So much was read: rest for as long as that has to last."""
    local_copies.note_read(ledger, side, size_bytes, config.scrub.gb_per_day * 1e9)


def due(ledger: Ledger, config: Config) -> ScrubJob | None:
    """The next piece: of the night with the file that was read longest ago."""
    if not config.scrub.enabled or not is_idle(ledger, config, Side.HERE):
        return None
    age_us = round(config.scrub.after_days * DAY_US)
    night = local_copies.oldest_night(ledger, age_us)
    if night is None:
        return None
    most_bytes = min(_PIECE_BYTES, round(config.scrub.gb_per_day * 1e9))
    files = local_copies.oldest_files(
        ledger, night.id, age_us, most_files=_PIECE_FILES, most_bytes=most_bytes
    )
    if not files:
        local_copies.note_oldest(ledger, night.id, age_us)
        return None
    far, why_no_far = _far(ledger, config, night)
    return ScrubJob(
        night=night.id,
        place=nights.place_of(ledger, night),
        files=tuple(files),
        far=far,
        why_no_far=why_no_far,
        ledger=str(ledger.path),
    )


def _far(ledger: Ledger, config: Config, night: Night) -> tuple[VerifyJob | None, str]:
    try:
        return verify_job(ledger, config, night, afresh=True), ""
    except VampdError as error:
        return None, str(error)


def work(job: ScrubJob) -> Scrubbed:
    """Read them through, and mend what can be: the worker's part.

    RetryableError: the night's disk or folder is not there, which tells nothing of any file.
    """
    folder = night_folder(job.place.folder)
    found: list[ReadFile] = []
    unread = None
    with on_its_disk(job.place):
        for file in job.files:
            try:
                found.append(_read(job, folder, file))
            except OSError as error:  # it says nothing of the bytes: rights, or a disk that goes
                unread = f"{file.path}: {error.strerror}"
        if not is_folder(folder):  # moved away meanwhile: that is told elsewhere
            return Scrubbed(files=(), unread=f"{folder} is not there")
    return Scrubbed(files=tuple(found), unread=unread)


def _read(job: ScrubJob, folder: Beneath, file: LocalFile) -> ReadFile:
    where = folder / file.path
    verdict, why, status = _judge(where, file)
    if verdict is Verdict.RIGHT or file.is_raw:
        return ReadFile(file=file, verdict=verdict, why=why)
    if job.far is None:
        return ReadFile(file=file, verdict=verdict, why=f"{why}; not mended: {job.why_no_far}")
    order = MendJob(
        night=job.night, folder=folder, file=file, status=status, far=job.far, ledger=job.ledger
    )
    try:
        mended = mend(order)
    except (VampdError, OSError) as error:
        return ReadFile(
            file=file,
            verdict=verdict,
            why=f"{why}; not mended: {error}",
            far_is_wrong=isinstance(error, FarCopyWrongError),
        )
    return ReadFile(file=file, verdict=Verdict.MENDED, why=f"{why}; {mended}")


def _judge(where: Beneath, file: LocalFile) -> tuple[Verdict, str, Identity | None]:
    """The verdict on a file, why, and who the file is that was read: `mend.identity`."""
    try:
        descriptor = open_quietly(where)
    except (FileNotFoundError, NotADirectoryError):
        return Verdict.MISSING, GONE, None
    except NotPlainError as error:
        return Verdict.DAMAGED, str(error), None
    found = identity(os.fstat(descriptor))
    try:
        read = digest_open(descriptor)
    except OSError as error:
        if error.errno not in _UNREADABLE:
            raise
        return Verdict.DAMAGED, f"it cannot be read: {error.strerror}", found
    finally:
        os.close(descriptor)
    if (read.sha256, read.size_bytes) == (file.sha256, file.size_bytes):
        return Verdict.RIGHT, RIGHT, found
    why = f"its digest is {read.sha256} in {read.size_bytes} bytes, and {file.sha256} on record"
    return Verdict.DAMAGED, why, found


def record(ledger: Ledger, config: Config, job: ScrubJob, outcome: Outcome[Scrubbed]) -> None:
    """Keep what was found; what is wrong is told.

    Where both copies of a file are wrong all far copies are read: the night is not safe any more.
    """
    night = nights.get_night(ledger, job.night)
    if outcome.result is None:
        _put_off(ledger, night, outcome.error or "its worker died")
        pay(ledger, config, Side.HERE, _PIECE_BYTES)
        return
    if outcome.result.unread is not None:
        _put_off(ledger, night, outcome.result.unread)
    for each in outcome.result.files:
        is_listed = local_copies.is_listed(ledger, job.night, each.file)
        if is_listed:  # not made anew meanwhile
            local_copies.record(ledger, job.night, each.file, each.verdict, each.why)
        if each.verdict is Verdict.MENDED or (is_listed and each.verdict is not Verdict.RIGHT):
            _tell(night, each)
    if any(each.far_is_wrong for each in outcome.result.files) and night.verify_since_us is None:
        verifications.ask(ledger, job.night)
    local_copies.note_oldest(ledger, job.night, round(config.scrub.after_days * DAY_US))
    pay(ledger, config, Side.HERE, sum(each.file.size_bytes for each in outcome.result.files))


def _put_off(ledger: Ledger, night: Night, error: str) -> None:
    """It rests, and does not stand in the way of others."""
    local_copies.rest(ledger, night.id)
    log.warning(
        "%s: its files here could not all be read through again: %s",
        nights.label(night),
        plain_text(error),
        extra={"NIGHT": night.date},
    )


def _tell(night: Night, each: ReadFile) -> None:
    what = "the cameras' file" if each.file.is_raw else "the copy here of"
    log.error(
        "%s: %s %s was read again and is %s: %s",
        nights.label(night),
        what,
        each.file.path,
        each.verdict,
        each.why,
        extra={"NIGHT": night.date},
    )


JOB = BackgroundJob(
    name="scrub", seat=Seat.HERE, due=due, work=work, result=Scrubbed, record=record
)
