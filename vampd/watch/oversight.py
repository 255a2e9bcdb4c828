"""What the looks find that nobody takes: kept in the ledger, and nights held for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from vampd.causes import Cause
from vampd.io.beneath import Beneath, entries, is_link, link_target
from vampd.ledger import nights, unseen
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.ledger.rows import fetch_all
from vampd.records import Unseen
from vampd.settings.sections import Root
from vampd.states import FINAL, NightStatus, UnseenSort, WaitCode
from vampd.watch.known import known_of
from vampd.watch.naming import night_date, printable
from vampd.watch.scan import FolderSnapshot, Nights
from vampd.watch.supplements import reopen
from vampd.watch.survey import form_of, survey, survey_below
from vampd.watch.unseen import TOP, Form, Lie, find_unseen, is_camera_like, is_date_like

log = logging.getLogger(__name__)

_FOLDER = frozenset({UnseenSort.FOLDER})
_IS_FOLDER = "a folder"


class Oversight:
    """Keeps what is not taken abreast of the looks. *tell* logs a sentence, once."""

    def __init__(
        self, ledger: Ledger, roots: tuple[Root, ...], tell: Callable[[str], None]
    ) -> None:
        self._ledger = ledger
        self._roots = roots
        self._tell = tell

    def look_over(self, night: Night, folder: Path, seen: FolderSnapshot) -> None:
        """Judge what one look saw of a night beside its cubes.

        An empty night in which the cameras' data could lie collects again, and is held at its end.
        """
        found = find_unseen(survey(folder, seen))
        self._keep(night, unseen.LOOKED_AT, found)
        if night.status == NightStatus.EMPTY and unseen.holding(self._ledger, night.id):
            reopen(self._ledger, night.id, "what lies in it could be the cameras'")
        self.holds(night.id, is_over=False)

    def judge_known(self, night: Night, *, is_closing: bool) -> None:
        """Judge what the ledger shows of a night's cubes."""
        self._keep(night, unseen.KNOWN, known_of(self._ledger, night, is_closing=is_closing))

    def holds(self, night: int, *, is_over: bool) -> bool:
        """Hold a night for what is not taken of it, or let it go on; whether it is held."""
        why = unseen.review(self._ledger, night, is_over=is_over)
        row = nights.get_night(self._ledger, night)
        if why is not None:
            log.error("%s held: %s", nights.label(row), why, extra={"NIGHT": row.date})
        return row.hold is not None

    def go_through(self, root: Root, found: Nights) -> None:
        """Judge what lies in a root beside its nights, and nights whose folder is not there."""
        if any(problem.startswith(f"{root.path}: ") for problem in found.problems):
            return  # nobody could look: then nothing is known to be away
        there = {folder.name for folder in found.folders}
        with self._ledger.transaction():
            for name in sorted(self._odd_names(root, there)):
                if not self._is_elsewhere(root, name):
                    nights.sight_night(self._ledger, root.kind, name, root.path / name)
            for night in self._without_folder(root, there):
                self._judge_folder(root, night, there)
            beside = list(self._beside(root))
            for new in unseen.renew(
                self._ledger, None, set(UnseenSort), beside, below=f"{root.path}/"
            ):
                self._tell(new.text)

    def _keep(self, night: Night, sorts: frozenset[UnseenSort], found: Iterable[Unseen]) -> None:
        for new in unseen.renew(self._ledger, night.id, sorts, found):
            if new.sort is not UnseenSort.FOREIGN:
                self._tell(f"{nights.label(night)}: {new.text}")

    def _odd_names(self, root: Root, there: set[str]) -> Iterator[str]:
        """Dates in a root that are no folders."""
        for entry in entries(Beneath(root.path)):
            if night_date(entry.name) is None or entry.name in there:
                continue
            if not entry.is_dir(follow_symlinks=False):  # one that was just made is looked at next
                yield entry.name

    def _without_folder(self, root: Root, there: set[str]) -> list[Night]:
        """Nights whose folder was not found, and those of which that was kept."""
        told = {
            night
            for (night,) in self._ledger.rows("select night from unseen where sort = 'folder'")
        }
        return [
            night
            for night in fetch_all(
                Night, self._ledger, "select * from night where kind = ?", [root.kind]
            )
            if (night.date not in there or night.id in told)
            and Path(night.folder).parent == root.path
        ]

    def _is_elsewhere(self, root: Root, name: str) -> bool:
        """Whether a name is a link to a night of one of our roots: there it is taken."""
        place = Beneath(root.path) / name
        try:
            if not is_link(place):
                return False
            target = root.path / link_target(place)
        except OSError:
            return False
        is_night = night_date(target.name) is not None
        return is_night and any(target.parent == other.path for other in self._roots)

    def _judge_folder(self, root: Root, night: Night, there: set[str]) -> None:
        """Hold, or tell of, a night whose folder is not there or is none."""
        why = self._why_no_folder(root, night)
        if night.date in there or why == _IS_FOLDER:
            self._keep(night, _FOLDER, [])
            self.holds(night.id, is_over=False)
            return
        known = _what_was_there(self._ledger, night.id)
        is_missed = why is not None or known
        if night.status == NightStatus.ABANDONED or not is_missed:
            self._keep(night, _FOLDER, [])
        else:
            self._keep(night, _FOLDER, [_no_folder(night, why, known)])
        if not self.holds(night.id, is_over=True) and not known:
            self._end(night, why)

    def _end(self, night: Night, why: str | None) -> None:
        """Nothing was ever seen of a night, and nobody waits for it: it is empty."""
        if night.status not in FINAL:
            seen = "nothing of it was ever seen" + (f"; {why}" if why else "")
            cause = Cause(WaitCode.EMPTY, {"why": seen})
            nights.mark_closed(self._ledger, night.id, "vampd")
            nights.set_status(self._ledger, night, NightStatus.EMPTY, cause)

    def _why_no_folder(self, root: Root, night: Night) -> str | None:
        """What has the name of a night's folder; None: nothing has."""
        place = Beneath(root.path) / night.date
        try:
            if is_link(place):
                return f"it is a symbolic link to {printable(str(link_target(place)))!r}"
            next(iter(entries(place)), None)
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"{error.strerror}"
        return _IS_FOLDER

    def _beside(self, root: Root) -> Iterator[Unseen]:
        """What could be the cameras' and lies beside the nights of a root."""
        others = {other.path for other in self._roots}
        for entry in entries(Beneath(root.path)):
            is_named = is_date_like(entry.name) or is_camera_like(entry.name)
            path = root.path / entry.name
            if not is_named or night_date(entry.name) is not None or path in others:
                continue
            try:
                form = form_of(entry.stat(follow_symlinks=False).st_mode)
            except OSError as error:
                yield _beside(path, UnseenSort.UNREADABLE, f"{error.strerror}")
                continue
            if form is Form.LINK and not self._is_elsewhere(root, entry.name):
                yield _beside(path, UnseenSort.LINK, "a symbolic link: nobody looks behind it")
            elif form is Form.FOLDER:
                yield from _in_folder(path, survey_below(Beneath(root.path) / entry.name))
            elif form is Form.FILE and is_camera_like(entry.name):
                yield _beside(path, UnseenSort.PLACE, "not in a night's folder")


