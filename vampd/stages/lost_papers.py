"""What lies in the nights' folders where vampd has worked, for whoever finds no ledger."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from vampd.errors import LostLedgerError, NotPlainError
from vampd.io.beneath import Beneath, entries, exists, is_file, is_folder, names_in, read_start
from vampd.io.number_papers import PAPER
from vampd.io.numbers_seen import numbers_of_night
from vampd.layout import CAMERA_FOLDERS, CHECKSUMS, OWN_FOLDER
from vampd.ledger.connection import HEADERS_NAME
from vampd.stages.story import JOURNAL, LEDGER_DUMP

#: All but the first two tell too little to go on with, and show that a ledger was here.
_PAPERS = (LEDGER_DUMP, PAPER, JOURNAL, CHECKSUMS)
_DATE = re.compile(r"[0-9]{8}")
_LISTS = re.compile(r"SHA256SUMS|night(\.[0-9]+)?\.log")
_NUMBER = re.compile(r"\bVMPA([0-9]{8})\b")
_MOST_BYTES = 1 << 28


def refuse_to_forget(roots: Iterable[Path], state_dir: Path) -> None:
    """LostLedgerError: something tells of a ledger, and there is none.

    A new one would take their nights for unknown, and ask for their frame IDs a second time.
    """
    for root in roots:
        for night in nights_in(root):
            paper = _paper_of(night)
            if paper is not None:
                raise LostLedgerError(_why(paper.path))
    if (state_dir / HEADERS_NAME).exists():
        raise LostLedgerError(_why(state_dir / HEADERS_NAME))


def _paper_of(night: Beneath) -> Beneath | None:
    """A paper of vampd's in a night's folder; none of its own lies behind a link."""
    try:
        return next((night / name for name in _PAPERS if exists(night / name)), None)
    except NotPlainError:
        return None  # work on the night will meet it, and hold that one night


def nights_in(root: Path) -> list[Beneath]:
    """The folders of nights in *root*; none where it is none itself."""
    try:
        return sorted(
            Beneath(root) / entry.name
            for entry in entries(Beneath(root))
            if _DATE.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
        )
    except (FileNotFoundError, NotADirectoryError):
        return []


def was_worked_on(night: Beneath) -> bool:
    """Whether a vampd made something of the night in its folder, or dealt a number to it."""
    return any(is_file(night / name) for name in _PAPERS)


def has_raw(night: Beneath) -> bool:
    """Whether anything lies in the cameras' folders of a night."""
    return any(
        is_folder(night / camera) and any(names_in(night / camera)) for camera in CAMERA_FOLDERS
    )


def own_numbers(night: Beneath) -> dict[int, str]:
    """Frame IDs that vampd dealt to a night by its own papers, and where that stands."""
    found = {number: JOURNAL for number, was_dealt in _told(night).items() if was_dealt}
    if is_folder(night / OWN_FOLDER):
        for name in filter(_LISTS.fullmatch, names_in(night / OWN_FOLDER)):
            for match in _NUMBER.finditer(_text(night / f"{OWN_FOLDER}/{name}")):
                found.setdefault(int(match[1]), f"{OWN_FOLDER}/{name}")
    return found


def borne_numbers(night: Beneath) -> dict[int, str]:
    """Frame IDs that outputs and lists of a night bear, and where: vampd's own, or anybody's."""
    found = {number: JOURNAL for number, was_dealt in _told(night).items() if not was_dealt}
    for number, place in numbers_of_night(night.path):
        found.setdefault(number, str(Path(place).relative_to(night.path)))
    return found


class ToldEvent(Struct, frozen=True, kw_only=True):
    """An event as the night's journal tells it."""

    subject: str
    subject_id: int
    became: str
    line: Mapping[str, object]  #: all that it says, by column


def events(night: Beneath) -> Iterator[ToldEvent]:
    """The events that the night's journal tells."""
    for line in _text(night / JOURNAL).splitlines():
        try:
            event = json.loads(line)
        except ValueError:  # a torn line costs itself
            continue
        if isinstance(event, dict) and {"subject", "subject_id", "became"} <= event.keys():
            yield ToldEvent(
                subject=event["subject"],
                subject_id=int(event["subject_id"]),
                became=event["became"],
                line=event,
            )


def _told(night: Beneath) -> dict[int, bool]:
    """The frame IDs in the night's journal, and whether vampd dealt them; others it found used."""
    found: dict[int, bool] = {}
    for event in events(night):
        if event.subject == "frame_id":
            was_dealt = event.became in {"reserved", "bound"}
            found[event.subject_id] = found.get(event.subject_id, False) or was_dealt
    return found


def _text(path: Beneath) -> str:
    try:
        return read_start(path, _MOST_BYTES).decode(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _why(paper: Path) -> str:
    return (
        f"the ledger is lost, and {paper} tells of one: `vampd admin rebuild-db` makes it again;"
        " or set state_dir to where it is"
    )
