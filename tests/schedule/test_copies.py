"""What the ledger makes of the far side: sent, verified, moved on, verified again; real files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct, field
from msgspec.structs import replace

from tests.support.fake_ledger import (
    DAY_US,
    SECOND_US,
    FakeClock,
    a_task,
    claimed,
    opened,
    settings,
)
from tests.support.far_side import flip_one_byte
from tests.support.stage_steps import piped, prepared
from vampd.background import copies as reverify
from vampd.errors import IntegrityError, OperatorError, VampdError
from vampd.ledger import deliveries, nights, tasks
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.orders import verify as verify_orders
from vampd.orders.context import CommandContext
from vampd.schedule.executor import Outcome
from vampd.schedule.stage_table import STAGES
from vampd.settings.load import load
from vampd.settings.sections import Config
from vampd.stages import transfer, verify
from vampd.stages.verify import verify_job
from vampd.states import ErrorClass, Kind, NightStatus, Stage

DATE = "20251106"
PATHS = ("vgen2/a.fits.fz", "vgen2/b.fits.fz", "manifest_VMP_20251106.csv")


class FarDesk(Struct, frozen=True, kw_only=True):
    """A ledger with one night, whose files lie here and are listed for the other machine."""

    folder: Path
    ledger: Ledger
    clock: FakeClock
    config: Config
    number: int
    tasks: dict[Stage, int] = field(default_factory=dict)

    @property
    def night(self) -> Night:
        return nights.get_night(self.ledger, self.number)

    @property
    def far(self) -> Path:
        return self.folder / "far" / DATE

    def do(self, stage: Stage) -> str | None:
        """Claim a stage's task, do it, record it; return what is awaited."""
        task = claimed(self.ledger, self.tasks[stage])
        work = prepared(self.ledger, self.config, self.night, task)
        try:
            result = work()
        except VampdError as error:
            STAGES[stage].keep_progress(self.ledger, task, piped(error.progress))
            tasks.requeue(self.ledger, task, error.error_class, str(error), due_us=0)
            raise
        tasks.finish(self.ledger, task)
        awaited = STAGES[stage].end(self.ledger, task, piped(result))
        if awaited is not None:
            tasks.reopen(self.ledger, task, ErrorClass.TRANSIENT, awaited, due_us=0)
        return awaited

    def make_safe(self) -> None:
        self.do(Stage.TRANSFER)
        assert self.do(Stage.VERIFY) is None
        self.ledger.update("night", self.number, status=NightStatus.SAFE)
        self.ledger.update("night", self.number, safe_us=self.ledger.now_us())

    def reverify(self) -> bool:
        """Do one piece of the background job, as the engine does; return whether there was one."""
        job = reverify.JOB.due(self.ledger, self.config)
        if job is None:
            return False
        try:
            outcome: Outcome[Any] = Outcome(key=1, result=reverify.JOB.work(job))
        except VampdError as error:
            outcome = Outcome(key=1, error_class=error.error_class, error=str(error))
        reverify.JOB.record(self.ledger, self.config, job, outcome)
        return True

    def pending(self) -> set[str]:
        rows = self.ledger.rows("select stage from task where state = 'pending'")
        return {row["stage"] for row in rows}

    def events(self, subject: str) -> list[str]:
        rows = self.ledger.rows("select became from event where subject = ?", [subject])
        return [row["became"] for row in rows]


def verified_since(desk: FarDesk, us: int) -> bool:
    """Whether every file of the night was found right at the far end at *us* or later."""
    found_us = desk.night.verified_us
    return found_us is not None and found_us >= us


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[FarDesk]:
    config = settings(tmp_path)
    clock = FakeClock()
    folder = tmp_path / "archive" / DATE
    (folder / "vgen2").mkdir(parents=True)
    (folder / ".vampd").mkdir()
    with closing(opened(tmp_path / "state", clock)) as ledger:
        night = nights.sight_night(ledger, Kind.ARCHIVE, DATE, folder)
        for path in PATHS:
            content = path.encode() * 100
            (folder / path).write_bytes(content)
            digest = hashlib.sha256(content).hexdigest()
            deliveries.list_file(ledger, night.id, path, len(content), digest)
        made = FarDesk(folder=tmp_path, ledger=ledger, clock=clock, config=config, number=night.id)
        for stage in (Stage.TRANSFER, Stage.VERIFY):
            made.tasks[stage] = a_task(ledger, night.id, stage)
        yield made


def test_a_night_sent_and_verified_has_an_age(desk: FarDesk) -> None:
    sent_us = desk.ledger.now_us()
    desk.make_safe()

    assert verified_since(desk, sent_us)
    assert not verified_since(desk, sent_us + 1)
    assert desk.night.verified_us == sent_us


def test_a_night_without_files_was_never_verified(desk: FarDesk) -> None:
    desk.ledger.execute("delete from deliverable")

    assert not verified_since(desk, 0)


