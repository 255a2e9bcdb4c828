"""`vampd explain`: every state and every cause has its paragraph, and the command that goes on."""

from __future__ import annotations

import json
import os
import re
from itertools import product
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.commands.status_scenes import running_picture
from tests.support.command_line import command_of
from tests.support.ledger_site import NOW_US, Site
from vampd.causes import Cause, CauseCode
from vampd.errors import FarDiskError, NotPlainError
from vampd.io.beneath import Beneath, read_start
from vampd.ledger.records import Night
from vampd.schedule.dispatch import SHADOWED, NightSnapshot, NightState, standing
from vampd.states import (
    STAGES_OF,
    ErrorClass,
    ErrorCode,
    FileCode,
    HoldCode,
    Kind,
    NightStatus,
    Stage,
    TaskState,
    WaitCode,
)
from vampd.verbs import TYPED
from vampd.views import advice, causes
from vampd.views.explanations import EXPLANATIONS, UNKNOWN
from vampd.views.explanations_held import NOBODY
from vampd.views.explanations_of_failures import KNOWN, OF_FAILURES
from vampd.views.summaries import Summary, Trouble, is_at_rest
from vampd.watch.settle import night_is_over

_ROOT = "/mnt/fuuu/ARCHIVED_DATA"


_PATH = "vcam1/vcam1_05:10:00.000000000.fits"

#: A cause of each code, with all that its sentence names.
_WORDS = {
    "why": "the observers want to look first",
    "path": _PATH,
    "when": "the night was closed",
    "more": "",
    "signs": "vcam1_hlinkbak",
    "problem": "vcam1/a.fits: byte 3",
    "findings": "12 % dubious",
    "what": "3 of 150 copies are not right any more",
    "why_not": "nothing of it was found there",
    "error": "KeyError: 'x' (go, line 3)",
    "minutes": "30",
    "root": _ROOT,
    "least": "100",
    "older": "20251105",
    "older_status": "running",
    "stage": "transfer",
}


def a_cause(code: CauseCode, **words: str) -> Cause:
    return Cause(code, {**_WORDS, **words})


def a_summary(
    status: NightStatus,
    *,
    cause: Cause | None = None,
    hold: Cause | None = None,
    trouble: Trouble | None = None,
) -> Summary:
    night = Night(
        id=1,
        kind=Kind.ARCHIVE,
        date="20251106",
        folder=f"{_ROOT}/20251106",
        status=status,
        cause=None if cause is None else str(cause),
        cause_code=cause.code
        if cause is not None and not isinstance(cause.code, FileCode)
        else None,
        cause_words=None if cause is None else json.dumps(cause.words),
        hold_words=None if hold is None else json.dumps(hold.words),
        hold=None if hold is None else str(hold),
        hold_code=hold.code if hold is not None and isinstance(hold.code, HoldCode) else None,
        seen_us=NOW_US,
        last_change_us=NOW_US,
        closed_us=None,
        closed_by=None,
        safe_us=None,
        batch=1,
        close_asked_by=None,
        ids_looked_us=None,
        ids_skip_why=None,
        verified_us=None,
        verify_since_us=None,
        verify_tried_us=None,
        verify_asked_by=None,
        folder_stamps=None,
        changed_us=NOW_US,
        changed_by="vampd",
        why=None,
    )
    return Summary(
        night=night,
        stages={},
        trouble=trouble,
        raw_files=1,
        quarantined=0,
        late=0,
        outputs=0,
        built=0,
        verified=0,
        batches=1,
    )


def a_trouble(stage: Stage, error_class: ErrorClass | None, *, failed: bool) -> Trouble:
    return Trouble(
        stage=stage,
        unit="",
        error_class=error_class,
        code=None,
        error="the tool's own words",
        attempts=2,
        due_us=0 if failed else NOW_US,
        failing_since_us=NOW_US,
        failed=failed,
    )


def facts(**changes: object) -> NightSnapshot:
    """A closed archive night at its first stage."""
    night = NightSnapshot(
        number=1,
        kind=Kind.ARCHIVE,
        date="20251106",
        status=NightStatus.READY,
        hold=None,
        is_closed=True,
        waits_for=None,
        pause=None,
        digests_missing=0,
        ids_skipped=False,
        counts={(Stage.SYNC, TaskState.PENDING): 1},
        troubles=(),
    )
    return replace(night, **changes)


def rule(stands: NightState, hold: Cause | None = None) -> str:
    summary = a_summary(stands.status, cause=stands.cause, hold=hold)
    return causes.rule_of(summary)[0]


