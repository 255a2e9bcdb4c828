from __future__ import annotations

import math
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from vampd.causes import Cause
from vampd.records import CardValue, FileIdentity
from vampd.states import FileCode, FileState
from vampd.watch.inspect import Inspection
from vampd.watch.naming import Role
from vampd.watch.scan import FolderEntry, FolderSnapshot
from vampd.watch.settle import (
    Differences,
    TrackedFile,
    Verdict,
    counts_as_change,
    find_differences,
    follow,
    is_stable,
    judge,
    judge_at_close,
    judge_temporary,
    needs_inspection,
    night_is_over,
)

SECOND_NS = 1_000_000_000
CUBE = "vcam1/vcam1_05:11:38.081003904.fits"
TIMING = "vcam1/vcam1_05:11:38.081003904.txt"
SETTLE_SECONDS = 30.0
SIZE_BYTES = 8640


def identity(size_bytes: int = SIZE_BYTES, *, inode: int = 7, modified_ns: int = 1) -> FileIdentity:
    return FileIdentity(inode=inode, size_bytes=size_bytes, modified_ns=modified_ns)


def watched(file: FileIdentity, *, looks: int = 2) -> TrackedFile:
    return TrackedFile(identity=file, since_ns=0, looks=looks)


CUBE_FILE = identity()
TIMING_FILE = identity(2489, inode=8)
GOOD = Inspection(
    cube_before=CUBE_FILE,
    cube_after=CUBE_FILE,
    timing_before=TIMING_FILE,
    timing_after=TIMING_FILE,
    expected_bytes=SIZE_BYTES,
    frames=20,
    cards={"EXPTIME": 0.1},
    rows=20,
    ends_in_newline=True,
)


def verdict(
    inspection: Inspection | None = GOOD,
    *,
    cube: TrackedFile | None = watched(CUBE_FILE),  # noqa: B008
    timing: TrackedFile | None = watched(TIMING_FILE),  # noqa: B008
    now_s: float = SETTLE_SECONDS,
    at_close: bool = False,
    is_rewritten: bool = False,
) -> Verdict:
    decide = judge_at_close if at_close else judge
    return decide(
        cube,
        timing,
        inspection,
        now_ns=round(now_s * SECOND_NS),
        settle_seconds=SETTLE_SECONDS,
        is_rewritten=is_rewritten,
    )


def look(**sizes: int) -> FolderSnapshot:
    return FolderSnapshot(
        files={
            path: FolderEntry(
                identity=identity(size),
                role=Role.OTHER,
                camera=None,
                stem=None,
                is_regular=True,
            )
            for path, size in sizes.items()
        },
        problems=(),
        unread=frozenset(),
    )


# --- looks ------------------------------------------------------------------------------


def test_a_look_is_compared_with_what_was_known() -> None:
    known = {"same": identity(1), "grown": identity(1), "lost": identity(1)}

    found = find_differences(known, look(same=1, grown=2, new=1))

    assert found == Differences(appeared=("new",), changed=("grown",), gone=("lost",))
    assert not find_differences({"same": identity(1)}, look(same=1))


@pytest.mark.parametrize("hidden", [".", "vcam1", CUBE])
def test_a_file_that_could_not_be_looked_at_is_not_gone(hidden: str) -> None:
    known = {CUBE: identity(), "vcam2/lost": identity()}

    found = find_differences(known, replace(look(), unread=frozenset({hidden})))

    assert CUBE not in found.gone
    assert ("vcam2/lost" in found.gone) == (hidden != ".")


def test_only_the_cameras_files_keep_a_night_open() -> None:
    found = Differences(appeared=("notes.txt",), changed=(), gone=(CUBE,))

    assert counts_as_change(found, {CUBE: Role.CUBE, "notes.txt": Role.OTHER})
    assert not counts_as_change(replace(found, gone=()), {"notes.txt": Role.OTHER})


def test_a_changed_file_begins_to_settle_anew() -> None:
    first = follow({}, look(cube=1, timing=1), now_ns=0)
    second = follow(first, look(cube=2, timing=1), now_ns=10)

    assert second["cube"] == TrackedFile(identity=identity(2), since_ns=10, looks=1)
    assert second["timing"] == TrackedFile(identity=identity(1), since_ns=0, looks=2)


def test_a_file_that_was_out_of_sight_begins_to_settle_anew() -> None:
    first = follow({}, look(cube=1), now_ns=0)
    hidden = follow(first, look(), now_ns=10)

    assert follow(hidden, look(cube=1), now_ns=20)["cube"].looks == 1


