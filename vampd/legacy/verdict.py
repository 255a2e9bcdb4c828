"""What of a night of the earlier pipeline is proved, and what is not, in plain words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sized

from msgspec import Struct

from vampd.layout import BACKUP_ENDING, NAME_CHANGES, OUTPUT_FOLDER
from vampd.legacy.tables import Said, StatusRow
from vampd.watch.incumbent import Survey


class Verdict(Struct, frozen=True, kw_only=True):
    """What may be said of a night, and what nobody knows."""

    proved: tuple[str, ...]
    unproved: tuple[str, ...]
    conflicts: tuple[str, ...]  #: between its table and its folder, or within either


def judge_legacy(night: Survey, row: StatusRow | None) -> Verdict:
    """Weigh what lies in the folder against the *row* of the earlier table, if it has one."""
    return Verdict(
        proved=tuple(_proved(night)),
        unproved=tuple(_unproved(night, row)),
        conflicts=(*night.problems, *_conflicts(night, row)),
    )


def _proved(night: Survey) -> Iterator[str]:
    good = [cube for cube in night.cubes if cube.problem is None]
    if good:
        yield f"{_count(good, 'compressed cube')}: whole headers, and the size that these demand"
    in_headers = [cube for cube in good if cube.frame_id is not None]
    if in_headers:
        numbers = sorted(cube.frame_id for cube in in_headers if cube.frame_id is not None)
        yield (
            f"{len(in_headers)} of them with frame IDs, {_frame_id(numbers[0])} to"
            f" {_frame_id(numbers[-1])}, and their headers agree"
        )
    digested = sum(file.sha256 is not None for file in night.files)
    if digested:
        yield f"SHA-256 of {_count(digested, 'file')} in vgen2 is recorded, as it is now"
    for raw in night.raw:
        if raw.cubes:
            found = f"{_count(raw.cubes, 'raw cube')}, {_count(raw.timings, 'timing file')}"
            whole = raw.cubes - raw.unreadable
            yield f"{raw.name}: {found}; {whole} of the size that the header demands"


def _unproved(night: Survey, row: StatusRow | None) -> Iterator[str]:
    yield f"the copy at the far end was never verified by digest: {_table_word(row)}"
    if night.cubes:
        yield (
            "what became of each raw frame: the earlier pipeline drops unmatched frames, and its"
            " labels of short cubes are of the opposite sign"
        )
    yield from _unproved_outputs(night)
    yield from _unproved_raw(night)


def _unproved_outputs(night: Survey) -> Iterator[str]:
    lone = night.frame_ids.keys() - {file.frame_id for file in night.files}
    if lone:
        first = _frame_id(min(lone))
        yield f"{_count(lone, 'frame ID')} in its lists that no file bears, {first} first"
    uncompressed = sum(file.path.endswith(".fits") for file in night.files)
    if uncompressed:
        yield f"{_count(uncompressed, 'cube')} in vgen2 not compressed: it stopped on the way"
    cubes, timings = (
        {path.partition(ending)[0] for file in night.files if ending in (path := file.path)}
        for ending in (".fits", ".txt")
    )
    timings.discard(f"{OUTPUT_FOLDER}/{NAME_CHANGES.partition('.')[0]}")
    if lacking := sorted(cubes - timings):
        yield (
            f"{_count(lacking, 'cube')} in vgen2 without a timing file under the same name,"
            f" {lacking[0]} first; {_count(timings - cubes, 'timing file')} without a cube: what it"
            " synchronised and moved as a whole (`vampd admin shadow-report` puts them together)"
        )
    if night.files and not any(file.sha256 for file in night.files):
        yield "no digest of what lies in vgen2 is on record (`vampd admin import-legacy --digests`)"


def _unproved_raw(night: Survey) -> Iterator[str]:
    backups = {raw.name for raw in night.raw if raw.name.endswith(BACKUP_ENDING)}
    cameras = sorted(raw.name for raw in night.raw if raw.cubes and raw.name not in backups)
    if not any(raw.cubes for raw in night.raw):
        yield "no raw cube lies here: the night cannot be made again from this folder"
    elif not backups:
        yield "no backup of the raw files (vcamN_hlinkbak)"
    elif cameras:
        yield (
            f"{', '.join(cameras)} still holds raw cubes beside the backup: it stopped on the way,"
            " or is at work now"
        )
    for raw in night.raw:
        if raw.altered:
            yield f"{_count(raw.altered, 'raw header')} in {raw.name} edited through hard links"
        if raw.unreadable:
            yield f"{_count(raw.unreadable, 'raw cube')} in {raw.name} cut or unreadable"
        if raw.rewritten:
            yield (
                f"{raw.rewritten} of {_count(raw.timings, 'timing file')} in {raw.name} written"
                " anew through hard links: logging times (columns 3 and 4) are rounded to a quarter"
                " of a microsecond, and the logger's own bytes are nowhere"
            )
        if raw.without_timing:
            yield (
                f"{_count(raw.without_timing, 'raw cube')} in {raw.name} without a timing file,"
                f" {raw.without_timing[0]} first: nobody knows when their frames were taken"
            )


def _table_word(row: StatusRow | None) -> str:
    if row is None:
        return "no table names this night"
    if row.safe.done:
        return f"its table says safe{_since(row.safe)}, which compared checksum cards as text"
    if row.transferred.done:
        return f"its table says transferred{_since(row.transferred)}, on rsync's exit status"
    return "its table does not even say transferred"


def _since(said: Said) -> str:
    return f" since {said.at}" if said.at else ", nobody knows since when"


def _conflicts(night: Survey, row: StatusRow | None) -> Iterator[str]:
    for file in night.files:
        if file.problem is not None:
            yield f"{file.path}: {file.problem}"
    if night.listed:
        yield from _manifest_conflicts(night)
    if row is None:
        if night.signs:
            yield "processed, by its folder, and no table names it"
        return
    if row.processed.done and not night.signs:
        yield f"{row.source} says processed, and nothing of that lies in its folder"
    if row.processed.done and not row.processed.at:
        yield f"{row.source} says processed, and not when"
    if not row.processed.done and night.cubes:
        yield f"{row.source} does not say processed, but vgen2 holds {_count(night.cubes, 'cube')}"


def _manifest_conflicts(night: Survey) -> Iterator[str]:
    there = {cube.frame_id for cube in night.cubes if cube.frame_id is not None}
    absent, unlisted = sorted(night.listed - there), sorted(there - night.listed)
    if absent and there:
        first = _frame_id(absent[0])
        yield f"the manifest lists {_count(absent, 'file')} not there, {first} first"
    if unlisted:
        first = _frame_id(unlisted[0])
        yield f"the manifest lacks {_count(unlisted, 'file')}, {first} first"


def _count(things: int | Sized, noun: str) -> str:
    count = things if isinstance(things, int) else len(things)
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _frame_id(number: int) -> str:
    return f"VMPA{number:08d}"
