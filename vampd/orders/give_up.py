"""Giving up one raw file of a planned night, so that the rest of it goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from vampd.errors import OperatorError
from vampd.layout import GIVEN_UP_FOLDER
from vampd.ledger import (
    cubes,
    files,
    given_up,
    nights,
    outputs,
    remote_copies,
    strays,
    tasks,
)
from vampd.ledger.connection import Ledger
from vampd.ledger.frame_ids import frame_id_text
from vampd.ledger.records import Night, Output, RawFile
from vampd.orders import restore as restore_orders
from vampd.orders.context import CommandContext, CommandResult
from vampd.orders.standing import file_facts, nothing_to_do
from vampd.states import OutputState, Stage
from vampd.verbs import Verb

_WHY = "planned anew, for a raw file was given up"


class _Loss(Struct, frozen=True, kw_only=True):
    """A cube that is to be given up, and what needs it."""

    cube: RawFile  #: of raw_file
    timing: RawFile | None
    frames: int
    others: int  #: frames of other cubes in the same outputs
    needing: Sequence[Output]  #: outputs in which it has frames, or that are of the same cube
    outputs: int  #: of the batch


def give_up(context: CommandContext, night: Night, arguments: Mapping[str, Any]) -> CommandResult:
    """Plan the night again without one raw file, which is changed, gone or cannot be read."""
    ledger, why = context.ledger, arguments.get("why") or ""
    row = files.find_file(ledger, night.id, arguments["path"])
    if row is None:
        msg = f"{nights.label(night)}: vampd knows no file {arguments['path']}"
        raise OperatorError(msg)
    if given_up.is_given_up(ledger, row.id):
        return CommandResult(lines=[f"{row.path} is given up already"], changed=False)
    with ledger.in_vain() if arguments["dry_run"] else ledger.transaction():
        restore_orders.note_strays(ledger, night, files.twins(ledger, row))
        nothing_to_do(ledger, night, Verb.GIVE_UP, **file_facts(ledger, night, row))
        loss = _loss(ledger, row)
        lines = _lines(ledger, night, loss)
        if not arguments["dry_run"]:
            context.stop_work(night.id)
            _carry_out(ledger, night, loss, why)
        left = nights.get_night(ledger, night.id).hold
    if left is not None and not arguments["dry_run"]:
        lines.append(f"it stays held: {left}")
    return CommandResult(lines=lines, changed=True)


def _carry_out(ledger: Ledger, night: Night, loss: _Loss, why: str) -> None:
    given_up.give_up(ledger, [row for row in (loss.cube, loss.timing) if row is not None], why)
    tasks.make_pending(ledger, night.id, [Stage.SYNC], _WHY)
    strays.review(ledger, night.id)


def _loss(ledger: Ledger, row: RawFile) -> _Loss:
    twins = {twin.role: twin for twin in files.twins(ledger, row)}
    cube = twins["cube"]
    needing = outputs.outputs_needing(ledger, cube.id)
    others = sum(
        segment.count
        for each in needing
        for segment in outputs.segments_of(ledger, each.id)
        if segment.raw_file != cube.id
    )
    return _Loss(
        cube=cube,
        timing=twins.get("timing"),
        frames=cubes.frames_of(ledger, cube.id),
        others=others,
        needing=needing,
        outputs=len(outputs.outputs_of_batch(ledger, row.night)),
    )


def _lines(ledger: Ledger, night: Night, loss: _Loss) -> list[str]:
    """What giving it up does, or would do."""
    lines = [
        f"{loss.cube.path} and its timing file are given up: {loss.frames} frames are rejected"
    ]
    going = f"{len(loss.needing)} of {loss.outputs} outputs go"
    if loss.others:
        going += f", and the {loss.others} frames of other cubes in them are planned anew"
    lines.append(going)
    built = [row for row in loss.needing if row.state != OutputState.PLANNED]
    if built:
        lines.append(f"{len(built)} of them are built: set aside in {GIVEN_UP_FOLDER}")
    numbers = [row.frame_id for row in loss.needing if row.frame_id is not None]
    if numbers:
        names = ", ".join(frame_id_text(number) for number in numbers)
        lines.append(f"their frame IDs become void, on record: {names}")
    lines.append("all other outputs stay as they are, with their frame IDs")
    paths = [
        path for row in loss.needing for path in outputs.files_of_output(outputs.file_name(row))
    ]
    copies = remote_copies.copies_of(ledger, night.id, paths)
    if copies:
        lines.append(
            f"{len(copies)} copies of them lie at {copies[0][0]}, {copies[0][1]} first: what is not"
            " made anew under its name stays there, until somebody takes it away"
        )
    return lines
