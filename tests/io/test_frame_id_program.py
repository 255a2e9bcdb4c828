"""How a program that deals frame IDs ended is told apart: answered, nothing dealt, or unclear."""

from __future__ import annotations

import pytest

from vampd.io.frame_id_program import Ending, Reply, ask


def asked(script: str, *, count: int = 2, deadline_seconds: float = 20.0) -> Reply:
    return ask(["sh", "-c", script], name="it", count=count, deadline_seconds=deadline_seconds)


@pytest.mark.parametrize(
    ("script", "ending", "lines"),
    [
        ("echo 1; echo 2", Ending.ANSWERED, ("1", "2")),
        ("printf 1", Ending.ANSWERED, ("1",)),
        ("true", Ending.ANSWERED, ()),
        ("exit 75", Ending.NOTHING_YET, ()),
        ("exit 78", Ending.NOTHING_AT_ALL, ()),
        ("exit 1", Ending.UNCLEAR, ()),
        ("echo 1; exit 1", Ending.UNCLEAR, ("1",)),
        ("echo 1; exit 75", Ending.UNCLEAR, ("1",)),
        ("echo 1; kill -9 $$", Ending.UNCLEAR, ("1",)),
    ],
)
def test_the_exit_status_says_what_was_dealt(
    script: str, ending: Ending, lines: tuple[str, ...]
) -> None:
    reply = asked(script)

    assert (reply.ending, reply.lines) == (ending, lines)


def test_what_was_printed_before_the_deadline_is_kept() -> None:
    reply = asked("echo 1; sleep 60", deadline_seconds=1.0)

    assert (reply.ending, reply.lines) == (Ending.UNCLEAR, ("1",))
    assert "not done after 1.0 s" in reply.error


def test_a_program_that_prints_without_end_is_ended_and_unclear() -> None:
    reply = asked("yes 7")

    assert reply.ending is Ending.UNCLEAR
    assert len(reply.lines) == 17
    assert "printed more than" in reply.error


def test_its_last_words_are_told() -> None:
    assert "it exited 75:\nclosed" in asked("echo closed >&2; exit 75").error


def test_a_program_that_is_not_there_dealt_nothing() -> None:
    reply = ask(["/no/such"], name="it", count=1, deadline_seconds=1.0)

    assert reply.ending is Ending.NOTHING_AT_ALL
    assert "/no/such is not installed here" in reply.error
