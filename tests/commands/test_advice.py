"""What explanations tell an operator to type is accepted where they say so, or says why not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any, NamedTuple

import click
import pytest
from msgspec.structs import replace

from tests.commands.advice_beside import BESIDE
from tests.support.command_line import command_of
from tests.support.ledger_site import NOW_US, Site
from tests.support.typed import arguments_of, commands_in, typed, undone, verb_of
from vampd import __version__
from vampd.allowed import Outcome, Verdict, decide
from vampd.causes import SENTENCES, Cause, CauseCode
from vampd.cli import group
from vampd.commands.page.views import Views
from vampd.errors import OperatorError, UsageError, VampdError
from vampd.io.clock import SystemClock
from vampd.ledger.connection import Ledger, open_ledger
from vampd.ledger.files import find_file
from vampd.ledger.nights import get_night
from vampd.ledger.reading import reading
from vampd.orders.standing import file_facts, standing_of
from vampd.settings.load import load
from vampd.states import (
    RAW_HOLDS,
    ErrorClass,
    ErrorCode,
    FileState,
    HoldCode,
    Kind,
    NightStatus,
    Stage,
    WaitCode,
)
from vampd.verbs import TYPED, Verb
from vampd.views.conditions import conditions
from vampd.views.explanations import EXPLANATIONS
from vampd.views.limits import limits

DATE = "20251106"

_PATH = "vcam1/vcam1_05:10:00.0.fits"
_NAMED = {"path": _PATH, "older": "20251105", "older_status": "failed", "stage": "build"}

_OPEN = frozenset({WaitCode.DATE, WaitCode.QUIET, WaitCode.LOOK, WaitCode.SETTLE, WaitCode.CUBES})

#: Work is held, and neither tried again nor given up, where it is unclear what came of it.
_OF_WORK = [each for each in ErrorClass if each is not ErrorClass.AMBIGUOUS]


class State(NamedTuple):
    """A state that a night can be in; what went wrong, and in which stage."""

    status: NightStatus
    code: CauseCode | None = None
    error: ErrorClass | None = None
    failure: ErrorCode | None = None
    stage: Stage = Stage.BUILD
    beside: str = ""  #: what else is so of it, by its name in BESIDE


def _of_failures() -> Iterator[State]:
    """Work that went wrong: by its class, by its stage, and where more is known of it."""
    for status in (NightStatus.WAITING, NightStatus.FAILED, NightStatus.HELD):
        for error in ErrorClass if status is NightStatus.HELD else _OF_WORK:
            yield State(status, WaitCode.FAILURE, error)
        for failure in ErrorCode:
            if f"{status}: {failure}" in EXPLANATIONS:
                yield State(status, WaitCode.FAILURE, ErrorClass.TRANSIENT, failure)
    for stage in Stage:
        yield State(NightStatus.FAILED, WaitCode.FAILURE, ErrorClass.DETERMINISTIC, stage=stage)
    yield State(NightStatus.WAITING, WaitCode.FAILURE, ErrorClass.TRANSIENT, ErrorCode.FAR_DISK)
    yield State(NightStatus.HELD, WaitCode.FAILURE, ErrorClass.INTEGRITY, ErrorCode.NOT_PLAIN)


#: Statuses that people are told to type something about, each with every code that it can have.
STATES = [
    *(State(NightStatus.HELD, code) for code in HoldCode),
    *(State(NightStatus.COLLECTING, code) for code in (*sorted(_OPEN), None)),
    *(State(NightStatus.WAITING, code) for code in sorted(set(WaitCode) - _OPEN)),
    *_of_failures(),
    *map(State, (NightStatus.READY, NightStatus.RUNNING, NightStatus.SAFE, NightStatus.RECLAIMED)),
    State(NightStatus.EMPTY, WaitCode.EMPTY),
    State(NightStatus.ABANDONED, WaitCode.GIVEN_UP),
    *(State(NightStatus.SAFE, beside=each) for each in BESIDE),
]


def words_of(code: CauseCode) -> dict[str, str]:
    """A word for each place in the sentence of *code*."""
    places = {place for _, place, _, _ in Formatter().parse(SENTENCES[code]) if place}
    return {place: _NAMED.get(place, "x") for place in places}


def made(folder: Path, state: State) -> Site:
    """A night in that state, with a cube; what it has done so far is what the state implies."""
    status, code, error, _, stage, beside = state
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
    if code in RAW_HOLDS:
        other_bytes(site, night, cube)
    if status is NightStatus.COLLECTING or is_empty or code is HoldCode.RESTORED:
        return site
    if error is ErrorClass.AMBIGUOUS:
        unclear_request(site, night)
    elif error is None:
        site.stages(night, Kind.ARCHIVE, None if status is NightStatus.SAFE else Stage.BUILD)
    else:
        site.stages(night, Kind.ARCHIVE, stage)
        went_wrong(site, night, state)
    if status is NightStatus.HELD and error is ErrorClass.INPUT:
        site.execute(
            "insert into stray (raw_file, night, state, inode, size_bytes, modified_ns, changed_us,"
            " changed_by) select id, night, 'unreadable', inode, size_bytes, modified_ns, 1, 'x'"
            " from raw_file where id = ?",
            cube,
        )
    if stage is not Stage.SYNC:
        site.output(night, 1, "VMPA", [(cube, 0, 1, 5)], state="planned")
    if beside:
        BESIDE[beside](site, night)
    return site


def went_wrong(site: Site, night: int, state: State) -> None:
    """The work of its stage did."""
    due = NOW_US if state.status is NightStatus.WAITING else 0
    trouble: dict[str, Any] = {
        "error": "x",
        "error_class": state.error,
        "error_code": state.failure,
        "attempts": 2,
        "due_us": due,
    }
    done = "pending" if due else "failed"
    if state.stage is Stage.BUILD:
        site.task(night, Stage.BUILD, done, "1.1", **trouble)
        return
    trouble["state"] = done
    columns = ", ".join(f"{name} = ?" for name in trouble)
    site.execute(f"update task set {columns} where stage = '{state.stage}'", *trouble.values())


def other_bytes(site: Site, night: int, cube: int) -> None:
    """Another file lies under the name of the cube, and that is known."""
    (site.folder / "archive" / DATE / _PATH).write_bytes(bytes(7))
    site.insert(
        "stray",
        raw_file=cube,
        night=night,
        state="other",
        size_bytes=7,
        changed_us=NOW_US,
        changed_by="daemon",
    )


def unclear_request(site: Site, night: int) -> None:
    """Frame IDs were asked for, and nobody can tell which were dealt."""
    site.root(Kind.ARCHIVE)
    site.stages(night, Kind.ARCHIVE, Stage.FRAME_IDS)
    site.execute(
        "update task set state = 'failed', error = 'x', error_class = 'ambiguous', attempts = 2"
        " where stage = 'frame_ids'"
    )
    site.insert(
        "frame_request",
        night=night,
        count=2,
        issuer="command",
        state="unclear",
        asked_us=NOW_US,
        changed_us=NOW_US,
        changed_by="daemon",
    )


def views_of(site: Site) -> dict[str, str]:
    """All that views say of the only night."""
    config = load(site.config)
    found = {
        name: site.run(*words).stdout
        for name, words in {
            "status": ("status", "--all"),
            "explain": ("explain", DATE),
            "show": ("show", DATE),
            "check": ("check",),
            "quarantine": ("quarantine", DATE),
            "programs": ("explain", DATE, "--json"),
        }.items()
    }
    pages = Views(config)
    found["page"] = pages.nights(fragment=True)
    found["page of the night"] = pages.night("archive", DATE, fragment=True)
    with reading(config.state_dir) as ledger:
        told = conditions(ledger, limits(config), NOW_US)
    found["mail"] = "\n".join(each.text for each in told)
    return found


def judged(site: Site, words: str) -> Verdict:
    """What the table says of an order as it is typed."""
    verb = verb_of(words)
    assert verb is not None
    ledger: Ledger = open_ledger(site.state, version=__version__, clock=SystemClock())
    try:
        night = get_night(ledger, 1)
        file = find_file(ledger, night.id, _PATH)
        assert file is not None
        standing = replace(standing_of(ledger, night), **file_facts(ledger, night, file))
        return decide(standing, verb)
    finally:
        ledger.close()


def moved(site: Site, words: str, *, is_up: bool) -> tuple[Outcome, str]:
    """What comes of typing an order, in the words of the table, and what is said."""
    result = typed(site, [*arguments_of(words, DATE, _PATH), "--json"], is_up=is_up)
    if isinstance(result.exception, UsageError | click.UsageError):
        raise result.exception
    if isinstance(result.exception, VampdError):
        return Outcome.REFUSED, str(result.exception)
    assert result.exception is None, (words, result.exception)
    answer = json.loads(result.stdout)
    assert answer["daemon_runs"] is is_up
    is_mail = verb_of(words) in {Verb.SEND, Verb.SEND_ANEW}
    night = answer if is_mail else answer["nights"][0]
    return Outcome.ACTS if night["changed"] else Outcome.NOTHING, "; ".join(night["lines"])


#: Orders that are decided by more than the status of a night; its words are no advice.
_BESIDE_VERBS = [
    verb
    for verb in Verb
    if verb.partition(" ")[0] in {"space", "archive", "admin", "data"}
    and verb not in {Verb.RECLAIM, Verb.ADOPT, Verb.VOID, Verb.SKIP, Verb.VERIFY}
]

#: Reading commands that take their time, or look at other machines: their words are checked.
_SLOW = ("admin ", "data verify", "data audit", "data rebuild-raw", "data report")


@pytest.fixture(scope="module")
def were_read() -> set[str]:
    """Reading commands that were typed: they answer in any state, so one is enough."""
    return set()


@pytest.mark.parametrize("state", STATES, ids=lambda state: "-".join(map(str, state)))
def test_what_any_view_says_to_type_is_accepted_and_moves_the_night(
    tmp_path: Path, were_read: set[str], state: State
) -> None:
    site = made(tmp_path / "site", state)

    told: dict[str, tuple[str, list[str]]] = {}  # the view, and what that one tells before
    for view, text in views_of(site).items():
        orders = [words for words in commands_in(text) if verb_of(words) is not None]
        for number, words in enumerate(orders):
            told.setdefault(words, (view, orders[:number]))
        for words in set(commands_in(text)) - set(orders) - were_read:
            read(site, words)
            were_read.add(words)
    for words, (view, before) in told.items():
        for is_up in (False, True):
            check_order(site, view, words, before, is_up=is_up)


@pytest.mark.parametrize("beside", BESIDE)
def test_what_stands_beside_a_safe_night_decides_as_the_table_says(
    tmp_path: Path, beside: str
) -> None:
    site = made(tmp_path / "site", State(NightStatus.SAFE, beside=beside))

    for verb in _BESIDE_VERBS:
        words = TYPED[verb].format(name=DATE, path=_PATH, stage="build")
        with undone(site):
            if verb not in {Verb.SEND, Verb.SEND_ANEW} or "[mail]" in site.config.read_text():
                verdict = judged(site, words)
                assert moved(site, words, is_up=False)[0] is verdict.outcome, (words, verdict)


def check_order(site: Site, view: str, words: str, before: list[str], *, is_up: bool) -> None:
    """It does what the table says, and is worth typing: now, once mended, or after *before*."""
    with undone(site):
        verdict = judged(site, words)
        outcome, said = moved(site, words, is_up=is_up)
    where = f"{view}: {words}: {verdict}: {said}"
    assert outcome is verdict.outcome, where
    if outcome is Outcome.ACTS or verdict.mended:
        return
    with undone(site):
        for earlier in before:
            moved(site, earlier, is_up=is_up)
        assert judged(site, words).outcome is Outcome.ACTS, where


def read(site: Site, words: str) -> None:
    """A command that only looks is one that there is, and answers."""
    given = arguments_of(words, DATE, _PATH)
    if words.removeprefix("vampd ").startswith(_SLOW):
        command, rest = command_of(given)
        # As part of the program: a command keeps the options for help of its first context.
        program = click.Context(group, info_name="vampd", **group.context_settings)
        command.make_context(words, [*rest], parent=program)
        return
    result = site.run(*given)
    assert not isinstance(result.exception, UsageError | click.UsageError), words
    assert result.exception is None or isinstance(result.exception, SystemExit | VampdError), words


def test_accepting_a_file_of_an_empty_night_lets_it_collect_again(tmp_path: Path) -> None:
    site = made(tmp_path / "site", State(NightStatus.EMPTY, WaitCode.EMPTY))

    said = site.said("quarantine", DATE, _PATH, "--accept")

    assert "collects again" in said
    assert site.answer("status")["nights"][0]["status"] == "collecting"


def test_without_a_daemon_a_released_night_is_shown_as_held_no_more(tmp_path: Path) -> None:
    site = made(tmp_path / "site", State(NightStatus.HELD, HoldCode.QUALITY))

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
    site = made(tmp_path / "site", State(status, code))

    refused = site.run("retry", DATE, "--from", "build")

    assert isinstance(refused.exception, OperatorError)
    assert said in str(refused.exception)


def test_release_says_what_helps_where_nobody_holds_the_night(tmp_path: Path) -> None:
    site = made(tmp_path / "site", State(NightStatus.HELD, WaitCode.FAILURE, ErrorClass.INTEGRITY))

    assert f"`vampd retry {DATE}` tries it again" in site.said("release", DATE)
