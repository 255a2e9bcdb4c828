"""Whether the far folder lies on the disk on which it lay: a mount point is not its disk.

A marker in the destination's folder says so, which the first delivery writes, or
`vampd admin doctor --claim`; the ledger remembers it. Where it is missing or another, nothing is
sent, and nothing that lies there counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from vampd.errors import FarDiskError
from vampd.io.listed_files import ListedFile
from vampd.remote.answers import FarDisk, FileDigest
from vampd.remote.location import Location

#: In the folder itself: by this file the disk is known that it lies on.
MARKER = ".vampd-destination"

_ADVICE = "nothing was sent, and nothing there counts; mount its disk"


class Disk(Struct, frozen=True, kw_only=True):
    """What the ledger knows of the disk of a far folder."""

    place: str  #: the folder that bears the marker
    marker: str | None  #: None: nobody claimed it yet
    copies: Sequence[ListedFile] = ()  #: some that were delivered there before; they prove it
    is_known: bool = False  #: something was delivered there before
    is_moved_on: bool = False  #: somebody moves away what is delivered there
    may_claim: bool = False  #: it may be marked now, if it is evidently there


class Marked(Struct, frozen=True, kw_only=True):
    """A disk that bears a marker which the ledger does not know yet."""

    place: str
    marker: str
    why: str


class Guard(Struct, frozen=True, kw_only=True):
    """The marker as one more file to be digested, in the very call that digests others."""

    place: str
    name: str
    sha256: str

    def check(self, answers: Mapping[str, FileDigest]) -> None:
        """FarDiskError: the marker is not the one; what else was answered counts for nothing."""
        found = answers[self.name]
        if found.sha256 != self.sha256:
            raise FarDiskError(absent_text(self.place, has_another=found.sha256 is not None))


def marker_text(identifier: str) -> str:
    """What is in a marker."""
    return (
        f"vampd-destination {identifier}\n"
        "# vampd knows this disk by the line above; do not copy, change or delete it.\n"
    )


def absent_text(place: str, *, has_another: bool) -> str:
    """That the disk is not the one that it was."""
    what = (
        f"its marker {MARKER} is another: not the disk to which nights were delivered"
        if has_another
        else f"its marker {MARKER} is missing: not mounted, or not the disk that it was"
    )
    return f"far disk {place}: {what}; {_ADVICE}"


def guards(disks: Iterable[Disk], place: Location) -> Iterable[Guard]:
    """What must hold for whatever is found in *place*."""
    for disk in disks:
        base = Location.parse(disk.place)
        if disk.marker is not None and _is_below(place, base):
            text = marker_text(disk.marker).encode()
            yield Guard(
                place=disk.place,
                name=base.child(MARKER).path,
                sha256=hashlib.sha256(text).hexdigest(),
            )


def _is_below(place: Location, base: Location) -> bool:
    return place.host == base.host and f"{place.path}/".startswith(f"{base.path.rstrip('/')}/")


def why_it_is_there(disk: Disk, found: FarDisk, right: int) -> str | None:
    """Why an unmarked disk is evidently the one that is meant; None: nothing tells that it is.

    *right* of the copies that were delivered there before lie there, byte for byte.
    """
    if right:
        return f"{right} of {len(disk.copies)} files that were delivered there are there"
    if not disk.is_known:
        return "the first delivery there"
    if disk.is_moved_on and not found.is_bare:
        return "what was delivered there is moved on, and the folder is not an empty one"
    return None
