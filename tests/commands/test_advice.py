"""What explanations tell an operator to type is accepted where they say so, or says why not."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from tests.support.ledger_site import NOW_US, Site
from vampd import __version__
from vampd.causes import SENTENCES, Cause, CauseCode
from vampd.cli import group
from vampd.commands import causes
from vampd.errors import OperatorError
from vampd.io.clock import SystemClock
from vampd.ledger.connection import Ledger, open_ledger
from vampd.ledger.nights import get_night
from vampd.orders.night import ORDERS, Orders
from vampd.settings.load import load
from vampd.states import (
    ErrorClass,
    FileState,
    HoldCode,
    Kind,
    NightStatus,
    Stage,
    WaitCode,
)
from vampd.views.summaries import nights, summarise

DATE = "20251106"

_PATH = "vcam1/vcam1_05:10:00.0.fits"
_NAMED = {"path": _PATH, "older": "20251105", "older_status": "failed", "stage": "build"}

_OPEN = frozenset({WaitCode.DATE, WaitCode.QUIET, WaitCode.LOOK, WaitCode.SETTLE, WaitCode.CUBES})

#: Statuses that people are told to type something about, each with every code that it can have.
STATES: list[tuple[NightStatus, CauseCode | None, ErrorClass | None]] = [
    *((NightStatus.HELD, code, None) for code in HoldCode),
    *((NightStatus.COLLECTING, code, None) for code in (*sorted(_OPEN), None)),
    *((NightStatus.WAITING, code, None) for code in sorted(set(WaitCode) - _OPEN)),
    *((NightStatus.WAITING, WaitCode.FAILURE, each) for each in ErrorClass),
    *((NightStatus.FAILED, WaitCode.FAILURE, each) for each in ErrorClass),
    *((NightStatus.HELD, WaitCode.FAILURE, each) for each in ErrorClass),
    (NightStatus.READY, None, None),
    (NightStatus.RUNNING, None, None),
    (NightStatus.SAFE, None, None),
    (NightStatus.RECLAIMED, None, None),
    (NightStatus.EMPTY, WaitCode.EMPTY, None),
    (NightStatus.ABANDONED, WaitCode.GIVEN_UP, None),
]


def words_of(code: CauseCode) -> dict[str, str]:
    """A word for each place in the sentence of *code*."""
    places = {place for _, place, _, _ in Formatter().parse(SENTENCES[code]) if place}
    return {place: _NAMED.get(place, "x") for place in places}


def made(
    folder: Path, status: NightStatus, code: CauseCode | None, error: ErrorClass | None
) -> Site:
    """A night in that state, with a cube; what it has done so far is what the state implies."""
    site = Site(folder=folder)
    site.make_ledger()
    cause = None if code is None else Cause(code, words_of(code))
    night = site.night(DATE, status, cause=cause)
    is_empty = status is NightStatus.EMPTY
    cube = site.cube(
        night, "vcam1_05:10:00.0", state=FileState.QUARANTINED if is_empty else FileState.WHOLE
    )
    for path in (_PATH, _PATH.replace(".fits", ".txt")):
        file = site.folder / "archive" / DATE / path
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(bytes(1000))
        seen = file.stat()
        site.execute(
            "update raw_file set inode = ?, modified_ns = ? where path = ?",
            seen.st_ino,
            seen.st_mtime_ns,
            path,
        )
    if isinstance(code, HoldCode) and code is not HoldCode.SHADOW:
        site.execute(
            "update night set hold = ?, hold_code = ?, hold_words = cause_words", str(cause), code
        )
    if status is NightStatus.COLLECTING or is_empty or code is HoldCode.RESTORED:
        return site
    if error is None:
        site.stages(night, Kind.ARCHIVE, None if status is NightStatus.SAFE else Stage.BUILD)
    else:
        site.stages(night, Kind.ARCHIVE, Stage.BUILD)
        due = NOW_US if status is NightStatus.WAITING else 0
        state = "pending" if due else "failed"
        site.task(
            night, Stage.BUILD, state, "1.1", error="x", error_class=error, attempts=2, due_us=due
        )
    site.output(night, 1, "VMPA", [(cube, 0, 1, 5)], state="planned")
    return site


def typed(site: Site) -> set[str]:
    """Every command that the explanation of the only night names."""
    ledger = open_ledger(site.state, version=__version__, clock=SystemClock())
    try:
        [summary] = summarise(ledger.connection, nights(ledger.connection))
        cause = causes.cause(summary, both_kinds=False)
    finally:
        ledger.close()
    text = f"{cause.because} {cause.awaits}; {cause.next_step}; {cause.command or ''}"
    return {
        found.strip().rstrip(".") for found in re.findall(r"(vampd [^;,()`]*?)(?=[;,()`]|$)", text)
    }


def order_of(words: str) -> tuple[str, dict[str, Any]] | None:
    """The order that a typed line gives about the night; None: it gives none."""
    name, *rest = words.split()[1:]
    if name not in ORDERS or DATE not in rest:
        return None
    context = group.get_command(None, name).make_context(name, rest)  # type: ignore[arg-type, union-attr]
    given = dict(context.params)
    flags = {"add", "accept", "give_up"}
    arguments = {key: value for key, value in given.items() if key not in flags}
    if name == "quarantine":
        chosen = [flag.replace("_", " ") for flag in flags if given[flag]]
        if not chosen or given["path"] is None:
            return None  # it only lists
        arguments["action"] = chosen[0]
    return name, {**arguments, "kind": "archive", "date": DATE, "dry_run": False}


def given(site: Site, order: str, arguments: dict[str, Any]) -> tuple[list[str], bool, str]:
    """What the real orders answer, whether anything changed, and the status after it."""
    ledger: Ledger = open_ledger(site.state, version=__version__, clock=SystemClock())
    try:
        answer = Orders(ledger, load(site.config)).carry_out(order, arguments, "uid 0 (root)")
        return answer["lines"], answer["changed"], get_night(ledger, 1).status
    finally:
        ledger.close()


@pytest.mark.parametrize(("status", "code", "error"), STATES, ids=str)
def test_what_an_explanation_says_to_type_is_accepted_or_says_why_not(
    tmp_path: Path, status: NightStatus, code: CauseCode | None, error: ErrorClass | None
) -> None:
    lines = typed(made(tmp_path / "asked", status, code, error))

    for number, words in enumerate(sorted(lines)):
        found = order_of(words)
        if found is None:
            continue
        site = made(tmp_path / str(number), status, code, error)
        if found[0] == "release" and f"vampd restore {DATE}" in lines:
            restored = order_of(f"vampd restore {DATE}")  # it is said to be typed first
            assert restored is not None
            given(site, *restored)
        try:
            said, changed, now = given(site, *found)
        except OperatorError:  # it says why not
            continue
        assert changed, f"{words}: {said}"
        if found[0] == "release":
            assert now != NightStatus.HELD, words


def test_accepting_a_file_of_an_empty_night_lets_it_collect_again(tmp_path: Path) -> None:
    site = made(tmp_path / "site", NightStatus.EMPTY, WaitCode.EMPTY, None)

    said = site.said("quarantine", DATE, _PATH, "--accept")

    assert "collects again" in said
    assert site.answer("status")["nights"][0]["status"] == "collecting"


def test_without_a_daemon_a_released_night_is_shown_as_held_no_more(tmp_path: Path) -> None:
    site = made(tmp_path / "site", NightStatus.HELD, HoldCode.QUALITY, None)

    said = site.said("release", DATE)

    assert "nothing more happens until it runs (systemctl start vampd)" in said
    assert site.answer("status")["nights"][0]["status"] == "ready"
    assert "it is not held" in site.said("release", DATE)


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (NightStatus.COLLECTING, WaitCode.DATE, f"to end it now: `vampd close {DATE}`"),
        (NightStatus.HELD, HoldCode.RESTORED, f"`vampd release {DATE}` lets it go on"),
        (NightStatus.EMPTY, WaitCode.EMPTY, "there is nothing to redo"),
    ],
)
def test_what_was_never_done_cannot_be_done_again(
    tmp_path: Path, status: NightStatus, code: CauseCode, said: str
) -> None:
    site = made(tmp_path / "site", status, code, None)

    refused = site.run("retry", DATE, "--from", "build")

    assert isinstance(refused.exception, OperatorError)
    assert said in str(refused.exception)


def test_release_says_what_helps_where_nobody_holds_the_night(tmp_path: Path) -> None:
    site = made(tmp_path / "site", NightStatus.HELD, WaitCode.FAILURE, ErrorClass.INTEGRITY)

    assert f"`vampd retry {DATE}` tries it again" in site.said("release", DATE)
