"""The ledger is copied when it is time and nobody is disturbed; and what is too old is told."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.support.fake_ledger import FakeClock, a_night, opened, reread, settings
from vampd.background import ledger_copies as job
from vampd.ledger import daemons, destination_markers, ledger_copies, nights
from vampd.ledger.connection import Ledger
from vampd.ledger.copy_files import MadeCopy, copies_in
from vampd.ledger.ledger_copies import HERE
from vampd.remote.destination_marker import Marked
from vampd.schedule.executor import Outcome
from vampd.settings.sections import Config
from vampd.states import ErrorClass
from vampd.views.conditions import conditions
from vampd.views.limits import limits

_HOUR = 3600.0


class Place:
    """A ledger, settings and a clock."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder = folder
        self.config: Config = settings(folder, more)
        self.clock = FakeClock()
        self.ledger: Ledger = opened(folder / "state", self.clock)
        self.life = daemons.begin(self.ledger, pid=1, version="0", coder_trouble=None)
        self.night = a_night(self.ledger)

    def copy(self) -> MadeCopy:
        """Do what is due."""
        wanted = job.due(self.ledger, self.config)
        assert wanted is not None
        made = job.work(wanted)
        job.record(self.ledger, self.config, wanted, Outcome(key=1, result=made))
        return made

    def fail(self, error: str, error_class: ErrorClass = ErrorClass.TRANSIENT) -> None:
        wanted = job.due(self.ledger, self.config)
        assert wanted is not None
        failed = Outcome[MadeCopy](key=1, error=error, error_class=error_class)
        job.record(self.ledger, self.config, wanted, failed)

    def pass_hours(self, hours: float) -> None:
        self.clock.pass_seconds(hours * _HOUR)
        daemons.note_alive(self.ledger, self.life)

    def happen(self) -> None:
        """Something that a copy could keep."""
        nights.ask_to_close(self.ledger, self.night.id)
        self.ledger.execute("update night set status = 'ready' where status != 'ready'")
        self.ledger.execute("update night set status = 'running'")

    def told(self) -> list[str]:
        found = conditions(self.ledger.connection, limits(self.config), self.clock.now_us())
        return [each.text for each in found if each.name.startswith("ledger")]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_copy_is_made_every_night_and_only_where_something_happened(place: Place) -> None:
    first = job.due(place.ledger, place.config)
    place.pass_hours(24)
    made = place.copy()
    place.pass_hours(24)
    idle = job.due(place.ledger, place.config)
    place.happen()

    assert (first, idle) == (None, None)
    assert place.copy().event > made.event


def test_cameras_that_write_put_it_off_for_a_day_and_no_longer(place: Place) -> None:
    place.pass_hours(25)
    place.ledger.execute("update night set last_change_us = ?", [place.clock.now_us()])
    writing = job.due(place.ledger, place.config)
    place.pass_hours(23)
    place.ledger.execute("update night set last_change_us = ?", [place.clock.now_us()])

    assert reread(place.ledger, place.night).closed_us is None
    assert writing is None
    assert job.due(place.ledger, place.config) is not None


def test_what_failed_rests_for_an_hour_and_is_told_when_there_is_no_copy_for_long(
    place: Place,
) -> None:
    place.pass_hours(24)
    place.fail("no space")
    place.pass_hours(0.9)
    resting = job.due(place.ledger, place.config)
    place.pass_hours(0.2)
    place.fail("no space")
    young = place.told()
    place.pass_hours(60)

    assert resting is None
    assert young == []
    assert place.told() == ["the ledger was never copied: no space: vampd admin doctor"]
    place.copy()
    assert place.told() == []


def test_a_damaged_ledger_is_told_at_once(place: Place) -> None:
    place.pass_hours(24)
    place.fail("ledger.sqlite3: damaged: row 7 missing", ErrorClass.INTEGRITY)

    assert place.told() == [
        "the ledger cannot be copied: ledger.sqlite3: damaged: row 7 missing: vampd admin doctor"
    ]


def test_without_the_setting_nothing_is_copied_and_nothing_told(tmp_path: Path) -> None:
    place = Place(tmp_path, "[ledger_copies]\nenabled = false")
    place.pass_hours(240)

    assert job.due(place.ledger, place.config) is None
    assert place.told() == []


def test_the_newest_copy_is_delivered_where_the_disk_is_known_and_few_stay_there(
    place: Place,
) -> None:
    far = place.folder / "far"
    (far / "20251101").mkdir()
    (far / ".vampd-destination").write_text(
        "vampd-destination 00000000-0000-0000-0000-000000000001\n"
        "# vampd knows this disk by the line above; do not copy, change or delete it.\n"
    )
    place.pass_hours(24)
    place.copy()
    unknown = job.due_to_send(place.ledger, place.config)
    marked = Marked(place=str(far), marker="00000000-0000-0000-0000-000000000001", why="test")
    destination_markers.record(place.ledger, [marked])
    sent = []
    for _ in range(5):
        order = job.due_to_send(place.ledger, place.config)
        assert order is not None
        done = Outcome(key=1, result=job.send(order))
        job.record_sent(place.ledger, place.config, order, done)
        sent.append(order.copy.name)
        assert job.due_to_send(place.ledger, place.config) is None
        place.pass_hours(24)
        place.happen()
        place.copy()

    assert unknown is None
    assert sorted(path.name for path in (far / ".ledger-copies").iterdir()) == sent[-3:]
    here = {copy.path.name for copy in copies_in(place.config.copies_folder, place.clock.now_us())}
    assert set(sent) < here


def test_a_destination_on_another_disk_gets_none_and_that_is_told_after_a_day(
    place: Place,
) -> None:
    far = place.folder / "far"
    marked = Marked(place=str(far), marker="00000000-0000-0000-0000-000000000001", why="test")
    destination_markers.record(place.ledger, [marked])
    place.pass_hours(24)
    place.copy()

    order = job.due_to_send(place.ledger, place.config)
    assert order is not None
    with pytest.raises(Exception, match="far disk") as refused:
        job.send(order)
    failed = Outcome[job.Sent](key=1, error=str(refused.value), error_class=ErrorClass.TRANSIENT)
    job.record_sent(place.ledger, place.config, order, failed)
    place.pass_hours(25)

    assert not (far / ".ledger-copies").exists()
    (told,) = place.told()
    assert told.startswith(f"no new copy of the ledger reaches {far}: ")
    assert "mount its disk" in told


def test_only_the_newest_is_known_of_each_place(place: Place) -> None:
    place.pass_hours(24)
    made = place.copy()

    with closing(place.ledger):
        (known,) = ledger_copies.everywhere(place.ledger.connection)
        assert (known.place, known.name, known.error) == (HERE, made.name, None)
