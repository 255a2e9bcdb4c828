"""Give space back. The only module that takes raw files out of their place.

Into the trash by rename, on the same disk, never by copy; out of it by unlink; back by rename. Each
file is compared with the ledger's row (inode, size, time of change) right before, in a folder
that is held open, below a root whose marker was read through the same descriptor. What is
another file than was listed is left where it is, and told. But for the way back: there a file with
another inode or time is the listed one if its bytes are, on a disk that was copied, say.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Literal

from msgspec import Struct

from vampd.errors import IntegrityError, NotPlainError, RetryableError
from vampd.io.disk import MarkerState, check_marker
from vampd.io.no_replace import move_without_replacing
from vampd.io.openat2 import open_below
from vampd.layout import TRASH_FOLDER
from vampd.ledger.trash import LeavingFile
from vampd.records import FileIdentity
from vampd.stages import verify
from vampd.stages.verify import VerifyJob, VerifyResult
from vampd.states import TrashState

#: The folders of a night out of which files may go.
FOLDERS = frozenset({"vcam1", "vcam2", "vgen2"})

_FOLDER = os.O_RDONLY | os.O_DIRECTORY

#: Folders out of which such files go may be removed, once they hold nothing. What merely leaves
#: for the trash may come back, into the very folder that the cameras made.
_EMPTYING = frozenset({TrashState.RETURNING, TrashState.UNLINKING})

Step = Literal["move", "unlink", "settle", "return"]


class OnDisk(Struct, frozen=True, kw_only=True):
    """A night's folder in its root."""

    label: str  #: for messages, e.g. "archive 20251106"
    root: str
    marker: str  #: by which the root's disk is known
    date: str  #: the night's folder in the root


class CopiesJob(OnDisk, frozen=True, kw_only=True):
    """Every far copy of a night is to be read through, and what could go here looked at."""

    reclaim: int
    us: int  #: when that was decided, by both clocks
    passed_us: int
    paths: Sequence[str]
    copies: VerifyJob


class MoveJob(OnDisk, frozen=True, kw_only=True):
    """Files of one night that are to go, or to be looked for."""

    step: Step
    reclaim: int | None  #: None: it belongs to no run
    files: Sequence[LeavingFile]


class MovedFile(Struct, frozen=True, kw_only=True):
    """What became of one file; *why* where it is not what was intended."""

    id: int
    became: TrashState
    why: str | None


class Checked(Struct, frozen=True, kw_only=True):
    """The far copies, and who the regular files are, by path, that could go."""

    copies: VerifyResult
    found: Mapping[str, FileIdentity]


class Done(Struct, frozen=True, kw_only=True):
    """What came of a step: of one or the other."""

    checked: Checked | None = None
    moved: Sequence[MovedFile] = ()


def work(job: CopiesJob | MoveJob) -> Done:
    """Do one step of giving space back. See `verify_copies` and `move`."""
    if isinstance(job, CopiesJob):
        return Done(checked=verify_copies(job))
    return Done(moved=move(job))


def verify_copies(job: CopiesJob) -> Checked:
    """Have every far copy read through, then look at what could go here.

    RetryableError: the far side is not reachable, or the disk is not there. OperatorError: the far
    side refuses.
    """
    return Checked(copies=verify.work(job.copies), found=survey(job, job.paths))


def survey(job: OnDisk, paths: Sequence[str]) -> dict[str, FileIdentity]:
    """Who the regular files of *paths* are that lie in the night's folder."""
    with _night(job) as night:
        return {path: who for path in paths if (who := night.identity(path)) is not None}


def move(job: MoveJob, beat: Callable[[], None] = lambda: None) -> list[MovedFile]:
    """Do one step with each file, then make the folders' new names durable.

    *beat* is called for each: on a disk that was copied a return reads the files.

    move: into the trash. unlink: out of it for ever. return: out of it into its place.
    settle: look where it is, after a worker ended in between; a return is finished.
    RetryableError: the root's disk is not there; nothing was touched. OSError: the system
    refused; what came before it was done, and is found by `settle`.
    """
    step = _STEPS[job.step]
    results: list[MovedFile] = []
    with _night(job) as night:
        for file in job.files:
            beat()
            became, why = step(night, file)
            results.append(MovedFile(id=file.id, became=became, why=why))
        night.sync()
        emptied = {file.path for file in job.files if file.state in _EMPTYING}
        if emptied:
            night.tidy(emptied)
    return results


