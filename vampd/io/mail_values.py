"""A mail, the server that takes it, and what that said: for who sends none, and loads no SMTP."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

#: later: the same may succeed without anyone acting; never: a person must act.
Verdict = Literal["accepted", "later", "never"]


class SmtpServer(Struct, frozen=True, kw_only=True):
    """How the server is reached. *answer_seconds*: for each answer; *deadline_seconds*: for all."""

    host: str
    port: int = 25
    security: Literal["plain", "starttls", "tls"] = "plain"  #: tls: from the first byte on
    user: str = ""
    password_file: str = ""
    ca_file: str = ""  #: whose certificates are believed; the system's when empty
    answer_seconds: float = 300.0
    deadline_seconds: float = 900.0

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Answer(Struct, frozen=True, kw_only=True):
    """What the server said of one recipient, or of the mail for that recipient."""

    verdict: Verdict
    words: str


class Composed(Struct, frozen=True, kw_only=True):
    """A mail, ready to go."""

    content: bytes
    message_id: str
    subject: str


class Delivery(Struct, kw_only=True):
    """How one attempt ended: an answer for each recipient of whom the server spoke.

    *problem* is what went wrong with all the others, *is_passing* whether that may pass by itself.
    *in_doubt*: all was said, and no answer came; the server may have the mail.
    """

    answers: dict[str, Answer] = field(default_factory=dict)
    problem: str | None = None
    is_passing: bool = True
    in_doubt: bool = False