def _in_folder(path: Path, lie: Lie) -> Iterator[Unseen]:
    """What of a folder beside the nights could be the cameras'."""
    named = [entry for entry in lie.entries if any(map(is_camera_like, entry.path.split("/")))]
    if TOP in lie.unreadable:
        yield _beside(path, UnseenSort.UNREADABLE, f"it cannot be looked at: {lie.unreadable[TOP]}")
    elif named:
        text = f"{len(named)} names like {named[0].path}, and its own name is no night's: YYYYMMDD"
        yield _beside(path, UnseenSort.NAME, text, len(named))


def _beside(path: Path, sort: UnseenSort, why: str, entries: int = 1) -> Unseen:
    place = printable(str(path))
    return Unseen(place=place, sort=sort, text=f"{place}: {why}", is_data=True, entries=entries)


def _no_folder(night: Night, why: str | None, known: str) -> Unseen:
    told = why or f"nothing lies there any more; {known} of it were"
    return Unseen(place=TOP, sort=UnseenSort.FOLDER, text=f"{night.folder}: {told}", is_data=True)


def _what_was_there(ledger: Ledger, night: int) -> str:
    """How many files of a night should lie in its folder, in words; empty: none."""
    count = ledger.value(
        "select count(*) from raw_file where night = ? and role != 'other'"
        " and state not in ('gone', 'ignored')",
        [night],
    ) + ledger.value("select count(*) from output where night = ? and state != 'planned'", [night])
    return f"{count} files" if count else ""
