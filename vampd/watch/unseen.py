"""What lies in a night, or beside the nights, that nobody will take. Pure: no disk, no ledger.

What was not looked at must not count as not there. Cubes are taken from `vcam1/` and `vcam2/` under
the cameras' own names, and from nowhere else: what lies elsewhere, has another name, was compressed
in place or cannot be reached is told, with where it lies, how much it is, and why it is not taken.
What of it could be the cameras' data holds its night; somebody else's files do not.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

from msgspec import Struct, field

from vampd.layout import CAMERA_FOLDERS
from vampd.records import Unseen
from vampd.states import UnseenSort
from vampd.watch.naming import Role, classify

#: The night's own folder, as a place.
TOP = "."

_FITS = re.compile(r"\.(?:fits?|fts)(?![a-z0-9])", re.IGNORECASE)
_PACKED = re.compile(
    r"\.(?:gz|bz2|xz|zst|lz4|lzma|fz|z|zip|7z|rar|tgz|tbz2?|txz|tar)$", re.IGNORECASE
)
# What people put beside cubes, whatever they call it.
_NO_DATA = re.compile(
    r"\.(?:log|json|md|csv|png|jpe?g|gif|pdf|svg|html?|ya?ml|toml|ini|conf|py|sh|npy|swp)$",
    re.IGNORECASE,
)
_APPLE = "._"  # what a Macintosh writes beside each file
_NO_LETTER = re.compile(r"[^a-z0-9]")
_FITS_BLOCK_BYTES = 2880  # of a header, at least; pixels come behind it
_DIGITS_OF_A_TIME = 6  # hours, minutes and seconds

_DATE_LIKE = re.compile(r"(?<!\d)(?:19|20)\d\d[-_. ]?(?:0[1-9]|1[0-2])[-_. ]?[0-3]\d(?!\d)")
_YEAR_LIKE = re.compile(r"(?:19|20)\d\d(?:[-_.]?(?:0[1-9]|1[0-2]))?")


class Form(StrEnum):
    """What sort of thing has a name."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "symbolic link"
    PIPE = "pipe"
    DEVICE = "device"
    SOCKET = "socket"


class Entry(Struct, frozen=True, kw_only=True):
    """One name that is not taken. *path* is relative to the night's folder."""

    path: str
    form: Form
    size_bytes: int = 0
    target: str = ""  #: of a link, where it leads by its own words


class Lie(Struct, frozen=True, kw_only=True):
    """All that lies in a night and is not taken."""

    entries: tuple[Entry, ...]
    unreadable: Mapping[str, str]  #: places at which nobody can look, and why
    is_cut: bool = False  #: there is more, and nobody looked on


class _Heap(Struct, kw_only=True):
    """What lies at one place for one reason."""

    entries: list[Entry] = field(default_factory=list)


#: Why it is not taken, for what can be many at one place.
_WHY: Mapping[UnseenSort, str] = {
    UnseenSort.NAME: "not under a name that the cameras give",
    UnseenSort.PACKED: "compressed in place, and raw cubes are taken as the cameras wrote them",
    UnseenSort.PLACE: "outside of the cameras' folders",
    UnseenSort.FOREIGN: "nothing of the cameras",
}


def find_unseen(lie: Lie) -> list[Unseen]:
    """Judge all that lies in a night's folder and is not taken, by place and reason."""
    heaps: dict[tuple[str, UnseenSort], _Heap] = defaultdict(_Heap)
    found: list[Unseen] = []
    for entry in lie.entries:
        sort = sort_of(entry)
        if sort in _WHY:
            heaps[_place_of(entry), sort].entries.append(entry)
        else:
            found.append(_alone(entry, sort))
    found += [
        _told(place, sort, heap, is_cut=lie.is_cut)
        for (place, sort), heap in heaps.items()
        if sort is not UnseenSort.FOREIGN
    ]
    found += _foreign([heap for (_, sort), heap in heaps.items() if sort is UnseenSort.FOREIGN])
    found += [_unreadable(place, why) for place, why in lie.unreadable.items()]
    return sorted(found, key=lambda each: (not each.is_data, each.place, each.sort))


def sort_of(entry: Entry) -> UnseenSort:
    """Why one entry is not taken; FOREIGN: it is nothing of the cameras."""
    *folders, name = entry.path.split("/")
    is_of_cameras = is_camera_like(name) or bool(folders and is_camera_like(folders[0]))
    if entry.form is Form.LINK:
        is_theirs = is_of_cameras or is_camera_like(entry.target)
        return UnseenSort.LINK if is_theirs else UnseenSort.FOREIGN
    if entry.form is Form.FOLDER:
        is_a_cube = classify(entry.path).role is not Role.OTHER
        return UnseenSort.KIND if is_a_cube else UnseenSort.FOREIGN
    if entry.form is not Form.FILE:
        return UnseenSort.KIND if is_of_cameras else UnseenSort.FOREIGN
    if entry.path in CAMERA_FOLDERS:
        return UnseenSort.KIND
    is_plain = _FITS.search(name) is not None and _PACKED.search(name) is None
    if entry.size_bytes < (_FITS_BLOCK_BYTES if is_plain else 1):
        return UnseenSort.FOREIGN  # whatever its name says, no frame is in it
    return _sort_of_file(folders, name)