@pytest.mark.parametrize("status", NightStatus)
def test_every_status_with_failed_work_of_every_class_has_its_paragraph(
    status: NightStatus,
) -> None:
    for error_class, stage in product([*ErrorClass, None], Stage):
        trouble = a_trouble(stage, error_class, failed=status is not NightStatus.WAITING)

        found = causes.cause(a_summary(status, trouble=trouble), both_kinds=False)

        assert found.rule != UNKNOWN, (error_class, stage)
        assert "{" not in f"{found.because}{found.awaits}{found.next_step}{found.command}"
        assert found.because
        assert found.awaits


_PAUSES = (WaitCode.ROOT_ABSENT, WaitCode.ROOT_UNKNOWN, WaitCode.DISK_LOW, HoldCode.TROUBLE)


@pytest.mark.parametrize("code", _PAUSES)
@pytest.mark.parametrize("is_closed", [False, True])
def test_every_pause_has_its_paragraph(code: CauseCode, *, is_closed: bool) -> None:
    night = facts(pause=a_cause(code), is_closed=is_closed)

    assert rule(standing(night, [night])) == code


def test_what_stops_a_night_counts_before_work_that_went_wrong_earlier() -> None:
    summary = a_summary(
        NightStatus.WAITING,
        cause=a_cause(WaitCode.DISK_LOW),
        trouble=a_trouble(Stage.BUILD, ErrorClass.TRANSIENT, failed=False),
    )

    assert causes.rule_of(summary)[0] == "disk low"
    assert "vampd retry" not in advice.next_step(summary, both_kinds=False)


def test_reading_and_older_nights_are_known_in_the_dispatchers_words() -> None:
    reading = facts(digests_missing=3)
    waiting = facts(
        counts={(Stage.SYNC, TaskState.DONE): 1, (Stage.FRAME_IDS, TaskState.PENDING): 1}
    )
    by_status = {}
    for status in (NightStatus.RUNNING, NightStatus.FAILED, NightStatus.HELD):
        older = facts(number=2, date="20251105", status=status)
        by_status[status] = rule(standing(waiting, [older, waiting]))

    odd = facts(pause=a_cause(HoldCode.TROUBLE))

    assert rule(standing(reading, [reading])) == "raw unread"
    assert rule(standing(odd, [odd])) == "trouble"
    assert by_status == {
        NightStatus.RUNNING: "older night",
        NightStatus.FAILED: "older night stuck",
        NightStatus.HELD: "older night stuck",
    }


@pytest.mark.parametrize(
    ("expected", "now_hours", "quiet", "looks"),
    [
        ("collecting: date", 20, 0, 5),
        ("collecting: quiet", 30, 12 * 60, 5),
        ("collecting: look", 30, 0, 0),
    ],
)
def test_what_keeps_a_night_open_is_known_in_the_watchers_words(
    expected: str, now_hours: int, quiet: int, looks: int
) -> None:
    from datetime import UTC, date, datetime

    day = date(2025, 11, 6)
    begin_us = int(datetime(2025, 11, 6, tzinfo=UTC).timestamp()) * 1_000_000
    end = night_is_over(
        day,
        last_change_us=begin_us + 20 * 3_600_000_000,
        now_us=begin_us + now_hours * 3_600_000_000,
        unchanged_looks=looks,
        quiet_minutes=quiet,
        grace_minutes=60,
    )
    night = facts(is_closed=False, waits_for=end.waits_for)

    assert end.waits_for
    assert rule(standing(night, [night])) == expected


@pytest.mark.parametrize(
    ("expected", "waits_for"),
    [
        ("collecting: settle", Cause(WaitCode.SETTLE)),
        ("collecting: unread", Cause(WaitCode.CUBES)),
        ("collecting", None),
    ],
)
def test_what_keeps_an_ended_night_open_is_known(expected: str, waits_for: Cause | None) -> None:
    night = facts(is_closed=False, waits_for=waits_for)

    assert rule(standing(night, [night])) == expected


@pytest.mark.parametrize("code", HoldCode)
def test_every_hold_has_its_paragraph(code: HoldCode) -> None:
    hold = a_cause(code)
    night = facts(hold=hold)

    found = causes.cause(a_summary(NightStatus.HELD, cause=hold, hold=hold), both_kinds=False)

    assert rule(standing(night, [night]), hold=hold) == f"hold: {code}"
    assert "{" not in f"{found.because}{found.awaits}{found.next_step}{found.command}"


@pytest.mark.parametrize(
    "why",
    [
        *(str(a_cause(code)) for code in (*HoldCode, *WaitCode) if code is not HoldCode.ORDER),
        "as far as a shadow goes beside it, look at pixel drift first",
        "quality outside its limits: I saw clouds",
        "restored",
        "{path} {0} %s",
    ],
)
def test_an_operator_s_words_are_only_words(why: str) -> None:
    hold = Cause(HoldCode.ORDER, {"why": why})
    night = facts(hold=hold)
    summary = a_summary(NightStatus.HELD, cause=hold, hold=hold)

    assert str(hold) == why
    assert rule(standing(night, [night]), hold=hold) == "hold: order"
    assert advice.needs_somebody(summary)
    assert not is_at_rest(summary.night)


