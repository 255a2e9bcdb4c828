"""Write to the ledger what one look at a night found other than it was known."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from vampd.causes import Cause
from vampd.ledger import cubes, files, given_up, live, nights, outputs, strays, trash
from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night, RawFile
from vampd.records import FileIdentity
from vampd.states import FINAL, FileCode, FileState, NightStatus, StrayState
from vampd.watch.naming import Role
from vampd.watch.scan import FolderEntry, FolderSnapshot
from vampd.watch.settle import counts_as_change, find_differences, is_hidden
from vampd.watch.supplements import is_used, reopen, stands_for, take_bad_twins

log = logging.getLogger(__name__)


class Recorded(Struct, frozen=True, kw_only=True):
    """What one look found other than it was known."""

    counts: bool  #: whether it counts: whether the cameras wrote
    paths: tuple[str, ...] = ()  #: what appeared, changed or went


_NOTHING = Recorded(counts=False)


class Recorder:
    """Keeps the rows of raw files abreast of the looks. *tell* logs a sentence, once."""

    def __init__(self, ledger: Ledger, tell: Callable[[str], None]) -> None:
        self._ledger = ledger
        self._tell = tell

    def record(self, night: Night, seen: FolderSnapshot, rows: Mapping[str, RawFile]) -> Recorded:
        """Write what is new; return what that was.

        *rows* are those of the files at which was looked, by path: of all that were ever seen in
        the night, or of a few.
        Of a closed night, what may have been processed is not taken for a new file because of its
        inode or time: see `strays`. The night is held for its strays, or goes on without them.
        """
        seen = self._without_given_up(night, seen)
        there = {path: row for path, row in rows.items() if row.state != FileState.GONE}
        astray = [row for row in strays.strays_of(self._ledger, night.id) if row.path in rows]
        differences = find_differences(
            {path: files.identity(row) for path, row in there.items()}, seen
        )
        for stray in astray:
            self._record_stray(night, rows[stray.path], seen)
        if not differences:
            self._review(night) if astray else None
            return _NOTHING
        roles = {path: Role(row.role) for path, row in rows.items()}
        roles |= {path: file.role for path, file in seen.files.items()}
        # One that no look can mend would keep a later batch from ever being quiet.
        moving = replace(
            differences,
            appeared=tuple(
                path
                for path in differences.appeared
                if path not in rows or not stands_for(self._ledger, night, rows[path])
            ),
            changed=tuple(
                path
                for path in differences.changed
                if not _is_known(night, there[path], seen.files[path].identity)
            ),
        )
        counts = counts_as_change(moving, roles)
        if counts and night.status == NightStatus.EMPTY:
            reopen(self._ledger, night.id, "files came into an empty night")
            night = nights.get_night(self._ledger, night.id)
        for path in (*differences.appeared, *differences.changed):
            self._record_seen(night, rows.get(path), path, seen.files[path])
        for path in differences.gone:
            self._record_gone(night, there[path])
        if counts and night.closed_us is None:
            nights.note_change(self._ledger, night.id)
        self._review(night)
        paths = (*differences.appeared, *differences.changed, *differences.gone)
        return Recorded(counts=counts, paths=paths)

    def _without_given_up(self, night: Night, seen: FolderSnapshot) -> FolderSnapshot:
        """*seen* but for files that an operator gave up: what becomes of those changes nothing."""
        lost = given_up.paths_of(self._ledger, night.id)
        if not lost:
            return seen
        left = {path: file for path, file in seen.files.items() if path not in lost}
        return replace(seen, files=left, unread=seen.unread | lost)

    def _record_seen(self, night: Night, row: RawFile | None, path: str, file: FolderEntry) -> None:
        state, code = FileState.ARRIVING, FileCode.SEEN
        if file.role is Role.OTHER:
            state, code = FileState.IGNORED, FileCode.FOREIGN_FILE
        elif night.closed_us is not None:
            state, code = FileState.LATE, FileCode.LATE
        if row is None:
            self._add(night, path, file, state, Cause(code))
        elif stands_for(self._ledger, night, row):
            self._record_back(night, row, file.identity)
            return
        elif _is_known(night, row, file.identity):
            self._record_known(night, row, file.identity)
            return
        else:
            files.renew_file(self._ledger, row.id, file.identity, state, Cause(code))
        if state is FileState.LATE:
            self._tell(f"{nights.label(night)}: {path} {Cause(code)}; it is left untouched")
        elif night.closed_us is None and night.batch > 1:
            row = files.file_of(self._ledger, night.id, path)
            take_bad_twins(self._ledger, row, night.batch)

    def _record_known(self, night: Night, row: RawFile, found: FileIdentity) -> None:
        """Another identity under the name of a file of which something was made, or decided."""
        if row.sha256 is None and _is_moved(row, found):
            self._record_moved(night, row, found)
        else:
            strays.note(self._ledger, row, found)

    def _record_moved(self, night: Night, row: RawFile, found: FileIdentity) -> None:
        """A file that nobody read through is the same but for its inode."""
        if row.state == FileState.QUARANTINED:
            files.renew_identity(self._ledger, row, found, "the same but for its inode")
        elif outputs.outputs_of_batch(self._ledger, night.id):
            strays.note(self._ledger, row, found)
        else:  # nothing was made of it: it is as if it came now
            arriving = FileState.ARRIVING
            files.renew_file(self._ledger, row.id, found, arriving, Cause(FileCode.SEEN))
            reopen(self._ledger, night.id, f"{row.path} was moved before it was read")

    def _record_stray(self, night: Night, row: RawFile, seen: FolderSnapshot) -> None:
        """What one look says of a file that was a stray: the row of one that is there differs."""
        file = seen.files.get(row.path)
        if file is not None and file.identity == files.identity(row):
            strays.note(self._ledger, row, file.identity)
        elif file is None and row.state == FileState.GONE and not is_hidden(row.path, seen):
            if _is_missed(night, row):
                strays.note(self._ledger, row, None)
            else:
                strays.drop(self._ledger, row, "gone again")

    def _record_back(self, night: Night, row: RawFile, found: FileIdentity) -> None:
        """A file lies where one of an earlier plan lay: it is that one, or is left alone."""
        given_back = trash.why_gone(self._ledger, row.id) is not None
        if given_back:  # of one that is being put back, its return says what it is
            if files.identity(row) != found:
                name = f"{nights.label(night)}: {row.path}"
                self._tell(f"{name} is not the file that gave its space back; it is left untouched")
        elif files.identity(row) == found:
            files.set_state(self._ledger, row.id, FileState.WHOLE, Cause(FileCode.BACK))
        else:
            strays.note(self._ledger, row, found)

    def _add(
        self, night: Night, path: str, file: FolderEntry, state: FileState, cause: Cause
    ) -> None:
        files.add_file(
            self._ledger,
            night.id,
            path,
            role=file.role,
            camera=file.camera,
            stem=file.stem,
            who=file.identity,
            state=state,
            cause=cause,
        )

    def _record_gone(self, night: Night, row: RawFile) -> None:
        given_back = trash.why_gone(self._ledger, row.id)
        if given_back is not None:
            files.set_state(self._ledger, row.id, FileState.GONE, given_back)
            return
        needed = is_used(night, row) or live.is_planned(self._ledger, row.id)
        if needed and night.status not in FINAL and row.batch == night.batch:
            strays.note(self._ledger, row, None)
            return
        if not needed:
            cubes.forget_cube(self._ledger, row.id)
        if _is_missed(night, row):
            strays.note(self._ledger, row, None)
        else:
            strays.drop(self._ledger, row, str(Cause(FileCode.WENT)))
        files.set_state(self._ledger, row.id, FileState.GONE, Cause(FileCode.WENT))

    def _review(self, night: Night) -> None:
        """Hold the night for its strays, or let it go on; tell of those that are not the file."""
        label = nights.label(night)
        unread = len(strays.unread(self._ledger, night.id))
        if unread:
            self._tell(
                f"{label}: {unread} raw files have another inode or time: they are read again"
            )
        for row in strays.strays_of(self._ledger, night.id):
            if row.state != StrayState.UNREAD:
                self._tell(
                    f"{label}: {strays.hold_cause([row], is_closed=night.closed_us is not None)}"
                )
        why = strays.review(self._ledger, night.id)
        if why is not None:
            log.error("%s held: %s", label, why, extra={"NIGHT": night.date})


def _is_missed(night: Night, row: RawFile) -> bool:
    """Whether somebody is told that a file went, though nothing waits for it: its night is safe.

    Where its space was given back, or it was given up, nobody comes here.
    """
    is_safe = night.status == NightStatus.SAFE or row.batch < night.batch
    is_raw = Role(row.role) in {Role.CUBE, Role.TIMING}
    return (
        is_safe and is_raw and row.state in {FileState.WHOLE, FileState.QUARANTINED, FileState.GONE}
    )


def _is_known(night: Night, row: RawFile, found: FileIdentity) -> bool:
    """Whether a file under a known name, with the identity *found*, is not simply a new one.

    Something may have been made of it; or it is bad, was read through, and may be the same; or it
    is bad, and the same but for its inode, so that no other verdict can come of it.
    """
    if is_used(night, row):
        return True
    if row.state != FileState.QUARANTINED:
        return False
    if row.sha256 is not None and night.closed_us is not None:
        return bool(row.size_bytes == found.size_bytes)
    return _is_moved(row, found)


def _is_moved(row: RawFile, found: FileIdentity) -> bool:
    """Whether nothing but the inode tells what was found from the recorded file."""
    return found == replace(files.identity(row), inode=found.inode)