@pytest.mark.parametrize(
    ("looks", "seconds", "settle_seconds", "expected"),
    [(1, 99.0, 30.0, False), (2, 29.9, 30.0, False), (2, 30.0, 30.0, True), (2, 0.0, 0.0, True),
     (1, 0.0, 0.0, False)],
)  # fmt: skip
def test_stable_means_two_looks_and_the_settle_time(
    *, looks: int, seconds: float, settle_seconds: float, expected: bool
) -> None:
    file = watched(CUBE_FILE, looks=looks)

    stable = is_stable(file, now_ns=round(seconds * SECOND_NS), settle_seconds=settle_seconds)

    assert stable is expected


# --- an open night ----------------------------------------------------------------------


def test_a_settled_cube_with_all_its_rows_is_whole() -> None:
    assert verdict() == Verdict(state=FileState.WHOLE)
    assert verdict(at_close=True) == Verdict(state=FileState.WHOLE)


def test_whatever_may_still_come_is_waited_for_and_quarantined_at_close() -> None:
    shortfalls = {
        "truncated: 8640 bytes, its header says 11520": (
            FileCode.TRUNCATED,
            replace(GOOD, expected_bytes=11520),
        ),
        "too long: 8640 bytes, its header says 5760": (
            FileCode.TOO_LONG,
            replace(GOOD, expected_bytes=5760),
        ),
        "18 rows for 20 frames": (FileCode.ROWS, replace(GOOD, rows=18)),
        "25 rows for 20 frames": (FileCode.ROWS, replace(GOOD, rows=25)),
        "cannot be read: Input/output error": (
            FileCode.UNREADABLE,
            replace(GOOD, unread=Cause(FileCode.UNREADABLE, {"error": "Input/output error"})),
        ),
    }

    for reason, (code, inspection) in shortfalls.items():
        arriving, bad = verdict(inspection), verdict(inspection, at_close=True)
        assert (arriving.state, arriving.reason) == (FileState.ARRIVING, reason)
        assert bad == replace(arriving, state=FileState.QUARANTINED)
        assert bad.cause is not None
        assert bad.cause.code is code


def test_a_cube_without_timing_waits_and_is_quarantined_at_close() -> None:
    expected = Verdict(state=FileState.ARRIVING, cause=Cause(FileCode.NO_TIMING))

    assert verdict(None, timing=None) == expected
    assert verdict(None, timing=None, at_close=True) == replace(
        expected, state=FileState.QUARANTINED
    )


def test_timing_without_a_cube_raises_an_alarm_as_soon_as_it_has_settled() -> None:
    growing = verdict(None, cube=None, timing=watched(TIMING_FILE, looks=1))
    settled = verdict(None, cube=None)
    closed = verdict(None, cube=None, timing=watched(TIMING_FILE, looks=1), at_close=True)

    assert (growing.state, growing.alarm) == (FileState.ARRIVING, False)
    assert (settled.state, settled.alarm) == (FileState.ARRIVING, True)
    assert (closed.state, closed.alarm) == (FileState.QUARANTINED, True)
    assert closed.cause == Cause(FileCode.LOST_CUBE)


def test_a_torn_last_row_is_waited_for_and_costs_only_its_frame_at_close() -> None:
    torn = replace(GOOD, ends_in_newline=False, rejected={19: "not finished"})

    assert verdict(torn).state is FileState.ARRIVING
    assert verdict(torn, at_close=True).state is FileState.WHOLE
    assert verdict(replace(torn, rows=19), at_close=True).reason == "19 rows for 20 frames"


@pytest.mark.parametrize("exposure", [0, -1.0, math.nan, math.inf, True, "0.1", None])
def test_an_exposure_time_that_is_no_positive_number_is_bad_at_once(exposure: CardValue) -> None:
    bad = replace(GOOD, cards={"EXPTIME": exposure})

    assert verdict(bad).state is FileState.QUARANTINED
    assert verdict(bad, at_close=True).state is FileState.QUARANTINED
    assert "EXPTIME" in verdict(bad).reason


def test_a_missing_exposure_time_is_bad_only_when_the_files_are_whole() -> None:
    missing = replace(GOOD, cards={})

    assert verdict(missing) == Verdict(
        state=FileState.QUARANTINED, cause=Cause(FileCode.NO_EXPOSURE)
    )
    assert verdict(replace(missing, rows=18)).state is FileState.ARRIVING


def test_an_unreadable_header_is_bad_when_both_files_have_settled() -> None:
    problem = Cause(FileCode.CONTENT, {"problem": "no END card"})
    bad = replace(GOOD, problem=problem, frames=0, rows=0, ends_in_newline=False)

    assert verdict(bad) == Verdict(state=FileState.QUARANTINED, cause=problem)
    assert verdict(bad, timing=None).state is FileState.ARRIVING
    assert verdict(bad, now_s=1).state is FileState.ARRIVING