class _Night:
    """A night's folders and its trash, held open."""

    def __init__(self, root: int, date: str, stack: ExitStack) -> None:
        self._root = root
        self._date = date
        self._stack = stack
        self._open: dict[str, int | None] = {}

    def identity(self, path: str) -> FileIdentity | None:
        """Who the regular file at *path* of the night is; None: there is none."""
        return self._identity(self.folder_of(path), path)

    def identity_in_trash(self, place: str) -> FileIdentity | None:
        """Who the regular file at *place* of the trash is; None: there is none."""
        return self._identity(self.trash_folder_of(place), place)

    def listed_in_trash(self, file: LeavingFile) -> FileIdentity | None:
        """Who lies in the trash as *file*: by its identity, or else by its bytes; None: nobody."""
        found = self.identity_in_trash(file.place)
        if found is None or found == _who(file):
            return found
        if found.size_bytes != file.size_bytes or file.sha256 is None:
            return None
        folder = self.trash_folder_of(file.place)
        assert folder is not None
        digest = _sha256(PurePosixPath(file.place).name, folder, found)
        return found if digest == file.sha256 else None

    def folder_of(self, path: str, *, make: bool = False) -> int | None:
        """The night's folder in which *path* lies; None: there is none."""
        folder = PurePosixPath(path).parent
        if str(folder) not in FOLDERS:
            msg = f"{path}: nothing of a night but what lies in its {sorted(FOLDERS)} may go"
            raise IntegrityError(msg)
        return self._folder(PurePosixPath(self._date) / folder, make=make)

    def trash_folder_of(self, place: str, *, make: bool = False) -> int | None:
        """The folder of the trash in which *place* lies; None: there is none."""
        if PurePosixPath(place).is_absolute() or ".." in PurePosixPath(place).parts:
            msg = f"{place}: not a place in the trash"
            raise IntegrityError(msg)
        return self._folder(PurePosixPath(TRASH_FOLDER) / PurePosixPath(place).parent, make=make)

    def sync(self) -> None:
        """Make every name that was given or taken durable."""
        for descriptor in self._open.values():
            if descriptor is not None:
                os.fsync(descriptor)

    def tidy(self, paths: Iterable[str]) -> None:
        """Remove the folders out of which *paths* went, if they hold nothing any more."""
        for path in paths:
            self.folder_of(path)
        for name in sorted(self._open, key=len, reverse=True):
            if name not in {self._date, TRASH_FOLDER}:
                self._remove_if_empty(name)

    def _remove_if_empty(self, name: str) -> None:
        above, _, last = name.rpartition("/")
        folder = self._open[above] if above else self._root
        if folder is None:
            return
        try:
            os.rmdir(last, dir_fd=folder)
        except OSError:  # not empty, or gone
            return
        os.fsync(folder)

    def _folder(self, path: PurePosixPath, *, make: bool) -> int | None:
        """Open *path* below the root, folder by folder; nothing is followed through a link."""
        above, name = self._root, ""
        for part in path.parts:
            name = f"{name}/{part}" if name else part
            if self._open.get(name) is None:
                self._open[name] = self._open_in(above, name, make=make)
            descriptor = self._open[name]
            if descriptor is None:
                return None
            above = descriptor
        return above

    def _open_in(self, above: int, name: str, *, make: bool) -> int | None:
        """Open the last of *name*'s parts in the folder *above*."""
        last = name.rpartition("/")[2]
        if make:
            try:
                os.mkdir(last, dir_fd=above)
                os.fsync(above)
            except FileExistsError:
                pass
        try:
            descriptor = open_below(above, [last], _FOLDER)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno not in {errno.ELOOP, errno.ENOTDIR}:
                raise
            raise NotPlainError(name, "a link or no folder; nothing is moved through it") from error
        self._stack.callback(os.close, descriptor)
        return descriptor

    @staticmethod
    def _identity(folder: int | None, path: str) -> FileIdentity | None:
        if folder is None:
            return None
        try:
            found = os.stat(PurePosixPath(path).name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        return _identity_of(found)


@contextmanager
def _night(job: OnDisk) -> Iterator[_Night]:
    """Open the root and make sure that it is the disk that it was."""
    root = Path(job.root)
    with ExitStack() as stack:
        try:
            descriptor = os.open(root, _FOLDER | os.O_CLOEXEC)
        except OSError as error:
            msg = f"{root}: {error.strerror}; nothing of {job.label} was touched"
            raise RetryableError(msg) from error
        stack.callback(os.close, descriptor)
        # Through the descriptor: what is read here and what is moved below is one disk.
        state = check_marker(Path(f"/proc/self/fd/{descriptor}"), job.marker)
        if state is not MarkerState.OK:
            msg = f"{root}: its marker is {state}; nothing of {job.label} was touched"
            raise RetryableError(msg)
        yield _Night(descriptor, job.date, stack)


def _to_trash(night: _Night, file: LeavingFile) -> tuple[TrashState, str | None]:
    who = _who(file)
    found = night.identity(file.path)
    if found != who:
        if found is None and night.identity_in_trash(file.place) == who:
            return TrashState.TRASHED, None
        return TrashState.RETURNED, f"{file.path} is {_told(found)}, not the listed file"
    source = night.folder_of(file.path)
    target = night.trash_folder_of(file.place, make=True)
    assert source is not None
    assert target is not None
    name = PurePosixPath(file.path).name
    _rename(name, source, target)
    if night.identity_in_trash(file.place) != who:
        # Replaced between the look and the rename: whatever it is, it is not ours to move.
        _rename(name, target, source)
        return TrashState.RETURNED, f"{file.path} became another file while it was moved"
    return TrashState.TRASHED, None


def _from_trash(night: _Night, file: LeavingFile) -> tuple[TrashState, str | None]:
    if night.listed_in_trash(file) is None:
        found = night.identity_in_trash(file.place)
        if found is None and night.identity(file.path) == _who(file):
            return TrashState.RETURNED, None
        return _missing(night, file, found)
    source = night.trash_folder_of(file.place)
    target = night.folder_of(file.path, make=True)
    assert source is not None
    assert target is not None
    try:
        _rename(PurePosixPath(file.path).name, source, target)
    except FileExistsError:
        return TrashState.TRASHED, f"{file.path}: another file lies in its place"
    return TrashState.RETURNED, None


def _unlink(night: _Night, file: LeavingFile) -> tuple[TrashState, str | None]:
    found = night.identity_in_trash(file.place)
    if found != _who(file):
        return _missing(night, file, found)
    folder = night.trash_folder_of(file.place)
    assert folder is not None
    os.unlink(PurePosixPath(file.place).name, dir_fd=folder)
    return TrashState.UNLINKED, None


def _missing(
    night: _Night, file: LeavingFile, found: FileIdentity | None
) -> tuple[TrashState, str | None]:
    """A file that is not in the trash as its row says."""
    if found is not None:
        return TrashState.TRASHED, f"{file.place} is {_told(found)}, not the listed file"
    if night.identity(file.path) == _who(file):
        return TrashState.RETURNED, "somebody put it back"
    return TrashState.LOST, f"{file.place} is not in the trash, nor in its place"


def _look(night: _Night, file: LeavingFile) -> tuple[TrashState, str | None]:
    """Where a file is whose worker ended in between. The row says what was intended."""
    who = _who(file)
    in_place = night.identity(file.path) == who
    in_trash = night.identity_in_trash(file.place) == who
    if in_place and in_trash:
        # One file, two names: a rename without replacing, made of a link and half of an unlink.
        folder = night.trash_folder_of(file.place)
        os.unlink(PurePosixPath(file.place).name, dir_fd=folder)
    if in_place:
        return TrashState.RETURNED, "its move was not finished"
    if in_trash:
        is_returning = file.state == TrashState.RETURNING
        return _from_trash(night, file) if is_returning else (TrashState.TRASHED, None)
    return _nowhere(night, file)


def _nowhere(night: _Night, file: LeavingFile) -> tuple[TrashState, str | None]:
    """A file that is neither in its place nor in the trash, after a worker ended in between."""
    if file.state == TrashState.UNLINKING:
        return TrashState.UNLINKED, None
    if night.identity(file.path) is not None:
        return TrashState.RETURNED, f"{file.path}: another file lies in its place"
    return TrashState.LOST, f"{file.path} is neither in its place nor in the trash"


_STEPS: dict[Step, Callable[[_Night, LeavingFile], tuple[TrashState, str | None]]] = {
    "move": _to_trash,
    "return": _from_trash,
    "unlink": _unlink,
    "settle": _look,
}


def _rename(name: str, source: int, target: int) -> None:
    move_without_replacing(source, name, target, name)


def _who(file: LeavingFile) -> FileIdentity:
    return FileIdentity(inode=file.inode, size_bytes=file.size_bytes, modified_ns=file.modified_ns)


def _sha256(name: str, folder: int, who: FileIdentity) -> str | None:
    """The digest of the file *name*, None where it is not *who* before and after.

    OSError: it cannot be read.
    """
    with os.fdopen(open_below(folder, [name], os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        before = _identity_of(os.fstat(file.fileno()))
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest if before == who == _identity_of(os.fstat(file.fileno())) else None


def _identity_of(status: os.stat_result) -> FileIdentity:
    return FileIdentity(
        inode=status.st_ino, size_bytes=status.st_size, modified_ns=status.st_mtime_ns
    )


def _told(found: FileIdentity | None) -> str:
    if found is None:
        return "not there"
    return f"file {found.inode} of {found.size_bytes} bytes, changed at {found.modified_ns} ns"
