"""A night's folder in which the earlier pipeline was at work: its signs, and what lies there.

It begins by hard-linking `vcamN/` as `vcamN_hlinkbak/`, sorts the frames through `vsync/`,
`vsoloN/` and `vbad/` into `vgen2/`, removes `vcamN/`, gives its files frame IDs
(`vgen2/name_changes.txt`), compresses them, and writes a manifest (scexao-org/scxkw,
scripts/scxkw-vamp-archive-folder). It can have stopped after any of these. Everything here only
looks: folders are listed, headers and small text files are read.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from vampd.errors import InputError, NotPlainError
from vampd.io.beneath import Beneath, entries, is_folder, night_folder, read_start, status
from vampd.io.publish import digest_file
from vampd.io.units import Unit, read_units
from vampd.layout import (
    BACKUP_ENDING,
    CAMERA_FOLDERS,
    NAME_CHANGES,
    OUTPUT_FOLDER,
    OUTPUTS_SET_ASIDE,
    OWN_FOLDER,
)
from vampd.science.cards import parse_card
from vampd.watch.incumbent_timing import START_BYTES, is_rewritten
from vampd.watch.naming import Role, classify, night_date
from vampd.watch.scan import identity_of

_ASIDE = "_incumbent.csv"
_MIDWAY = ("vsync", "vsolo1", "vsolo2", "vbad")
_BACKUPS = [f"{name}{BACKUP_ENDING}" for name in (*CAMERA_FOLDERS, *_MIDWAY, OUTPUT_FOLDER)]
_SIGNS = frozenset({*_MIDWAY, *_BACKUPS})
_RAW = frozenset({Role.CUBE, Role.TIMING})
_FRAME_ID = re.compile(r"VMPA([0-9]{8})")
_MANIFEST = re.compile(r"manifest_VMP_[0-9A-Za-z_]+\.csv")
_MAX_TEXT_BYTES = 16 * 1024 * 1024


class LegacyFile(Struct, frozen=True, kw_only=True):
    """One file in `vgen2/`."""

    path: str  #: relative to the night
    size_bytes: int
    modified_ns: int
    frame_id: int | None  #: by its name; by its header where the name has none
    sha256: str | None
    problem: str | None  #: why it cannot be what it should


class RawFolder(Struct, frozen=True, kw_only=True):
    """What lies in a camera's folder, or in its backup."""

    name: str
    cubes: int
    timings: int
    altered: int  #: cubes whose header bears a frame ID: it was edited through a hard link
    unreadable: int
    rewritten: int  #: timing files that the earlier pipeline wrote anew, through a hard link
    without_timing: tuple[str, ...]  #: cubes that have none


class Survey(Struct, frozen=True, kw_only=True):
    """All that can be seen of one such night."""

    folder: Path
    signs: tuple[str, ...]  #: empty: the earlier pipeline was never here
    files: tuple[LegacyFile, ...]
    frame_ids: dict[int, str]  #: every number that is named anywhere, and where
    listed: frozenset[int]  #: numbers that a manifest lists
    raw: tuple[RawFolder, ...]
    problems: tuple[str, ...]

    @property
    def cubes(self) -> tuple[LegacyFile, ...]:
        """The compressed cubes in `vgen2/`."""
        return tuple(file for file in self.files if file.path.endswith(".fits.fz"))


def signs_of(folder: Path, names: Iterable[str] | None = None) -> tuple[str, ...]:
    """The names in *folder* that only the earlier pipeline makes; *names* if they are known.

    A `vgen2/` that holds something counts where there is no `.vampd/` beside it: vampd makes that
    one first. What cannot be listed counts as absent.
    """
    try:
        return _signs_of(night_folder(folder), names)
    except NotPlainError:
        return ()


def _signs_of(night: Beneath, names: Iterable[str] | None) -> tuple[str, ...]:
    there = set(names) if names is not None else {name for name, _ in _entries(night)}
    found = {name for name in there & _SIGNS if is_folder(night / name)}
    if not is_folder(night / OWN_FOLDER) and any(_entries(night / OUTPUT_FOLDER)):
        found.add(OUTPUT_FOLDER)
    return tuple(sorted(found))