def test_what_was_read_of_another_file_is_not_used() -> None:
    other = identity(modified_ns=2)
    changed_before = replace(GOOD, cube_before=other, cube_after=other)
    changed_meanwhile = replace(GOOD, cube_before=other)
    timing_changed = replace(GOOD, timing_after=None)

    for inspection in (None, changed_before, changed_meanwhile, timing_changed):
        for at_close in (False, True):
            found = verdict(inspection, at_close=at_close)
            assert found == Verdict(state=FileState.ARRIVING, cause=Cause(FileCode.TO_BE_READ))


def test_a_file_that_still_changes_when_an_operator_closes_the_night_is_quarantined() -> None:
    found = verdict(None, cube=watched(CUBE_FILE, looks=1), at_close=True)

    assert (found.state, found.reason) == (FileState.QUARANTINED, "cube still changing")


def test_files_are_read_once_for_each_identity_and_not_while_they_change() -> None:
    cube, timing = watched(CUBE_FILE), watched(TIMING_FILE)

    assert needs_inspection(cube, timing, None, is_settled=True)
    assert not needs_inspection(cube, timing, None, is_settled=False)
    assert not needs_inspection(cube, timing, GOOD, is_settled=True)
    assert needs_inspection(watched(identity(1)), timing, GOOD, is_settled=True)
    assert needs_inspection(
        cube,
        timing,
        replace(GOOD, unread=Cause(FileCode.UNREADABLE, {"error": "?"})),
        is_settled=True,
    )


def test_a_left_over_temporary_file_is_a_crashed_write() -> None:
    assert judge_temporary(at_close=False).state is FileState.ARRIVING
    assert judge_temporary(at_close=True).state is FileState.QUARANTINED
    assert judge_temporary(at_close=True).alarm


# --- a logger at work -------------------------------------------------------------------


