"""What is to be done with a delivered night, decided without a disk."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from vampd.receive.look import SeenFile
from vampd.receive.plan import Decision, Known, batch, decide, judge_night, state_of_different
from vampd.receive.states import FileState, NightState

SETTLE_US = 30_000_000
LIST = f".vampd/delivery-{'0' * 64}.sha256"


def seen(path: str = "vgen2/a", *, identity: str = "1:2:3", odd: str = "") -> SeenFile:
    return SeenFile(path=path, odd=odd, identity=identity, size_bytes=10)


def judged(*files: SeenFile, now_us: int = 0, **known: Known) -> Decision:
    by_path = {f"vgen2/{name}": each for name, each in known.items()}
    return decide(files, by_path, now_us=now_us, settle_us=SETTLE_US)


def awaited(state: FileState = FileState.AWAITED, **more: object) -> Known:
    return Known(state=state, digests=("d",), **more)  # type: ignore[arg-type]


def test_what_is_listed_is_read_at_once() -> None:
    assert judged(seen(), a=awaited()).carry == (seen(),)


def test_what_no_list_names_stays_and_is_remarked_once() -> None:
    first = judged(seen())
    again = judged(seen(), a=Known(state=FileState.UNLISTED, identity="1:2:3"))

    assert first.carry == ()
    assert [each.state for each in first.remarks] == [FileState.UNLISTED]
    assert again == Decision()


def test_a_list_is_read_before_all_else() -> None:
    decision = judged(seen(), seen(LIST), seen("vgen2/b"), b=awaited())

    assert decision == Decision(carry=(seen(LIST),))


@pytest.mark.parametrize("name", ["vgen2/.a.fits.Xy12zZ", ".~tmp~/a", ".manifest.csv.aB3dE6"])
def test_what_rsync_is_writing_is_let_be(name: str) -> None:
    assert judged(seen(name)) == Decision()


@pytest.mark.parametrize("state", [FileState.WRONG, FileState.IN_THE_WAY])
def test_what_was_judged_is_read_again_only_as_another_file(state: FileState) -> None:
    known = awaited(state, identity="1:2:3")

    assert judged(seen(), a=known).carry == ()
    assert judged(seen(identity="1:2:4"), a=known).carry == (seen(identity="1:2:4"),)


def test_what_may_still_grow_is_read_again_once_it_has_settled() -> None:
    known = awaited(FileState.ARRIVING, identity="1:2:3", judged_us=0)

    assert judged(seen(), now_us=SETTLE_US - 1, a=known).carry == ()
    assert judged(seen(), now_us=SETTLE_US, a=known).carry == (seen(),)


@pytest.mark.parametrize(
    ("identity", "now_us", "state"),
    [
        ("1:2:3", SETTLE_US, FileState.WRONG),
        ("1:2:3", SETTLE_US - 1, FileState.ARRIVING),
        ("1:9:9", SETTLE_US, FileState.ARRIVING),
    ],
)
def test_a_digest_is_wrong_only_of_a_file_that_stays_as_it_is(
    identity: str, now_us: int, state: FileState
) -> None:
    known = awaited(FileState.ARRIVING, identity="1:2:3", judged_us=0)

    assert state_of_different(known, identity, now_us=now_us, settle_us=SETTLE_US) is state


@pytest.mark.parametrize(
    ("known", "state"),
    [
        (awaited(FileState.WRONG), FileState.AWAITED),
        (awaited(FileState.IN_THE_WAY, sha256="d"), FileState.PLACED),
        (Known(state=FileState.UNLISTED), None),
        (Known(state=FileState.ODD), None),
    ],
)
def test_what_was_taken_away_from_the_inbox_is_no_trouble_any_more(
    known: Known, state: FileState | None
) -> None:
    (remark,) = judged(a=known).remarks

    assert remark.state is state


def test_what_is_odd_is_remarked_and_never_read() -> None:
    decision = judged(seen(odd="a pipe"), a=awaited())

    assert decision.carry == ()
    assert [each.state for each in decision.remarks] == [FileState.ODD]


def test_a_batch_is_bounded_and_never_empty() -> None:
    files = [replace(seen(f"vgen2/{number}"), size_bytes=5_000_000_000) for number in range(3)]

    assert len(batch(files)) == 1
    assert len(batch([seen(f"vgen2/{number}") for number in range(300)])) == 200


@pytest.mark.parametrize(
    ("counts", "waits", "state"),
    [
        ({}, None, NightState.ARRIVING),
        ({FileState.UNLISTED: 3}, None, NightState.ARRIVING),
        ({FileState.PLACED: 3}, None, NightState.RECEIVED),
        ({FileState.PLACED: 3, FileState.UNLISTED: 1}, None, NightState.RECEIVED),
        ({FileState.PLACED: 3, FileState.AWAITED: 1}, None, NightState.ARRIVING),
        ({FileState.PLACED: 3, FileState.AWAITED: 1}, "full", NightState.WAITING),
        ({FileState.PLACED: 3, FileState.WRONG: 1}, "full", NightState.HELD),
        ({FileState.PLACED: 3, FileState.ODD: 1}, None, NightState.HELD),
    ],
)
def test_where_a_night_is(
    counts: dict[FileState, int], waits: str | None, state: NightState
) -> None:
    assert judge_night(counts, waits)[0] is state