def test_a_verdict_on_older_bytes_does_not_count(desk: FarDesk) -> None:
    desk.do(Stage.TRANSFER)
    result = verify.work(verify_job(desk.ledger, desk.config, desk.night, afresh=True))
    deliveries.list_file(desk.ledger, desk.number, PATHS[0], 1, "0" * 64)

    deliveries.record_verdicts(desk.ledger, desk.number, result.results)

    assert not verified_since(desk, 0)


def test_a_flipped_byte_is_sent_again_and_kept_as_evidence(desk: FarDesk) -> None:
    desk.do(Stage.TRANSFER)
    flip_one_byte(desk.far / PATHS[0])

    awaited = desk.do(Stage.VERIFY)
    desk.do(Stage.TRANSFER)

    assert awaited is not None
    assert f"{PATHS[0]} is different; 1 are sent again" in awaited
    assert desk.do(Stage.VERIFY) is None
    (row,) = desk.ledger.rows("select * from evidence")
    assert row["name"].startswith(f"{PATHS[0]}.sha256-")
    assert row["why"] == transfer.DAMAGED
    assert (desk.folder / "far" / ".evidence" / DATE / row["name"]).is_file()
    assert desk.events("evidence") == ["set aside"]


def test_a_newer_version_of_a_file_sets_the_older_one_aside_without_an_alarm(desk: FarDesk) -> None:
    desk.make_safe()
    path, content = PATHS[0], b"made anew"
    (desk.folder / "archive" / DATE / path).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    deliveries.list_file(desk.ledger, desk.number, path, len(content), digest)
    tasks.make_pending(desk.ledger, desk.number, [Stage.TRANSFER, Stage.VERIFY], "made anew")

    desk.do(Stage.TRANSFER)

    assert desk.do(Stage.VERIFY) is None
    (row,) = desk.ledger.rows("select * from evidence where name like 'vgen2/a%'")
    assert row["why"] == transfer.OLDER


def test_what_was_published_before_the_link_broke_is_not_sent_again(desk: FarDesk) -> None:
    foreign = desk.far / PATHS[1]
    foreign.parent.mkdir(parents=True)
    foreign.write_text("not ours")

    with pytest.raises(IntegrityError, match="are not vampd's"):
        desk.do(Stage.TRANSFER)

    unsent = desk.ledger.rows("select path from deliverable where sent_us is null")
    assert [row["path"] for row in unsent] == [PATHS[1]]
    assert foreign.read_text() == "not ours"


def with_settings(desk: FarDesk, *lines: str) -> FarDesk:
    """The same, with further lines on the delivery in its settings."""
    path = desk.folder / "vampd.toml"
    path.write_text(path.read_text().replace("[night]", "\n".join([*lines, "[night]"])))
    return replace(desk, config=load(path))


def where_files_are_moved(desk: FarDesk) -> FarDesk:
    where = f'verify_at = "{desk.folder}/sdata/{{night}}"'
    return with_settings(desk, where, "verify_after_hours = 24.0")


def test_what_nobody_moved_yet_is_awaited_and_after_its_time_sent_again(desk: FarDesk) -> None:
    desk = where_files_are_moved(desk)
    desk.do(Stage.TRANSFER)
    first = desk.do(Stage.VERIFY)
    waiting = desk.pending()
    desk.clock.pass_seconds(24 * 3600 + 1)

    second = desk.do(Stage.VERIFY)

    assert first is not None
    assert "is not yet there, and lies at" in first
    assert "sent again" not in first
    assert Stage.TRANSFER not in waiting
    assert second is not None
    assert "4 are sent again, for nobody moved them within 24 h" in second
    assert Stage.TRANSFER in desk.pending()
    for _ in range(6):
        desk.do(Stage.TRANSFER)
        desk.clock.pass_seconds(24 * 3600 + 1)
        desk.do(Stage.VERIFY)
    assert verify.sent_too_often(desk.ledger, desk.number) is None
    (desk.folder / "sdata").mkdir()
    desk.far.rename(desk.folder / "sdata" / DATE)
    desk.do(Stage.TRANSFER)
    assert desk.do(Stage.VERIFY) is None


def test_what_is_wrong_where_it_was_sent_is_sent_again_without_blaming_who_moves(
    desk: FarDesk,
) -> None:
    desk = where_files_are_moved(desk)
    desk.do(Stage.TRANSFER)
    flip_one_byte(desk.far / PATHS[0])

    awaited = desk.do(Stage.VERIFY)

    assert awaited is not None
    assert awaited.endswith(f"{PATHS[0]} is different; 1 are sent again")


def test_what_is_on_its_way_is_missing_at_both_and_has_the_same_time(desk: FarDesk) -> None:
    desk = where_files_are_moved(desk)
    desk.do(Stage.TRANSFER)
    desk.far.rename(desk.folder / "on the way")

    first = desk.do(Stage.VERIFY)
    desk.clock.pass_seconds(24 * 3600 + 1)
    before = desk.pending()
    second = desk.do(Stage.VERIFY)

    assert first is not None
    assert "is missing" in first
    assert Stage.TRANSFER not in before
    assert second is not None
    assert Stage.TRANSFER in desk.pending()
    desk.do(Stage.TRANSFER)
    assert (desk.far / PATHS[0]).exists()


