"""The tables' rows of the receiver's ledger as records; times are microseconds, UTC."""

from __future__ import annotations

import json

from vampd.ledger.rows import Record
from vampd.receive.states import FileState, NightState, StepState


class NightRow(Record, frozen=True, kw_only=True):
    """A delivered night."""

    id: int
    kind: str
    date: str  #: YYYYMMDD
    state: NightState
    cause: str | None
    seen_us: int
    moved_us: int  #: when anything of it last came, or was moved on
    failures: int  #: of moving it on, in succession
    due_us: int

    def __str__(self) -> str:
        return f"{self.kind} {self.date}"


class FileRow(Record, frozen=True, kw_only=True):
    """A file that came, or that a list names."""

    id: int
    path: str  #: relative to the night
    state: FileState
    size_bytes: int | None
    sha256: str | None  #: of what lies where it belongs
    found: str | None  #: the digest of what is wrong, or in the way
    identity: str | None  #: of what was judged in the inbox
    judged_us: int | None
    placed_us: int | None
    why: str | None


class StepRow(Record, frozen=True, kw_only=True):
    """A step of the reduction for a unit of a night."""

    id: int
    step: str
    unit: str  #: "": the whole night
    inputs: str
    files: int
    state: StepState
    attempts: int
    job: str | None  #: Slurm's number
    code: int | None
    error: str | None
    output: str | None
    numbers: str | None  #: JSON
    due_us: int


class SlurmStep(StepRow, frozen=True, kw_only=True):
    """A step that Slurm has."""

    kind: str
    date: str


class LetterRow(Record, frozen=True, kw_only=True):
    """A mail to the operators."""

    id: int
    subject: str
    recipients: str  #: JSON: who does not have it yet
    composed_us: int
    content: bytes
    attempts: int
    sent_us: int | None
    given_up: bool

    @property
    def people(self) -> list[str]:
        """Who does not have it yet."""
        found: list[str] = json.loads(self.recipients)
        return found

    @property
    def is_open(self) -> bool:
        """Whether it is still to go out."""
        return self.sent_us is None and not self.given_up