def test_raw_files_that_are_read_again_are_told_as_what_passes_by_itself() -> None:
    night = facts(unread_again=2)

    assert rule(standing(night, [night])) == "raw again"


def test_a_shadow_and_an_adopted_night_rest_and_need_nobody() -> None:
    adoption, order = a_cause(HoldCode.ADOPTED), a_cause(HoldCode.ORDER)
    shadow = a_summary(NightStatus.HELD, cause=SHADOWED)
    adopted = a_summary(NightStatus.HELD, cause=adoption, hold=adoption)
    ordered = a_summary(NightStatus.HELD, cause=order, hold=order)

    assert [causes.rule_of(each)[0] for each in (shadow, adopted)] == [
        "hold: shadow",
        "hold: adopted",
    ]
    assert [is_at_rest(each.night) for each in (shadow, adopted, ordered)] == [True, True, False]
    assert [advice.needs_somebody(each) for each in (shadow, adopted, ordered)] == [
        False,
        False,
        True,
    ]


def test_the_way_out_of_a_changed_raw_file_is_the_file_or_to_give_up() -> None:
    hold = a_cause(HoldCode.RAW_CHANGED, path="vcam1/a.fits")
    summary = a_summary(NightStatus.HELD, cause=hold, hold=hold)

    found = causes.cause(summary, both_kinds=True)

    assert "vcam1/a.fits" in found.because
    assert "put the old file back, then: vampd retry 20251106 --kind archive" in found.next_step
    command = "vampd quarantine 20251106 --kind archive vcam1/a.fits --give-up --why TEXT"
    assert command in found.next_step
    assert "restore" not in found.next_step


def test_a_cause_without_a_code_is_said_to_be_unknown() -> None:
    assert causes.rule_of(a_summary(NightStatus.WAITING))[0] == UNKNOWN


def test_an_error_of_a_far_disk_has_its_own_paragraph() -> None:
    trouble = a_trouble(Stage.TRANSFER, ErrorClass.TRANSIENT, failed=False)
    far = replace(trouble, code=FarDiskError("x").code)

    found = causes.cause(a_summary(NightStatus.WAITING, trouble=far), both_kinds=False)

    assert found.rule == "far disk"
    assert "vampd admin doctor --claim" in found.next_step


@pytest.mark.parametrize("code", KNOWN)
def test_every_failure_that_is_known_has_one_line_and_a_next_step_of_its_own(
    code: ErrorCode,
) -> None:
    error = "making it exited 1: what is wrong\nthe raw words\nand more"
    status = NightStatus.FAILED if KNOWN[code].fails else NightStatus.WAITING
    trouble = replace(
        a_trouble(Stage.TRANSFER, ErrorClass.DETERMINISTIC, failed=True), code=code, error=error
    )
    summary = a_summary(
        status, cause=a_cause(WaitCode.FAILURE, error=trouble.line), trouble=trouble
    )

    found = causes.cause(summary, both_kinds=False)

    assert found.rule == f"{status}: {code}"
    assert (KNOWN[code].mend or "nothing: it is tried again") in found.next_step
    assert advice.what(summary) == (
        f"{status}: transfer, 2 times: making it exited 1: what is wrong"
    )


def test_no_two_failures_are_mended_in_the_same_way() -> None:
    assert set(KNOWN) == set(ErrorCode) - {ErrorCode.FAR_DISK, ErrorCode.NOT_PLAIN}
    assert len({known.mend for known in KNOWN.values()}) == len(KNOWN)


@pytest.mark.parametrize("kind", ["link", "pipe", "pipe for a folder"])
def test_an_error_of_a_link_or_a_pipe_has_its_own_paragraph(tmp_path: Path, kind: str) -> None:
    place = Beneath(tmp_path) / "vgen2"
    if kind == "link":
        place.path.symlink_to("/elsewhere")
    else:
        os.mkfifo(place.path)
    with pytest.raises(NotPlainError) as caught:
        read_start(place / "x" if kind == "pipe for a folder" else place, 1)
    trouble = a_trouble(Stage.BUILD, ErrorClass.INTEGRITY, failed=True)

    found = causes.cause(
        a_summary(NightStatus.HELD, trouble=replace(trouble, code=caught.value.code)),
        both_kinds=False,
    )

    assert found.rule == "not plain"


