"""Planning a night once more, because raw files of it were given up.

What is made of the same stays, under its frame ID. What was built of other plans is set aside in
the night's `.vampd/given_up/`, never deleted: its frames may lie nowhere else. So are the lists
that name it. Far copies stay: nobody but an operator takes them away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field

from vampd.causes import Cause
from vampd.io.beneath import (
    Beneath,
    create_folder,
    exists,
    is_file,
    night_folder,
    rename_without_replacing,
    sync_folder,
)
from vampd.io.root import NightPlace
from vampd.layout import (
    GIVEN_UP_FOLDER,
    OUTPUT_FOLDER,
    OWN_FOLDER,
    manifest_name,
    name_changes_name,
    sidecar_path,
)
from vampd.ledger import (
    deliveries,
    given_up,
    nights,
    outputs,
    remote_copies,
    replans,
    reports,
    tasks,
)
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night, Output
from vampd.records import Plan, RejectedFrames, Report
from vampd.stages import sidecar_job
from vampd.states import NightStatus, Stage, WaitCode

#: Why a night is planned again: raw files were given up, or it was planned while it went on.
GIVEN_UP = "planned anew, for a raw file was given up"
CLOSED = "planned anew, for the night is over"

_AGAIN = (Stage.FRAME_IDS, Stage.MANIFEST, Stage.TRANSFER, Stage.VERIFY)
_EMPTY = "every cube that could be used was given up"


class Before(Struct, frozen=True, kw_only=True):
    """The plan that is to be replaced; without one, it is empty."""

    place: NightPlace
    begins_us: tuple[int, ...] = ()  #: of its synchronised cubes
    digests: Mapping[int, str] = field(default_factory=dict)  #: of raw files
    made: Mapping[str, tuple[str, str]] = field(default_factory=dict)  #: files, by content
    lists: tuple[str, ...] = ()  #: what names its outputs
    given_up: tuple[RejectedFrames, ...] = ()  #: all frames of the cubes that were given up


def prepare(ledger: Ledger, night: Night) -> Before:
    """What the worker needs of the plan that is to be replaced."""
    before = outputs.outputs_of_batch(ledger, night.id)
    return Before(
        place=nights.place_of(ledger, night),
        begins_us=tuple(sorted({row.first_us for row in before if row.synchronised})),
        digests=outputs.digests(ledger, night.id) if before else {},
        made={row.content_key: outputs.files_of_output(outputs.file_name(row)) for row in before},
        lists=tuple(_lists(night)) if before else (),
        given_up=tuple(
            RejectedFrames(
                raw_file=row.raw_file,
                first=0,
                step=1,
                count=row.frames,
                reason=str(given_up.given_up_by(row.changed_by, row.why)),
            )
            for row in given_up.cubes_of(ledger, night)
        ),
    )


def set_aside(before: Before, plan: Plan) -> None:
    """Move what was built, and is not in the *plan*, out of the way. Twice is once.

    RetryableError: the night's disk is not there.
    """
    if not before.made:
        return
    before.place.check()
    keys = {outputs.content_key(output, before.digests) for output in plan.outputs}
    dropped = [path for key, paths in before.made.items() if key not in keys for path in paths]
    _move(night_folder(before.place.folder), [*dropped, *before.lists])


def record(ledger: Ledger, night: Night, plan: Plan, why: str = GIVEN_UP) -> None:
    """Keep the new plan; what follows from the old one is undone, and the rest done anew."""
    number = night.id
    dropped = replans.replan(ledger, number, plan, why)
    for path in _lists(night):
        deliveries.forget_file(ledger, number, path)
    reports.add_reports(ledger, number, Stage.SYNC, _reports(ledger, night, dropped))
    left = outputs.outputs_of_batch(ledger, number)
    if not left:
        end_empty(ledger, night, _EMPTY)
        return
    tasks.forget_units(ledger, number, {outputs.unit_of(output) for output in left}, why)
    for output in left:
        tasks.add_task(ledger, number, Stage.BUILD, outputs.unit_of(output))
    tasks.add_task(ledger, number, Stage.BUILD, sidecar_job.UNIT)
    tasks.make_pending(ledger, number, _AGAIN, why)


def end_empty(ledger: Ledger, night: Night, why: str) -> None:
    """Nothing of the batch is left: then there is none, and earlier ones stay safe."""
    tasks.forget_batch(ledger, night.id, why)
    deliveries.forget_batch(ledger, night)
    row = nights.get_night(ledger, night.id)
    if night.batch == 1:
        nights.set_status(ledger, row, NightStatus.EMPTY, Cause(WaitCode.EMPTY, {"why": why}))
        return
    nights.drop_batch(ledger, night)
    nights.set_status(ledger, row, NightStatus.SAFE, None, why)


def _lists(night: Night) -> list[str]:
    """What names outputs, and is made for a plan."""
    batch = night.batch
    return [manifest_name(night.date, batch), name_changes_name(batch), sidecar_path(batch)]


def _reports(ledger: Ledger, night: Night, dropped: Sequence[Output]) -> Iterable[Report]:
    for lost in given_up.cubes_of(ledger, night):
        text = str(given_up.given_up_by(lost.changed_by, lost.why))
        yield Report(raw_file=lost.raw_file, text=text)
    if any(row.size_bytes is not None for row in dropped):
        yield Report(raw_file=None, text=f"built outputs were set aside in {GIVEN_UP_FOLDER}")
    names = {outputs.file_name(row) for row in outputs.outputs_of_batch(ledger, night.id)}
    for row in dropped:
        name = outputs.file_name(row)
        paths = outputs.files_of_output(name) if name not in names else ()
        for place, path in remote_copies.copies_of(ledger, night.id, paths):
            text = f"{path} is no longer part of the night, and its copy still lies at {place}"
            yield Report(raw_file=None, text=text)


def _move(night: Beneath, paths: Iterable[str]) -> None:
    there = [path for path in paths if is_file(night / path)]
    if not there:
        return
    create_folder(night / OWN_FOLDER)
    create_folder(night / GIVEN_UP_FOLDER)
    for path in there:
        rename_without_replacing(night / path, _free_name(night / GIVEN_UP_FOLDER, path))
    for folder in (GIVEN_UP_FOLDER, OWN_FOLDER, OUTPUT_FOLDER):
        if exists(night / folder):
            sync_folder(night / folder)
    sync_folder(night)


def _free_name(folder: Beneath, path: str) -> Beneath:
    """A place in *folder* for the file *path*: a file may be given up more than once."""
    name = path.rpartition("/")[2]
    place, number = folder / name, 1
    while exists(place):
        number += 1
        place = folder / f"{number}.{name}"
    return place
