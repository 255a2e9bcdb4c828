"""Orders that take over what the earlier pipeline left. They write rows, and touch no file.

What they are told was read from the disk by the command that gives them. With `dry_run` the
same work is done and undone, so that what is said would be done is what would be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from vampd.causes import Cause
from vampd.errors import UsageError
from vampd.ledger import legacy, nights
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.orders.context import CommandContext, CommandResult, OrderOfAll
from vampd.states import HoldCode, Kind
from vampd.watch.incumbent import named_frame_ids
from vampd.watch.naming import night_date


class _Taken(Struct, frozen=True, kw_only=True):
    """What an import changed, and what speaks against it."""

    changes: Sequence[str] = ()
    conflicts: Sequence[str] = ()

    @property
    def lines(self) -> list[str]:
        return [*self.changes, *(f"conflict: {text}" for text in self.conflicts)]


class _UndoneError(Exception):
    """What was done in a dry run is rolled back."""


def _import_night(context: CommandContext, arguments: Mapping[str, Any]) -> CommandResult:
    """`night`: kind, date, folder, adopt, signs, proved, unproved; `files`; `frame_ids`."""
    return _tried(context.ledger, arguments, _take_night)


def _import_tables(context: CommandContext, arguments: Mapping[str, Any]) -> CommandResult:
    """`rows`: lines of the earlier tables."""
    return _tried(context.ledger, arguments, _take_tables)


def _tried(
    ledger: Ledger,
    arguments: Mapping[str, Any],
    take: Callable[[Ledger, Mapping[str, Any]], _Taken],
) -> CommandResult:
    taken = _Taken()
    with suppress(_UndoneError), ledger.transaction():
        taken = take(ledger, arguments)
        if arguments["dry_run"]:
            raise _UndoneError
    return CommandResult(lines=taken.lines, changed=bool(taken.changes))


def _take_tables(ledger: Ledger, arguments: Mapping[str, Any]) -> _Taken:
    changed = legacy.store_rows(ledger, arguments["rows"])
    return _Taken(changes=[f"{changed} lines of its tables are recorded"] if changed else [])


def _take_night(ledger: Ledger, arguments: Mapping[str, Any]) -> _Taken:
    told = arguments["night"]
    if night_date(told["date"]) is None:  # a night without a date cannot be judged, nor shown
        msg = f"{told['date']!r} is no date of a night"
        raise UsageError(msg)
    night = nights.sight_night(ledger, Kind(told["kind"]), told["date"], Path(told["folder"]))
    changes, conflicts = [], []
    if told["adopt"] and ledger.value("select 1 from output where night = ?", [night.id]):
        conflicts.append("vampd planned this night itself; it is not adopted")
    elif told["adopt"] and _adopt(ledger, night, told):
        changes.append(str(Cause(HoldCode.ADOPTED)))
    changed = legacy.record_files(ledger, night.id, arguments["files"])
    if changed:
        changes.append(f"{changed} files of the earlier pipeline are recorded")
    named = {int(number): place for number, place in arguments["frame_ids"].items()}
    used = _use(ledger, night, named)
    return _Taken(changes=[*changes, *used.changes], conflicts=[*conflicts, *used.conflicts])


def _use(ledger: Ledger, night: Night, named: Mapping[int, str]) -> _Taken:
    added, conflicts = legacy.use_frame_ids(ledger, night.id, named)
    recorded = f"{len(added)} frame IDs are recorded as used; they are never dealt again"
    return _Taken(changes=[recorded] if added else [], conflicts=conflicts)


def remember_frame_ids(ledger: Ledger, night: Night) -> list[str]:
    """Before the earlier pipeline's files are set aside: their numbers are used, import or not."""
    return _use(ledger, night, named_frame_ids(Path(night.folder))).lines


def _adopt(ledger: Ledger, night: Night, told: Mapping[str, Any]) -> bool:
    found = legacy.Found(signs=told["signs"], proved=told["proved"], unproved=told["unproved"])
    return legacy.adopt(ledger, night, found)


ORDERS_OF_ALL: dict[str, OrderOfAll] = {
    "import_legacy": _import_night,
    "import_legacy_tables": _import_tables,
}