def test_other_bytes_where_it_counts_are_sent_again_at_once(desk: FarDesk) -> None:
    desk = where_files_are_moved(desk)
    desk.do(Stage.TRANSFER)
    (desk.folder / "sdata").mkdir()
    desk.far.rename(desk.folder / "sdata" / DATE)
    moved = desk.folder / "sdata" / DATE / PATHS[0]
    flip_one_byte(moved)
    wrong = moved.read_bytes()

    awaited = desk.do(Stage.VERIFY)
    desk.do(Stage.TRANSFER)

    assert awaited is not None
    assert "is different" in awaited
    assert (desk.far / PATHS[0]).exists()
    assert moved.read_bytes() == wrong


def order(desk: FarDesk, *, dry_run: bool = False) -> Any:
    desk.clock.pass_seconds(1)
    at = CommandContext(ledger=desk.ledger, config=desk.config, stop_work=lambda _: None)
    return verify_orders.ORDERS["verify"](at, desk.night, {"dry_run": dry_run})


def test_a_safe_night_is_verified_again_when_it_is_asked_for(desk: FarDesk) -> None:
    desk.make_safe()
    desk.clock.pass_seconds(3600)
    assert not desk.reverify()
    assert order(desk, dry_run=True).changed
    assert not desk.reverify()

    assert order(desk).changed
    assert not order(desk).changed

    assert desk.reverify()
    assert not desk.reverify()
    assert verified_since(desk, desk.ledger.now_us())
    (row,) = desk.ledger.rows("select * from verification")
    assert (row["files"], row["wrong"], row["error"]) == (4, 0, None)
    assert desk.night.status == NightStatus.SAFE
    assert desk.events("verification") == ["right"]


def test_a_night_at_work_is_not_verified_on_an_order(desk: FarDesk) -> None:
    with pytest.raises(OperatorError, match="its stage verify"):
        order(desk)


def test_copies_are_verified_again_at_their_age(desk: FarDesk) -> None:
    desk = with_settings(desk, "reverify_days = 30.0")
    desk.make_safe()
    desk.clock.pass_seconds(30 * DAY_US / SECOND_US - 1)
    assert not desk.reverify()
    desk.clock.pass_seconds(2)

    assert desk.reverify()

    assert not desk.reverify()
    assert desk.night.verified_us == desk.ledger.now_us()


def test_a_safe_night_with_a_rotten_copy_is_not_safe_until_it_was_sent_again(desk: FarDesk) -> None:
    desk.make_safe()
    flip_one_byte(desk.far / PATHS[1])
    order(desk)

    assert desk.reverify()

    night = desk.night
    assert night.status == NightStatus.READY
    assert night.safe_us is None
    assert PATHS[1] in (night.cause or "")
    assert desk.pending() == {Stage.TRANSFER, Stage.VERIFY}
    assert not verified_since(desk, 0)
    desk.do(Stage.TRANSFER)
    assert desk.do(Stage.VERIFY) is None
    assert len(list((desk.folder / "far" / ".evidence").rglob("*.sha256-*"))) == 1
    assert desk.events("verification") == ["wrong"]


def test_a_safe_night_of_which_nothing_is_found_is_held_and_not_sent_again(desk: FarDesk) -> None:
    desk.make_safe()
    desk.far.rename(desk.folder / "elsewhere")
    order(desk)

    desk.reverify()

    assert desk.night.status == NightStatus.HELD
    assert "is its disk mounted, was it moved?" in (desk.night.hold or "")
    assert desk.pending() == set()


def test_a_rotten_copy_whose_file_is_gone_here_holds_the_night(desk: FarDesk) -> None:
    desk.make_safe()
    flip_one_byte(desk.far / PATHS[1])
    (desk.folder / "archive" / DATE / PATHS[1]).unlink()
    order(desk)

    desk.reverify()

    assert desk.night.status == NightStatus.HELD
    assert f"{PATHS[1]} is gone" in (desk.night.hold or "")


def test_a_far_side_that_does_not_answer_changes_nothing_and_is_asked_later(desk: FarDesk) -> None:
    desk.make_safe()
    order(desk)
    job = reverify.JOB.due(desk.ledger, desk.config)
    assert job is not None
    outcome: Outcome[Any] = Outcome(
        key=1, error_class=ErrorClass.TRANSIENT, error="Connection refused"
    )
    reverify.JOB.record(desk.ledger, desk.config, job, outcome)

    assert desk.night.status == NightStatus.SAFE
    assert not desk.reverify()
    assert desk.events("verification") == ["unknown"]
    desk.clock.pass_seconds(desk.config.retry.longest_seconds + 1)
    assert desk.reverify()
    assert verified_since(desk, desk.ledger.now_us())
