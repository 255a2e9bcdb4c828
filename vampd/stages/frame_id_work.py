"""What a worker does for a night's frame IDs: it looks, asks, and writes down. No ledger here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct

from vampd.errors import OperatorError, RetryableError, VampdError
from vampd.io import number_papers
from vampd.io.beneath import night_folder
from vampd.io.disk import MarkerState, check_marker
from vampd.io.frame_id_asker import AskerJob, start
from vampd.io.frame_id_program import Ending, Reply
from vampd.io.number_papers import MARK
from vampd.io.number_runs import runs_of
from vampd.io.numbers_seen import NightNumbers, Stamp, look_at_root
from vampd.io.root import NightPlace, on_its_disk
from vampd.remote.location import Location
from vampd.remote.store import FarJob
from vampd.remote.table import store_of
from vampd.stages import frame_id_papers
from vampd.stages.frame_id_papers import Question, Told


class FarNights(Struct, frozen=True, kw_only=True):
    """Where delivered archive nights lie: in folders *before*, their date, *after*."""

    place: str  #: for messages
    before: Location
    after: str
    far: FarJob


class LookJob(Struct, frozen=True, kw_only=True):
    """What nights on the disk and at the far ends bear is to be seen."""

    attempt: int
    place: NightPlace
    issuer: str
    first: int | None  #: the settings' first number
    root: str  #: of the archive nights
    marker: str | None
    roots: Mapping[str, str]  #: all, with their markers
    known: Mapping[str, Stamp]  #: by folder: how it was when its numbers were seen
    far: tuple[FarNights, ...]
    now_us: int


class SeenThere(Struct, frozen=True, kw_only=True):
    """What one far end bears, or why that cannot be seen now."""

    place: str
    nights: tuple[NightNumbers, ...] = ()
    error: str | None = None


class Looked(Struct, frozen=True, kw_only=True):
    """What was seen."""

    issuer: str
    first: int | None
    found: tuple[NightNumbers, ...]  #: of the nights that were not as they were known
    marks: Mapping[str, int]  #: by root
    told: Told  #: the night's own paper
    far: tuple[SeenThere, ...]


class AnswerJob(Struct, frozen=True, kw_only=True):
    """An answer is to be had of the issuer, or found on paper."""

    attempt: int
    place: NightPlace
    first: int | None
    request: int
    asked_us: int
    count: int
    asker: AskerJob | None  #: who asks; None: a daemon that is dead had it asked


class Answered(Struct, frozen=True, kw_only=True):
    """How a request ended."""

    first: int | None
    request: int
    count: int
    reply: Reply


class BindJob(Struct, frozen=True, kw_only=True):
    """Which number is bound to which content is to be written down."""

    attempt: int
    place: NightPlace
    batch: int
    planned: Mapping[str, int]  #: by content
    names: Mapping[str, str]  #: the outputs' own, by content
    roots: Mapping[str, str]  #: all, with their markers
    highest: int  #: of our own numbers


class WrittenDown(Struct, frozen=True, kw_only=True):
    """What is on paper."""

    planned: Mapping[str, int]


FrameIdJob: TypeAlias = LookJob | AnswerJob | BindJob
FrameIdResult: TypeAlias = Looked | Answered | WrittenDown


def work(job: FrameIdJob) -> FrameIdResult:
    """Look at the disks, ask the issuer, or write down what is to be bound.

    A question never raises: how it ended is a result. RetryableError: the night's disk is not
    there, or somebody still asks. OperatorError, IntegrityError: what lies there cannot be used.
    """
    try:
        with on_its_disk(job.place):
            return _work(job)
    except OSError as error:
        if isinstance(error, VampdError):
            raise
        wrong = OperatorError if isinstance(error, PermissionError) else RetryableError
        msg = f"{error.filename}: {error.strerror}; there stands which frame IDs are whose"
        raise wrong(msg) from error


def _work(job: FrameIdJob) -> FrameIdResult:
    match job:
        case LookJob():
            return _look(job)
        case AnswerJob():
            return _answer(job)
        case BindJob():
            return _write(job)


def _look(job: LookJob) -> Looked:
    """What every night of the root bears, the marks of the roots, and the night's own paper.

    And, if that is asked for, what was delivered to the far ends.
    """
    now_ns = job.now_us * 1000
    return Looked(
        issuer=job.issuer,
        first=job.first,
        found=tuple(look_at_root(Path(job.root), job.marker, job.known, now_ns=now_ns)),
        marks={root: number_papers.read_mark(Path(root)) for root in _present(job.roots)},
        told=frame_id_papers.read(night_folder(job.place.folder)),
        far=tuple(_look_there(there) for there in job.far),
    )


def _look_there(there: FarNights) -> SeenThere:
    """What one far end bears, or why that cannot be seen now."""
    try:
        nights = store_of(there.far, there.before).numbers(there.after)
    except VampdError as error:
        return SeenThere(place=there.place, error=str(error))
    return SeenThere(place=there.place, nights=tuple(_as_seen(there, nights)))


def _as_seen(there: FarNights, nights: Mapping[str, Sequence[int]]) -> Iterator[NightNumbers]:
    for date, numbers in nights.items():
        folder = f"{there.before}{date}{there.after}"
        runs = runs_of((number, f"{folder}/vgen2/VMPA{number:08d}.fits.fz") for number in numbers)
        yield NightNumbers(folder=folder, stamp=[], runs=tuple(runs))


def _answer(job: AnswerJob) -> Answered:
    """Have it asked, and wait for that. What is not on paper was not asked."""
    night = night_folder(job.place.folder)
    problem = "" if job.asker is None else start(job.asker)
    question = frame_id_papers.read(night).question(job.asked_us)
    if problem and question is None:
        reply = Reply(ending=Ending.NOTHING_YET, error=problem)
    else:
        reply = _on_paper(question)
    return Answered(first=job.first, request=job.request, count=job.count, reply=reply)


def _on_paper(question: Question | None) -> Reply:
    """What the night's paper says of a question. RetryableError: it is still being asked."""
    if question is None:
        return Reply(ending=Ending.UNCLEAR, error=frame_id_papers.DIED)
    if question.is_going_on:
        msg = f"frame IDs are still being asked for ({question.issuer})"
        raise RetryableError(msg)
    return question.reply()


def _write(job: BindJob) -> WrittenDown:
    """Write down which number is bound to which content, and how high numbers are by now.

    The night's own root must take both; the other roots bear the mark for the day when that disk
    is lost.
    """
    night = night_folder(job.place.folder)
    lines = frame_id_papers.binding_lines(
        frame_id_papers.read(night), job.batch, job.planned, job.names
    )
    number_papers.append(night, lines)
    if job.highest:
        number_papers.write_mark(Path(job.place.root), job.highest)
        for root in _present(job.roots):
            with suppress(OSError, VampdError):
                number_papers.write_mark(Path(root), job.highest)
    return WrittenDown(planned=job.planned)


def _present(roots: Mapping[str, str]) -> list[str]:
    """Those *roots*, by path, that are the disks which bear their markers."""
    return [
        root for root, marker in roots.items() if check_marker(Path(root), marker) is MarkerState.OK
    ]


def mark_place(root: str) -> str:
    """How messages name the mark of a root."""
    return str(Path(root) / MARK)
