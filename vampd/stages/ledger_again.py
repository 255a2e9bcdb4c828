"""A lost ledger, made again: from a copy of some time ago, if there is one, and the nights' papers.

A night of which the papers tell nothing that the copy does not know is as the copy has it. Of any
other the later telling counts, its rows on paper or those of the copy, with the frame IDs and the
history on paper in any case; and nothing of it counts as verified before it was read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec.structs import asdict

from vampd.errors import IntegrityError
from vampd.io.beneath import Beneath, exists, read_start
from vampd.ledger import dumps, exports, nights, numbers_seen, recovery
from vampd.ledger import frame_ids as numbers
from vampd.ledger.connection import Ledger
from vampd.ledger.frame_ids import FrameId
from vampd.ledger.records import Night
from vampd.ledger.rows import fetch_all
from vampd.stages import frame_id_papers, lost_papers
from vampd.stages.lost_ledger import (
    NightAgain,
    check_outputs,
    check_raw_files,
    night_again,
    renew,
    tell_difference,
    void_strange,
    what_came_back,
)
from vampd.stages.lost_papers import ToldEvent
from vampd.stages.story import LEDGER_DUMP
from vampd.states import Kind


def make_again(
    ledger: Ledger, roots: Iterable[tuple[Kind, Path]], *, digests: bool
) -> list[NightAgain]:
    """Fill the *ledger*, new or a copy, from every night of *roots*, the oldest first.

    With *digests* each output is read; else one of the right size counts as built.
    IntegrityError: a night's papers are damaged, and no copy knows it. OperatorError: they are of
    another night.
    """
    folders = sorted(
        (folder.name, kind, folder)
        for kind, root in roots
        for folder in lost_papers.nights_in(root)
    )
    found = []
    with ledger.transaction():
        numbers_seen.doubt_looks(ledger)
        for _, kind, folder in folders:
            known = nights.known(ledger, kind, folder.name)
            if known is None:
                night = night_again(ledger, kind, folder, digests=digests)
            else:
                night = _caught_up(ledger, known, folder, digests=digests)
            if night is not None:
                found.append(night)
        numbers.tell_foreign(ledger)
    return found


def _caught_up(ledger: Ledger, night: Night, folder: Beneath, *, digests: bool) -> NightAgain:
    """A night that the copy knows, and what its folder tells beyond that."""
    told = list(lost_papers.events(folder))
    last = _last_known(ledger, night, told)
    is_same_ledger = last is not None or not told
    later = told[(-1 if last is None else last) + 1 :]
    notes = []
    if later or not is_same_ledger:
        try:
            if _has_later_rows(ledger, night, folder, is_same_ledger=is_same_ledger):
                return _from_its_rows(ledger, night, folder, digests=digests)
        except IntegrityError as error:
            notes.append(f"{error}: it is as the copy knows it")
    return _from_the_copy(ledger, night, folder, later, notes, digests=digests)


def _last_known(ledger: Ledger, night: Night, told: Sequence[ToldEvent]) -> int | None:
    """The place of the last event on paper that the ledger has too; None: it has none of them."""
    for place in range(len(told) - 1, -1, -1):
        number = told[place].line.get("id")
        if not isinstance(number, int):
            continue
        event = exports.event_of(ledger, night.id, number)
        if event is not None and asdict(event) == told[place].line:
            return place
    return None


def _has_later_rows(ledger: Ledger, night: Night, folder: Beneath, *, is_same_ledger: bool) -> bool:
    """Whether the rows on paper tell of more than the copy. IntegrityError: they are damaged.

    Those of another ledger, one that was made again since the copy, always do.
    """
    papers = folder / LEDGER_DUMP
    if not exists(papers):
        return False
    head, _ = dumps.read_dump(read_start(papers, -1), str(papers))
    event = head.get("event")  # an older vampd did not write it
    is_later = event is None or event > exports.last_event(ledger, night.id)
    return not is_same_ledger or is_later


def _from_its_rows(ledger: Ledger, night: Night, folder: Beneath, *, digests: bool) -> NightAgain:
    """The night as its papers tell it; a frame ID of which they do not know stays used."""
    query = "select * from frame_id where night = ?"
    before = fetch_all(FrameId, ledger, query, [night.id])
    dumps.forget(ledger, night.id)
    again = night_again(ledger, night.kind, folder, digests=digests)
    assert again is not None, folder
    new = nights.known(ledger, night.kind, night.date)
    assert new is not None, folder
    for each in before:
        query = "select 1 from frame_id where number = ?"
        if ledger.value(query, [each.number]) is None:
            why = "a copy of the ledger knew it, and its night's papers do not"
            numbers.void_unknown(ledger, new, each.number, why, is_foreign=each.is_foreign)
    return again


def _from_the_copy(
    ledger: Ledger,
    night: Night,
    folder: Beneath,
    later: Sequence[ToldEvent],
    notes: list[str],
    *,
    digests: bool,
) -> NightAgain:
    """The night as the copy knows it, but for what its folder shows or tells beyond that."""
    if night.folder != str(folder):
        notes.append(f"it lay at {night.folder}")
        nights.move_folder(ledger, night.id, str(folder))
        night = nights.get_night(ledger, night.id)
    _tell_later(ledger, night, later)
    changes = ledger.changes
    frame_id_papers.take_over(ledger, night, frame_id_papers.read(folder))
    notes += check_raw_files(ledger, night)
    notes += check_outputs(ledger, night, digests=digests)
    strange = void_strange(ledger, night)
    if strange:
        notes.append(f"{strange} frame IDs are void: their rows were lost")
    if later or ledger.changes != changes:
        renew(ledger, night)
    return what_came_back(ledger, night, folder, notes)


def _tell_later(ledger: Ledger, night: Night, later: Sequence[ToldEvent]) -> None:
    """Add what happened after the copy to the history, and that it is as before that again."""
    if not later:
        return
    for event in later:
        recovery.add_event(ledger, night.id, event.line)
    last = {
        (event.subject, event.subject_id): event.became
        for event in exports.events_after(ledger, night.id, 0)
    }
    tell_difference(ledger, night.id, last)