def test_every_rule_can_be_reached() -> None:
    """A rule that no state comes under is a paragraph that nobody will read."""
    patterns = {str(code) for code in causes._STOPS} | {"older night stuck", UNKNOWN}
    patterns |= {f"hold: {code}" for code in HoldCode}
    patterns |= {f"collecting: {code}" for code in causes._AWAITED}
    patterns |= {"held: frame IDs unclear", *(str(code) for _, code in causes._KNOWN_ERRORS)}
    patterns |= set(OF_FAILURES)
    by_status = {str(status) for status in NightStatus}
    of_classes = {
        f"{status}: {of or 'no class'}"
        for status in (NightStatus.WAITING, NightStatus.FAILED, NightStatus.HELD)
        for of in (*ErrorClass, None)
        if (status, of) != (NightStatus.FAILED, ErrorClass.DETERMINISTIC)
    }
    of_stages = {f"failed: {stage}" for stage in Stage}
    reached = patterns | by_status | of_classes | of_stages

    assert set(EXPLANATIONS) <= reached
    assert reached - set(EXPLANATIONS) == {
        str(status) for status in (NightStatus.WAITING, NightStatus.FAILED, NightStatus.HELD)
    }


@pytest.mark.parametrize("rule_name", EXPLANATIONS)
def test_the_commands_that_are_advised_exist_with_their_options(rule_name: str) -> None:
    found = EXPLANATIONS[rule_name]
    prose = re.findall(r"`([^`]+)`", f"{found.because} {found.awaits}")
    text = "; ".join([*prose, found.next_step, found.command or ""])
    for verb, typed in TYPED.items():
        text = text.replace(f"{{{verb.name.lower()}}}", typed)

    for words in re.findall(r"vampd ([a-z-]+(?: [^;,.()`]*)?)", text.replace("{name}", "DATE")):
        command, rest = command_of(words.split())
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= known


def test_who_must_act_agrees_with_what_is_to_be_done() -> None:
    for name, found in EXPLANATIONS.items():
        if found.who == NOBODY:
            assert re.match(r"nothing|mount", found.next_step), name
        else:
            assert not found.next_step.startswith("nothing"), name


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    return site


def test_the_paragraph_tells_cause_time_attempts_and_command(site: Site) -> None:
    night = site.night("20251106", "running")
    site.stages(night, Kind.ARCHIVE, Stage.TRANSFER)
    site.cube(night, "vcam1_05:10:00.000000000", state="quarantined", reason="no timing file")
    site.execute(
        "update task set state = 'failed', error = 'mkdir failed', error_class = 'deterministic',"
        " attempts = 2, failing_since_us = ? where stage = 'transfer'",
        NOW_US,
    )
    site.execute(
        "update night set status = 'failed', cause = 'transfer: mkdir failed', why = cause,"
        " changed_by = 'vampd', changed_us = ? where id = ?",
        NOW_US + 60_000_000,
        night,
    )
    site.night("20251106", "safe", kind=Kind.ENGINEERING)

    said = re.sub(r"\s+", " ", site.said("explain", "20251106", "--kind", "archive"))

    for words in (
        "archive 20251106 has been failed since 2025-11-06 16:01:00 UT (2025-11-06 06:01 HST)",
        "the other machine refused its files",
        'In its own words: "transfer: mkdir failed".',
        "It fails since 2025-11-06 16:00:00 UT (2025-11-06 06:00 HST), after 2 attempts.",
        "An operator must act.",
        "1 cube quarantined",
        "But the daemon is not running",
    ):
        assert words in said, said
    assert said.rstrip().endswith("vampd retry 20251106 --kind archive")


@pytest.mark.parametrize("status", NightStatus)
def test_every_status_is_explained_by_the_command_too(site: Site, status: NightStatus) -> None:
    night = site.night("20251106", status, cause="a cause")
    site.stages(night, Kind.ARCHIVE, Stage.TRANSFER)

    (said,) = site.answer("explain", "last")["nights"]

    assert said["status"] == status
    assert said["text"].startswith("archive 20251106 has been ")
    assert "has been running" in said["text"] or status is not NightStatus.RUNNING


def test_the_json_of_status_names_the_same_rule(site: Site) -> None:
    night = site.night("20251106", "waiting", cause="less than 100 GB free at /mnt")
    site.execute("update night set cause_code = 'disk low' where id = ?", night)

    (told,) = site.answer("status")["nights"]

    assert told["rule"] == "disk low"
    assert "make room" in told["next"]
    assert site.answer("status")["needs_somebody"] == ["daemon", "archive 20251106"]
    assert running_picture(site).daemon_runs


def test_all_kinds_have_their_stages_in_the_table() -> None:
    assert {stage for stages in STAGES_OF.values() for stage in stages} == set(Stage)