class Logger(Struct):
    """A writer of one cube and its timing file, and what a reader would find at any moment."""

    frames: int
    pixels_written: int = 0
    rows_written: int = 0
    newline: bool = True
    clock: int = 0

    def step(self, action: str) -> None:
        self.clock += 1
        if action == "pixels" and self.pixels_written < self.frames:
            self.pixels_written += 1
        elif action == "row" and self.pixels_written == self.frames:
            # A row comes in two writes: its numbers, then its newline.
            if self.newline and self.rows_written < self.frames:
                self.rows_written += 1
                self.newline = False
            else:
                self.newline = True

    @property
    def complete(self) -> bool:
        return self.rows_written == self.frames and self.newline

    def identities(self) -> dict[str, FileIdentity]:
        # The clock of the file system is coarse: a write may leave the time as it was.
        files = {CUBE: identity(100 * self.pixels_written, inode=1, modified_ns=self.clock // 4)}
        if self.rows_written:
            size = 10 * self.rows_written + self.newline
            files[TIMING] = identity(size, inode=2, modified_ns=self.clock // 4)
        return files

    def inspect(self) -> Inspection:
        files = self.identities()
        return Inspection(
            cube_before=files[CUBE],
            cube_after=files[CUBE],
            timing_before=files.get(TIMING),
            timing_after=files.get(TIMING),
            expected_bytes=100 * self.frames,
            frames=self.frames,
            cards={"EXPTIME": 0.1},
            rows=self.rows_written,
            ends_in_newline=self.newline,
        )


ACTIONS = st.lists(st.sampled_from(["pixels", "row", "look", "read", "wait"]), max_size=80)


@given(ACTIONS, st.sampled_from([0.0, 2.0]), st.booleans())
def test_nothing_incomplete_is_ever_whole(
    actions: list[str], settle_seconds: float, at_close: bool
) -> None:
    logger = Logger(frames=2)
    state: dict[str, TrackedFile] = {}
    inspection: Inspection | None = None
    decide = judge_at_close if at_close else judge

    for now_s, action in enumerate([*actions, "look", "look"]):
        logger.step(action)
        if action == "read":
            inspection = logger.inspect()
        if action != "look":
            continue
        files = logger.identities()
        seen = FolderSnapshot(
            files={
                path: FolderEntry(
                    identity=file, role=Role.CUBE, camera=1, stem="s", is_regular=True
                )
                for path, file in files.items()
            },
            problems=(),
            unread=frozenset(),
        )
        state = follow(state, seen, now_ns=now_s * SECOND_NS)
        found = decide(
            state.get(CUBE),
            state.get(TIMING),
            inspection,
            now_ns=now_s * SECOND_NS,
            settle_seconds=settle_seconds,
        )
        if found.state is FileState.WHOLE:
            # At close, rows that are all there suffice: a torn one costs its frame.
            assert logger.complete or (at_close and logger.rows_written == logger.frames)


@given(ACTIONS)
def test_what_was_completed_is_whole_after_two_looks_and_a_reading(actions: list[str]) -> None:
    logger = Logger(frames=2)
    for action in [*actions, *["pixels"] * 2, *["row"] * 4]:
        logger.step(action)
    if not logger.complete:
        logger.step("row")
    files = logger.identities()

    found = judge(
        watched(files[CUBE]),
        watched(files[TIMING]),
        logger.inspect(),
        now_ns=0,
        settle_seconds=0.0,
    )

    assert found.state is FileState.WHOLE


# --- the night's end --------------------------------------------------------------------

NIGHT = date(2025, 11, 6)


def us(day: int, hour: int, minute: int = 0) -> int:
    return round(datetime(2025, 11, day, hour, minute, tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("changed_us", "now_us", "over", "due_us", "waits_for"),
    [
        (us(6, 15), us(6, 20), False, us(7, 1), "the end of its UTC date and 60 min of grace"),
        (us(6, 15), us(7, 0, 59), False, us(7, 1), "the end of its UTC date and 60 min of grace"),
        (us(6, 15), us(7, 1), True, us(7, 1), ""),
        (us(7, 0, 50), us(7, 1), False, us(7, 1, 20), "30 min without a change"),
        (us(7, 0, 50), us(7, 1, 20), True, us(7, 1, 20), ""),
        (us(8, 0), us(7, 2), False, us(8, 0, 30), "30 min without a change"),
    ],
)
def test_a_night_is_over_when_it_is_quiet_and_its_date_has_ended(
    *, changed_us: int, now_us: int, over: bool, due_us: int, waits_for: str
) -> None:
    end = night_is_over(
        NIGHT,
        last_change_us=changed_us,
        now_us=now_us,
        unchanged_looks=1,
        quiet_minutes=30,
        grace_minutes=60,
    )

    assert (end.over, end.due_us, str(end.waits_for or "")) == (over, due_us, waits_for)


def test_without_quiet_or_grace_one_more_look_must_still_find_nothing() -> None:
    ends = [
        night_is_over(
            NIGHT,
            last_change_us=us(7, 0),
            now_us=us(7, 0),
            unchanged_looks=looks,
            quiet_minutes=0,
            grace_minutes=0,
        )
        for looks in (0, 1)
    ]

    assert [end.over for end in ends] == [False, True]
    assert str(ends[0].waits_for) == "one more look that finds nothing changed"


def test_the_last_date_there_is_can_be_waited_for() -> None:
    end = night_is_over(
        date.max,
        last_change_us=0,
        now_us=us(7, 0),
        unchanged_looks=1,
        quiet_minutes=0,
        grace_minutes=0,
    )

    assert not end.over


# --- cubes and timing files that are another's --------------------------------------------

APART = replace(
    GOOD, disagreement=Cause(FileCode.NOT_TOGETHER, {"times": "MJD-STR of the cube is ..., apart"})
)


@pytest.mark.parametrize("at_close", [False, True])
def test_a_cube_whose_header_has_other_times_than_its_rows_is_quarantined(
    *, at_close: bool
) -> None:
    found = verdict(APART, at_close=at_close)

    assert (found.state, found.cause) == (FileState.QUARANTINED, APART.disagreement)


@pytest.mark.parametrize("inspection", [GOOD, APART, replace(GOOD, is_confirmed=True), None])
def test_nothing_is_whole_while_its_name_is_being_written_again(
    inspection: Inspection | None,
) -> None:
    found = verdict(inspection, is_rewritten=True)

    assert (found.state, found.alarm) == (FileState.ARRIVING, False)


def test_a_timing_file_that_comes_before_its_cube_is_no_lost_cube() -> None:
    found = verdict(None, cube=None, is_rewritten=True)

    assert (found.state, found.alarm) == (FileState.ARRIVING, False)
    assert verdict(None, cube=None).alarm


def test_at_the_close_only_a_proved_cube_is_whole_beside_a_left_over_temporary_file() -> None:
    proved = verdict(replace(GOOD, is_confirmed=True), is_rewritten=True, at_close=True)
    unproved = verdict(GOOD, is_rewritten=True, at_close=True)
    torn = verdict(replace(GOOD, ends_in_newline=False), is_rewritten=True, at_close=True)
    apart = verdict(APART, is_rewritten=True, at_close=True)
    unread = verdict(None, is_rewritten=True, at_close=True)

    assert proved.state is FileState.WHOLE
    assert unproved.state is torn.state is apart.state is FileState.QUARANTINED
    assert "temporary file of the same name" in unproved.reason
    assert apart.cause == APART.disagreement
    assert unread.state is FileState.ARRIVING


def test_at_the_close_a_timing_file_beside_a_temporary_cube_is_a_lost_cube() -> None:
    found = verdict(None, cube=None, is_rewritten=True, at_close=True)

    assert (found.state, found.alarm) == (FileState.QUARANTINED, True)
    assert found.cause == Cause(FileCode.LOST_CUBE)