def survey(folder: Path, *, digests: bool = False) -> Survey:
    """Look at the night in *folder*; with *digests*, read every file in its `vgen2/` through.

    Nothing is changed. What cannot be read is a problem, and the rest counts.
    """
    problems: list[str] = []
    night = night_folder(folder)
    files = [
        _file(night, f"{name}/{entry}", found, digests=digests)
        for name in _output_folders(night)
        for entry, found in _entries(night / name)
        if stat.S_ISREG(found.st_mode)
    ]
    frame_ids = {file.frame_id: file.path for file in files if file.frame_id is not None}
    problems += _used_twice(files)
    listed: set[int] = set()
    for source, numbers in _named_in_texts(night, problems):
        if _MANIFEST.fullmatch(source):
            listed |= numbers
        for number in sorted(numbers):
            frame_ids.setdefault(number, source)
    return Survey(
        folder=folder,
        signs=signs_of(folder),
        files=tuple(files),
        frame_ids=frame_ids,
        listed=frozenset(listed),
        raw=tuple(
            _raw_folder(night, name)
            for camera in CAMERA_FOLDERS
            for name in (camera, f"{camera}{BACKUP_ENDING}")
            if is_folder(night / name)
        ),
        problems=tuple(problems),
    )


def named_frame_ids(folder: Path) -> dict[int, str]:
    """Every frame ID that its file names and lists bear, and where; no header is read."""
    found: dict[int, str] = {}
    night = night_folder(folder)
    for name in _output_folders(night):
        for entry, _ in _entries(night / name):
            match = _FRAME_ID.match(entry)
            if match is not None:
                found.setdefault(int(match[1]), f"{name}/{entry}")
    for source, numbers in _named_in_texts(night, []):
        for number in sorted(numbers):
            found.setdefault(number, source)
    return found


def manifest_aside(name: str) -> str:
    """The name under which `vampd restore` keeps its manifest *name*."""
    return name if name.endswith(_ASIDE) else f"{name.removesuffix('.csv')}{_ASIDE}"


def _output_folders(night: Beneath) -> tuple[str, ...]:
    """Where its files lie: in a night of vampd's own, only in what was set aside."""
    own = is_folder(night / OWN_FOLDER)
    return (OUTPUTS_SET_ASIDE,) if own else (OUTPUT_FOLDER, OUTPUTS_SET_ASIDE)


def nights_in(folder: Path) -> list[Path]:
    """The nights that *folder* means: itself, or those in it."""
    if night_date(folder.name) is not None:
        return [folder]
    names = [name for name, found in _entries(Beneath(folder)) if stat.S_ISDIR(found.st_mode)]
    return [folder / name for name in names if night_date(name) is not None]


def raw_place(night: Path, camera: str) -> Path | None:
    """Where a camera's raw files are: in its folder, or in the earlier pipeline's backup of it.

    Where both are there, the backup from the moment when it holds as many: it is made while the
    folder is whole, file by file, and the folder is emptied afterwards. The files are the same.
    """
    names = [
        name
        for name in (f"{camera}{BACKUP_ENDING}", camera)
        if is_folder(night_folder(night) / name)
    ]
    most = max(names, key=lambda name: _raw_files(night_folder(night) / name, camera), default=None)
    return None if most is None else night / most


def _raw_files(place: Beneath, camera: str) -> int:
    names = (name for name, _ in _entries(place))
    return sum(classify(f"{camera}/{name}").role in _RAW for name in names)


