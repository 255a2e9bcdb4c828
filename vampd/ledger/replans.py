"""A new plan in the place of an older one: what is made of the same stays as it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from vampd.ledger import deliveries, frame_ids, outputs, reports
from vampd.ledger.connection import Ledger
from vampd.ledger.nights import batch_of
from vampd.ledger.records import Output
from vampd.records import Plan
from vampd.states import Stage


def replan(ledger: Ledger, night: int, plan: Plan, why: str) -> list[Output]:
    """Store the plan of a night's batch; return the outputs of the older one that are no more.

    An output of the same content keeps its row, with its frame ID and digests, and its number of a
    cube, unless another output of that cube is new.
    """
    digests = outputs.digests(ledger, night)
    keys = [outputs.content_key(output, digests) for output in plan.outputs]
    with ledger.transaction():
        before = {row.content_key: row for row in outputs.outputs_of_batch(ledger, night)}
        dropped = [row for key, row in before.items() if key not in set(keys)]
        _forget(ledger, night, dropped, why)
        cubes = _cube_numbers(ledger, night, plan, keys, before)
        _free_ordinals(ledger, before.values())
        first, _ = outputs.used(ledger, night, but_batch=True)
        for ordinal, (output, key) in enumerate(zip(plan.outputs, keys, strict=True), start=first):
            cube = cubes[output.cube]
            if key in before:
                ledger.update("output", before[key].id, ordinal=ordinal, cube=cube)
            else:
                outputs.store_output(ledger, night, ordinal, replace(output, cube=cube), key)
        outputs.store_rejected(ledger, night, plan)
        reports.add_reports(ledger, night, Stage.SYNC, plan.reports)
    return dropped


def _forget(ledger: Ledger, night: int, dropped: Iterable[Output], reason: str) -> None:
    batch = {"night": night, "batch": batch_of(ledger, night)}
    for row in dropped:
        why = _why(ledger, row) or reason
        if row.frame_id is not None:
            frame_ids.void(ledger, row.frame_id, why)
        ledger.execute("delete from segment where output = ?", [row.id])
        name = outputs.file_name(row)
        for path in outputs.files_of_output(name):
            deliveries.forget_file(ledger, night, path)
        ledger.update("output", row.id, **ledger.stamp(why))
        ledger.execute("delete from output where id = ?", [row.id])
    ledger.execute(
        "delete from segment where night = :night and batch = :batch and output is null", batch
    )
    ledger.execute(
        "delete from report where night = :night and batch = :batch and stage = 'sync'", batch
    )


def _why(ledger: Ledger, output: Output) -> str | None:
    """Which raw file of an output, or of its cube, was given up, so that it is no more."""
    row = ledger.row(
        "select raw_file.path, given_up.changed_by, given_up.why from given_up"
        " join raw_file on raw_file.id = given_up.raw_file where given_up.raw_file in"
        " (select raw_file from segment where output = ?1"
        " union select partner_file from segment where output = ?1) order by path limit 1",
        [output.id],
    )
    if row is None:
        return None
    return f"{row['path']} was given up by {row['changed_by']}: {row['why']}"


def _cube_numbers(
    ledger: Ledger, night: int, plan: Plan, keys: Sequence[str], before: Mapping[str, Output]
) -> dict[int, int]:
    """The number in the ledger of each cube of the plan: of one that is whole, the old one."""
    old: dict[int, set[str]] = defaultdict(set)
    for key, row in before.items():
        old[row.cube].add(key)
    new: dict[int, set[str]] = defaultdict(set)
    for output, key in zip(plan.outputs, keys, strict=True):
        new[output.cube].add(key)
    _, free = outputs.used(ledger, night)
    free = max([free, *(number + 1 for number in old)])
    found: dict[int, int] = {}
    for cube, of_cube in new.items():
        numbers_of = {before[key].cube for key in of_cube if key in before}
        same = [number for number in numbers_of if old[number] == of_cube]
        found[cube] = same[0] if same else free
        free += not same
    return found


def _free_ordinals(ledger: Ledger, kept: Iterable[Output]) -> None:
    """Out of the way of the places that are given anew: no two rows may have one at any moment."""
    for row in kept:
        ledger.execute("update output set ordinal = ? where id = ?", [-1 - row.ordinal, row.id])
