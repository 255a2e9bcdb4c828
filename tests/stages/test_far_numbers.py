"""A new ledger asks the far end what was delivered before it deals its first number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.issuers import FIRST, Desk, desk
from vampd.ledger.counter import findings
from vampd.ledger.frame_ids import frame_id_text
from vampd.remote.location import Location
from vampd.states import ErrorClass, TaskState

DATE, NEXT_DATE = "20251106", "20251107"


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path, "local") as made:
        yield made


def delivered(base: Path, night: str, *numbers: int) -> Path:
    outputs = base / night / "vgen2"
    outputs.mkdir(parents=True)
    for number in numbers:
        (outputs / f"{frame_id_text(number)}.fits.fz").touch()
        (outputs / f"{frame_id_text(number)}.txt").touch()
    return outputs


def deliver_to(made: Desk, **settings: object) -> None:
    archive = made.config.delivery.archive
    assert archive is not None
    delivery = replace(made.config.delivery, archive=replace(archive, **settings))
    made.config = replace(made.config, delivery=delivery)


def test_what_was_delivered_is_a_floor(local: Desk) -> None:
    delivered(local.folder / "far", "20251001", FIRST, FIRST + 40)

    night = local.night(DATE, ["a"])
    local.attempt(night)

    assert local.bound(night) == {"a": FIRST + 41}


def test_what_was_moved_on_is_one_too(local: Desk) -> None:
    deliver_to(local, verify_at=f"{local.folder}/sdata/{{night}}/ARCHIVED")
    delivered(local.folder / "sdata", "20251001/ARCHIVED", FIRST + 70)

    night = local.night(DATE, ["a"])
    local.attempt(night)

    assert local.bound(night) == {"a": FIRST + 71}


def test_a_file_far_above_over_there_moves_nothing(local: Desk) -> None:
    delivered(local.folder / "far", "20251001", FIRST + 4, 99_999_999)

    night = local.night(DATE, ["a"])
    local.attempt(night)

    assert local.bound(night) == {"a": FIRST + 5}
    (told,) = findings(local.ledger.connection, FIRST)
    assert f"{local.folder}/far/20251001/vgen2/VMPA99999999.fits.fz" in told


def test_a_ledger_that_dealt_numbers_does_not_ask_again(local: Desk) -> None:
    local.attempt(local.night(DATE, ["a"]))
    delivered(local.folder / "far", DATE, FIRST)
    looked = local.ledger.rows("select * from number_look")

    following = local.night(NEXT_DATE, ["b"])
    local.attempt(following)

    assert local.bound(following) == {"b": FIRST + 1}
    assert [tuple(row) for row in local.ledger.rows("select * from number_look")] == [
        tuple(row) for row in looked
    ]


def test_a_far_end_that_does_not_answer_keeps_no_number_back_and_is_asked_again(
    local: Desk,
) -> None:
    there = local.config.delivery.archive
    assert there is not None
    deliver_to(local, destination=Location(path="/data", host="nobody@localhost.invalid"))
    night = local.night(DATE, ["a"])
    local.attempt(night)
    (unseen,) = findings(local.ledger.connection, FIRST)
    deliver_to(local, destination=there.destination)
    local.ledger.execute("update number_look set place = ?", [f"{there.destination}/YYYYMMDD"])
    delivered(local.folder / "far", "20251001", FIRST + 40)
    local.clock.pass_seconds(7200)

    following = local.night(NEXT_DATE, ["b"])
    local.attempt(following)

    assert local.bound(night) == {"a": FIRST}
    assert "which frame IDs were delivered there was not seen" in unseen
    assert local.bound(following) == {"b": FIRST + 41}
    assert findings(local.ledger.connection, FIRST) == []


def test_a_destination_that_is_not_there_yet_bears_nothing(local: Desk) -> None:
    (local.folder / "far").rmdir()

    night = local.night(DATE, ["a"])
    local.attempt(night)

    assert local.bound(night) == {"a": FIRST}
    assert findings(local.ledger.connection, FIRST) == []


def test_where_nights_were_delivered_and_no_number_is_seen_an_operator_must_say_it(
    local: Desk,
) -> None:
    delivered(local.folder / "far", "20251001")
    night = local.night(DATE, ["a"])

    task = local.attempt(night)
    said = local.order("ids-used", night, number=frame_id_text(FIRST + 99))
    twice = local.order("ids-used", night, number=frame_id_text(FIRST + 99))
    local.retry(night)

    assert (task.state, task.error_class) == (TaskState.FAILED, ErrorClass.DETERMINISTIC)
    assert "1 nights were delivered" in (task.error or "")
    assert "vampd archive ids used NUMBER --why TEXT" in (task.error or "")
    assert (said["changed"], twice["changed"]) == (True, False)
    assert local.bound(night) == {"a": FIRST + 100}


def test_a_night_that_was_delivered_under_numbers_nobody_knows_gets_no_others(
    local: Desk,
) -> None:
    delivered(local.folder / "far", DATE, FIRST + 7, FIRST + 9)
    night = local.night(DATE, ["a"])

    task = local.attempt(night)
    again = local.retry(night)
    local.order("ids-dismiss", night, ids=f"{FIRST + 7},{FIRST + 9}")
    local.retry(night)

    assert (task.state, task.error_class) == (TaskState.FAILED, ErrorClass.AMBIGUOUS)
    assert again.state == TaskState.FAILED
    assert "it was delivered before" in (task.error or "")
    assert f"{local.folder}/far/{DATE} back into {local.archive}/{DATE}/.vampd" in (
        task.error or ""
    )
    assert "vampd archive ids dismiss VMPA00425196,VMPA00425198 --why TEXT" in (task.error or "")
    assert local.bound(night) == {"a": FIRST}