def _entries(folder: Beneath) -> Iterator[tuple[str, os.stat_result]]:
    """What lies in *folder*, by name; nothing where it is none."""
    try:
        found = sorted(entries(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in found:
        try:
            yield entry.name, status(folder / entry.name)
        except OSError:
            continue


def _file(night: Beneath, path: str, found: os.stat_result, *, digests: bool) -> LegacyFile:
    name = path.rpartition("/")[2]
    named = _FRAME_ID.match(name)
    number = int(named[1]) if named else None
    problem = None
    if name.endswith((".fits.fz", ".fits")):
        in_header, problem = _header_of(night / path)
        if number is None:
            number = in_header
        elif problem is None and in_header != number:
            says = "none" if in_header is None else f"VMPA{in_header:08d}"
            problem = f"its header's FRAMEID is {says}"
    elif not name.endswith(".txt"):
        problem = "no cube and no timing file: left over on the way"
    published = digest_file(night / path) if digests else None
    who = identity_of(found)
    return LegacyFile(
        path=path,
        size_bytes=who.size_bytes,
        modified_ns=who.modified_ns,
        frame_id=number,
        sha256=published.sha256 if published else None,
        problem=problem,
    )


def _header_of(path: Beneath) -> tuple[int | None, str | None]:
    """The number in a cube's FRAMEID card, and what is wrong with the file."""
    try:
        units = read_units(path)
    except InputError as error:
        return None, str(error).removeprefix(f"{path}: ")
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"
    if path.name.endswith(".fz") and len(units) < 2:
        return None, "no compressed image in it"
    return _number_in(units[-1]), None


def _number_in(unit: Unit) -> int | None:
    for card in unit.cards:
        if card.startswith("FRAMEID ="):
            match = _FRAME_ID.fullmatch(str(parse_card(card)[1]))
            return int(match[1]) if match else None
    return None


def _used_twice(files: Iterable[LegacyFile]) -> Iterator[str]:
    """Frame IDs that more than one cube bears."""
    first: dict[int, str] = {}
    for file in files:
        if file.frame_id is None or file.path.endswith(".txt"):
            continue
        other = first.setdefault(file.frame_id, file.path)
        if other != file.path:
            yield f"VMPA{file.frame_id:08d} is borne by {other} and by {file.path}"


def _named_in_texts(night: Beneath, problems: list[str]) -> Iterator[tuple[str, set[int]]]:
    """Every frame ID in the lists of new names and in the manifests, by file."""
    folders = _output_folders(night)
    places = [f"{name}/{NAME_CHANGES}" for name in folders]
    manifests = [name for name, _ in _entries(night) if _MANIFEST.fullmatch(name)]
    aside = {manifest_aside(name) for name in manifests}
    places += [name for name in manifests if OUTPUT_FOLDER in folders or name in aside]
    for place in places:
        try:
            text = read_start(night / place, _MAX_TEXT_BYTES).decode("ascii", "replace")
        except FileNotFoundError:
            continue
        except OSError as error:
            problems.append(f"{night / place}: {error.strerror}")
            continue
        yield place, {int(number) for number in _FRAME_ID.findall(text)}


def _raw_folder(night: Beneath, name: str) -> RawFolder:
    cubes = altered = unreadable = rewritten = 0
    stems: dict[Role, set[str]] = {Role.CUBE: set(), Role.TIMING: set()}
    for entry, found in _entries(night / name):
        role = classify(f"{name.removesuffix(BACKUP_ENDING)}/{entry}").role
        if not stat.S_ISREG(found.st_mode):
            continue
        if role in _RAW:
            stems[role].add(entry.rpartition(".")[0])
        if role is Role.TIMING:
            rewritten += _is_rewritten(night / f"{name}/{entry}")
        if role is Role.CUBE:
            cubes += 1
            number, problem = _header_of(night / f"{name}/{entry}")
            altered += number is not None
            unreadable += problem is not None
    return RawFolder(
        name=name,
        cubes=cubes,
        timings=len(stems[Role.TIMING]),
        altered=altered,
        unreadable=unreadable,
        rewritten=rewritten,
        without_timing=tuple(sorted(stems[Role.CUBE] - stems[Role.TIMING])),
    )


def _is_rewritten(path: Beneath) -> bool:
    try:
        return is_rewritten(read_start(path, START_BYTES))
    except OSError:
        return False