def _sort_of_file(folders: list[str], name: str) -> UnseenSort:
    if not _could_be_data(folders, name):
        return UnseenSort.FOREIGN
    if _PACKED.search(name):
        return UnseenSort.PACKED
    if not folders:
        return UnseenSort.PLACE
    is_nested = folders[0] in CAMERA_FOLDERS and len(folders) > 1
    if is_nested or not is_camera_like(folders[0]):
        return UnseenSort.PLACE
    return UnseenSort.NAME


def _could_be_data(folders: list[str], name: str) -> bool:
    """Whether a file could be a cube, or a cube's timing, by the names on its way.

    In a folder that is called almost as a camera's, or as a date, every FITS file could; elsewhere
    only what bears a camera's name and a time.
    """
    if _NO_DATA.search(name) or name.startswith(_APPLE):
        return False
    is_among_cubes = any(is_camera_like(folder) or is_date_like(folder) for folder in folders)
    if is_among_cubes and _FITS.search(name):
        return True
    if not is_camera_like(name):
        return False
    has_time = sum(character.isdigit() for character in name) > _DIGITS_OF_A_TIME
    return has_time or bool(_PACKED.search(name)) or (not folders and bool(_FITS.search(name)))


def is_camera_like(text: str) -> bool:
    """Whether a name is that of a camera of VAMPIRES, or almost.

    Case, separators and whatever stands around it do not matter; nor does one letter too few, too
    many, wrong or in another's place. The first letter counts: `kcam` is another camera.
    """
    plain = _NO_LETTER.sub("", text.lower())
    if "vcam" in plain:
        return True
    word = re.sub(r"[0-9].*", "", plain)
    return word.startswith("v") and word != "v" and _is_near(word, "vcam")


def is_date_like(name: str) -> bool:
    """Whether a name has a date in it, or is a year or a month."""
    return _DATE_LIKE.search(name) is not None or _YEAR_LIKE.fullmatch(name) is not None


def _is_near(word: str, meant: str) -> bool:
    """Whether one letter was left out, put in, exchanged, or swapped with its neighbour."""
    if abs(len(word) - len(meant)) > 1:
        return False
    begin = 0
    while begin < min(len(word), len(meant)) and word[begin] == meant[begin]:
        begin += 1
    rest, due = word[begin:], meant[begin:]
    swapped = due[1::-1] + due[2:] if len(due) > 1 else due
    return rest in {due, due[1:], swapped} or rest[1:] in {due, due[1:]}


def _place_of(entry: Entry) -> str:
    """The folder that is told, for all that lies below it."""
    *folders, name = entry.path.split("/")
    if not folders:
        return name if entry.form is Form.FOLDER else TOP
    if folders[0] in CAMERA_FOLDERS and len(folders) > 1:
        return "/".join(folders[:2])
    return folders[0]


def _alone(entry: Entry, sort: UnseenSort) -> Unseen:
    """A link, or something that is no file under a name of the cameras."""
    if sort is UnseenSort.LINK:
        text = f"{entry.path} is a symbolic link to {entry.target!r}: nobody looks behind it"
    else:
        is_folder = entry.path in CAMERA_FOLDERS
        due = "a folder of cubes" if is_folder else "a file of the cameras"
        text = f"{entry.path} is a {entry.form}, where {due} should be"
    return Unseen(place=entry.path, sort=sort, text=text, is_data=True, size_bytes=entry.size_bytes)


def _told(place: str, sort: UnseenSort, heap: _Heap, *, is_cut: bool) -> Unseen:
    first = min(heap.entries, key=lambda entry: entry.path)
    size_bytes = sum(entry.size_bytes for entry in heap.entries)
    count = len(heap.entries)
    least = "at least " if is_cut else ""
    files = f"{least}{count} file{'' if count == 1 else 's'}"
    where = "in the night's own folder" if place == TOP else f"in {place}/"
    text = f"{files} {where}, {size_bytes / 1e6:.1f} MB ({first.path}): {_WHY[sort]}"
    return Unseen(
        place=place, sort=sort, text=text, is_data=True, entries=count, size_bytes=size_bytes
    )


def _foreign(heaps: Iterable[_Heap]) -> Iterator[Unseen]:
    """Somebody else's, all together."""
    every = [entry for heap in heaps for entry in heap.entries]
    names = sorted({entry.path.partition("/")[0] for entry in every} - set(CAMERA_FOLDERS))
    inside = sorted(entry.path for entry in every if entry.path.split("/")[0] in CAMERA_FOLDERS)
    named = [*names, *inside]
    if named:
        shown = ", ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")
        yield Unseen(
            place=TOP,
            sort=UnseenSort.FOREIGN,
            text=f"{shown}: {_WHY[UnseenSort.FOREIGN]}",
            is_data=False,
            entries=len(every),
            size_bytes=sum(entry.size_bytes for entry in every if entry.form is Form.FILE),
        )


def _unreadable(place: str, why: str) -> Unseen:
    """Nobody knows what lies there: of the cameras' own places, it could be cubes."""
    named = "the night's own folder" if place == TOP else place
    return Unseen(
        place=place,
        sort=UnseenSort.UNREADABLE,
        text=f"{named} cannot be looked at: {why}",
        is_data=place == TOP or is_camera_like(place) or is_date_like(place),
    )
