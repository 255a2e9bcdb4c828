"""Taking every header into the table of headers, soon after its file was first seen whole."""

from __future__ import annotations

import logging
import os

from msgspec.structs import replace

from vampd.back_off import pause_us
from vampd.errors import InputError, ResourceError, RetryableError
from vampd.io.beneath import Beneath, is_folder, night_folder, open_file
from vampd.io.header import read_cards
from vampd.io.mirror import raw_file
from vampd.ledger import headers
from vampd.ledger.connection import HEADERS_NAME, Ledger
from vampd.ledger.headers import HeaderFile, HeaderJob, HeadersRead
from vampd.records import CardValue
from vampd.schedule.background_job import BackgroundJob
from vampd.schedule.executor import Outcome
from vampd.schedule.work import Seat
from vampd.science.cards import parse_card
from vampd.settings.sections import Config
from vampd.states import ErrorClass

log = logging.getLogger(__name__)

_PASSING = frozenset({ErrorClass.TRANSIENT, ErrorClass.RESOURCE})


# What says of the compressed table how the image lies in it; the image's own cards are
# those with a Z before their names (FITS standard 4.0, section 10.1).
_TABLE = frozenset({"XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT"})
_TABLE_BEGINNINGS = ("TTYPE", "TFORM", "TFIELDS", "ZIMAGE", "ZCMPTYPE", "ZTILE", "ZNAME", "ZVAL")
_IMAGE = ("ZBITPIX", "ZNAXIS")
_NO_VALUE = frozenset({"", "COMMENT", "HISTORY", "CONTINUE", "HIERARCH"})


class HeaderReader:
    """Remembers that the table is there, and which nights rest after a passing failure.

    A disk that is away keeps its own nights waiting, and no others. Files of which a worker told
    nothing are read one by one: one that kills its worker costs no other its place in the table.
    """

    def __init__(self) -> None:
        self._alone: dict[int, int] = {}  #: by night: so many files more are read one by one
        self._rests_until_ns: dict[int, int] = {}  #: by a clock that nobody sets
        self._is_there = False

    def due(self, ledger: Ledger, config: Config) -> HeaderJob | None:
        """The next headers to be read."""
        if not self._is_there:
            self._is_there = True
            if not (config.state_dir / HEADERS_NAME).exists():
                headers.ask_anew(ledger)
        now_ns = ledger.clock.monotonic_ns()
        resting = [night for night, until_ns in self._rests_until_ns.items() if now_ns < until_ns]
        job = headers.due(ledger, resting)
        if job is None or not self._alone.get(job.night or 0):
            return job
        return replace(job, files=job.files[:1])

    def record(
        self, ledger: Ledger, config: Config, job: HeaderJob, outcome: Outcome[HeadersRead]
    ) -> None:
        """Keep them; after a passing failure, ask again later."""
        rests_until_ns = ledger.clock.monotonic_ns() + 1000 * pause_us(
            config.retry.first_seconds, config.retry.longest_seconds
        )
        night = job.night or 0
        is_alone = len(job.files) <= 1
        left = self._alone.get(night, 0)
        self._alone[night] = max(0, left - 1) if is_alone else left
        if outcome.error_class in _PASSING or outcome.is_ours:
            self._rests_until_ns[night] = rests_until_ns
        elif outcome.result is None and is_alone:
            headers.give_up(ledger, job)
        elif outcome.result is None:
            self._alone[night] = len(job.files)
        else:
            try:
                path = config.state_dir / HEADERS_NAME
                refused = headers.record(ledger, path, job, outcome.result.cards)
            except ResourceError as error:
                log.warning("%s", error)
                self._rests_until_ns[night] = rests_until_ns
                return
            for file, why in refused.items():
                log.warning("%s: its header is not in the table of headers: %s", file, why)


def work(job: HeaderJob) -> HeadersRead:
    """The values of the cards of each file of the job, by keyword; None: it cannot be read.

    RetryableError: the whole folder is away.
    """
    if not job.files:
        return HeadersRead()  # there are only headers to be forgotten
    folder = night_folder(job.folder)
    if not is_folder(folder):
        msg = f"{folder} is not there"
        raise RetryableError(msg)
    return HeadersRead(cards={file.path: _cards_of(folder, file) for file in job.files})


def _cards_of(folder: Beneath, file: HeaderFile) -> dict[str, CardValue] | None:
    try:
        descriptor = open_file(raw_file(folder, file.path))
        try:
            cards, end = read_cards(descriptor, file.path)
            if file.kind == "output":
                cards, _ = read_cards(descriptor, file.path, offset=end, begins="XTENSION")
                cards = _image_cards(cards)
        finally:
            os.close(descriptor)
    except (OSError, InputError):
        return None
    values: dict[str, CardValue] = {}
    for card in cards:
        keyword, value = parse_card(card)
        if keyword not in _NO_VALUE:
            values.setdefault(keyword, value)
    return values


def _image_cards(cards: tuple[str, ...]) -> tuple[str, ...]:
    """The cards of the image, of those of the table that holds it compressed."""
    kept = []
    for card in cards:
        keyword = card[:8].rstrip()
        if keyword.startswith(_IMAGE):
            kept.append(f"{keyword[1:]:<8}{card[8:]}")
        elif keyword not in _TABLE and not keyword.startswith(_TABLE_BEGINNINGS):
            kept.append(card)
    return tuple(kept)


_READER = HeaderReader()

JOB = BackgroundJob(
    name="headers",
    seat=Seat.HERE,
    due=_READER.due,
    work=work,
    result=HeadersRead,
    record=_READER.record,
)
