"""A step as a job of Slurm: handed in, asked after, taken back. A worker's part.

sbatch takes a script from its standard input: one line that becomes the step's program, every
word quoted, so that no shell reads anything into it. What a job said goes to a file in the step's
folder. Slurm is asked for its exit status: squeue and scontrol while they know the job, then sacct.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from vampd.errors import OperatorError, RetryableError
from vampd.io.beneath import Beneath, open_file
from vampd.io.process import Finished, run
from vampd.receive.step_work import StepEnd, StepJob, last_numbers, prepare_folder

_SECONDS = 60.0
_MOST_SAID_BYTES = 20_000

#: What squeue says of a job that ended a while ago.
_UNKNOWN = "Invalid job id"

#: A job in one of these is not over.
_GOING_ON = frozenset(
    {
        *("PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "REQUEUED", "RESIZING", "SUSPENDED"),
        *("REQUEUE_HOLD", "SPECIAL_EXIT", "SIGNALING", "STAGE_OUT", "STOPPED"),
    }
)


class SlurmJob(StepJob, frozen=True, kw_only=True):
    """One run of a step on Slurm."""

    name: str  #: of the job, unique for this attempt
    sbatch: Sequence[str]  #: further words


class Asked(Struct, frozen=True, kw_only=True):
    """Where a job is. *state* None: Slurm does not know it (any more)."""

    is_over: bool
    state: str | None
    code: int | None


class SlurmAnswer(Struct, frozen=True, kw_only=True):
    """How a job ended; None: it is not over."""

    end: StepEnd | None = None


def submit(job: SlurmJob) -> str:
    """Hand the step in; its job's number. RetryableError: Slurm does not answer now.

    A job of this very name that is there already is taken for this one: a receiver that died after
    handing in hands nothing in twice.
    """
    folder = prepare_folder(job)
    known = _ask(["squeue", "--noheader", "--me", f"--name={job.name}", "--format=%i"])
    if known.code == 0 and (found := known.stdout.decode().split()):
        return found[0]
    minutes = max(1, round(job.deadline_seconds / 60))
    command = [
        "sbatch",
        "--parsable",
        f"--job-name={job.name}",
        f"--chdir={folder}",
        f"--output={folder}/{job.name}.log",
        f"--time={minutes}",
        "--no-requeue",
        *job.sbatch,
    ]
    script = f"#!/bin/sh\nexec {shlex.join(job.command)}\n"
    done = _ask(command, script.encode())
    number = re.match(rb"[0-9]+", done.stdout)
    if done.code != 0 or number is None:
        msg = f"sbatch exited {done.code}: {done.stderr_tail}"
        raise (RetryableError if _is_away(done.stderr_tail) else OperatorError)(msg)
    return number[0].decode()


class AskJob(Struct, frozen=True, kw_only=True):
    """A job of which it is to be known where it is."""

    job: str  #: Slurm's number
    base: str
    folder: str
    name: str


def ask(job: AskJob) -> SlurmAnswer:
    """Where the job is; if it is over, also how it ended."""
    asked = _state_of(job.job)
    if not asked.is_over:
        return SlurmAnswer()
    said = _said(Path(job.base), job.folder, job.name)
    error = None
    if asked.state != "COMPLETED":
        error = f"Slurm's job {job.job} ended as {asked.state or 'unknown to Slurm'}"
        if asked.state == "FAILED":
            error = f"{error}, exit status {asked.code}"
    code = asked.code if asked.state in {"COMPLETED", "FAILED"} else None
    return SlurmAnswer(end=StepEnd(code=code, error=error, output=said, numbers=last_numbers(said)))


def _state_of(number: str) -> Asked:
    queued = _ask(["squeue", "--noheader", f"--jobs={number}", "--states=all", "--format=%T"])
    if queued.code != 0 and _UNKNOWN not in queued.stderr_tail:  # no word about the job
        msg = f"squeue exited {queued.code}: {queued.stderr_tail}"
        raise RetryableError(msg)
    state = queued.stdout.decode().strip() or None
    if state in _GOING_ON:
        return Asked(is_over=False, state=state, code=None)
    told = _ask(["scontrol", "show", "job", number, "--oneliner"])
    found = dict(re.findall(r"(\S+?)=(\S*)", told.stdout.decode(errors="replace")))
    if "JobState" not in found:
        found = _accounted(number)
    return Asked(
        is_over=True,
        state=found.get("JobState", state),
        code=_code(found.get("ExitCode", "")),
    )


def _code(told: str) -> int | None:
    """Slurm's STATUS:SIGNAL as an exit status, or minus the signal; None: it says none."""
    status, _, number = told.partition(":")
    if not (status.isdecimal() and number.isdecimal()):
        return None
    return -int(number) if int(number) else int(status)


def _accounted(number: str) -> dict[str, str]:
    command = ["sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={number}"]
    told = _ask([*command, "--format=State,ExitCode"])
    state, _, code = told.stdout.decode(errors="replace").strip().partition("|")
    return {"JobState": state.split()[0], "ExitCode": code} if state else {}


def _said(base: Path, folder: str, name: str) -> str:
    """The end of what the job wrote."""
    try:
        descriptor = open_file(Beneath(base) / f"{folder}/{name}.log")
    except OSError:
        return ""
    with os.fdopen(descriptor, "rb") as file:
        file.seek(max(0, file.seek(0, 2) - _MOST_SAID_BYTES))
        return file.read().decode(errors="replace")


def _is_away(said: str) -> bool:
    return any(
        words in said
        for words in ("Unable to contact slurm", "Connection refused", "timed out", "try again")
    )


def _ask(command: Sequence[str], stdin: bytes = b"") -> Finished:
    return run(command, deadline_seconds=_SECONDS, stdin=stdin)
