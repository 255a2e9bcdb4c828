"""What a worker does for a night's frame IDs: it looks, asks, and writes down. No ledger here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from vampd.errors import OperatorError, RetryableError, VampdError
from vampd.io import number_papers
from vampd.io.beneath import night_folder
from vampd.io.disk import MarkerState, check_marker
from vampd.io.frame_id_asker import start
from vampd.io.frame_id_program import Ending, Reply
from vampd.io.number_papers import MARK
from vampd.io.number_runs import runs_of
from vampd.io.numbers_seen import NightNumbers, look_at_root
from vampd.io.process import run
from vampd.io.root import on_its_disk
from vampd.remote import commands as remote
from vampd.remote.commands import Reach
from vampd.remote.location import Location
from vampd.stages import frame_id_papers

_FAR_SECONDS = 60.0
_MOST_FAR_BYTES = 1 << 28


def work(job: Mapping[str, Any]) -> dict[str, Any]:
    """Look at the disks, ask the issuer, or write down what is to be bound.

    A question never raises: how it ended is a result. RetryableError: the night's disk is not
    there, or somebody still asks. OperatorError, IntegrityError: what lies there cannot be used.
    """
    done = {name: job[name] for name in ("first", "issuer", "do")}
    try:
        return {**done, **on_its_disk(_WORK[job["do"]], job)}
    except OSError as error:
        if isinstance(error, VampdError):
            raise
        wrong = OperatorError if isinstance(error, PermissionError) else RetryableError
        msg = f"{error.filename}: {error.strerror}; there stands which frame IDs are whose"
        raise wrong(msg) from error


def _look(job: Mapping[str, Any]) -> dict[str, Any]:
    """What every night of the root bears, the marks of the roots, and the night's own paper.

    And, if that is asked for, what was delivered to the far ends.
    """
    now_ns = job["now_us"] * 1000
    found = look_at_root(Path(job["root"]), job["marker"], job["known"], now_ns=now_ns)
    marks = {root: number_papers.read_mark(Path(root)) for root in _present(job["roots"])}
    told = frame_id_papers.read(night_folder(job["folder"]))
    return {
        "found": found,
        "marks": marks,
        "told": told,
        "far": [_look_there(there) for there in job["far"]],
    }


def _look_there(there: Mapping[str, Any]) -> dict[str, Any]:
    """What one far end bears, or why that cannot be seen now."""
    before = Location(path=there["before"], host=there["host"])
    try:
        finished = run(
            remote.numbers_command(before, there["after"], Reach.of(there)),
            deadline_seconds=_FAR_SECONDS,
            stdout_limit_bytes=_MOST_FAR_BYTES,
        )
        nights = remote.parse_numbers(finished)
    except VampdError as error:
        return {"place": there["place"], "error": str(error), "nights": []}
    return {"place": there["place"], "error": None, "nights": _as_seen(before, there, nights)}


def _as_seen(
    before: Location, there: Mapping[str, Any], nights: Mapping[str, Sequence[int]]
) -> list[NightNumbers]:
    seen = []
    for date, numbers in nights.items():
        folder = f"{before}{date}{there['after']}"
        runs = runs_of((number, f"{folder}/vgen2/VMPA{number:08d}.fits.fz") for number in numbers)
        seen.append(NightNumbers(folder=folder, stamp=[], runs=tuple(runs)))
    return seen


def _ask(job: Mapping[str, Any]) -> dict[str, Any]:
    """Have it asked, and wait for that. What is not on paper was not asked."""
    problem = start(job["asker"])
    if (
        problem
        and frame_id_papers.read(night_folder(job["folder"])).question(job["asked_us"]) is None
    ):
        return {**_about(job), "reply": Reply(ending=Ending.NOTHING_YET, error=problem)}
    return _collect(job)


def _collect(job: Mapping[str, Any]) -> dict[str, Any]:
    """What the night's paper says of a question. RetryableError: it is still being asked."""
    question = frame_id_papers.read(night_folder(job["folder"])).question(job["asked_us"])
    if question is None:
        return {**_about(job), "reply": Reply(ending=Ending.UNCLEAR, error=frame_id_papers.DIED)}
    if question.is_going_on:
        msg = f"frame IDs are still being asked for ({question.issuer})"
        raise RetryableError(msg)
    return {**_about(job), "reply": question.reply()}


def _about(job: Mapping[str, Any]) -> dict[str, Any]:
    return {"request": job["request"], "count": job["count"]}


def _write(job: Mapping[str, Any]) -> dict[str, Any]:
    """Write down which number is bound to which content, and how high numbers are by now.

    The night's own root must take both; the other roots bear the mark for the day when that disk
    is lost.
    """
    night = night_folder(job["folder"])
    lines = frame_id_papers.binding_lines(
        frame_id_papers.read(night), job["batch"], job["planned"], job["names"]
    )
    number_papers.append(night, lines)
    if job["highest"]:
        number_papers.write_mark(Path(job["root"]), job["highest"])
        for root in _present(job["roots"]):
            with suppress(OSError, VampdError):
                number_papers.write_mark(Path(root), job["highest"])
    return {"planned": job["planned"]}


def _present(roots: Mapping[str, str]) -> list[str]:
    """Those *roots*, by path, that are the disks which bear their markers."""
    return [
        root for root, marker in roots.items() if check_marker(Path(root), marker) is MarkerState.OK
    ]


def mark_place(root: str) -> str:
    """How messages name the mark of a root."""
    return str(Path(root) / MARK)


_WORK = {"look": _look, "ask": _ask, "collect": _collect, "bind": _write}
