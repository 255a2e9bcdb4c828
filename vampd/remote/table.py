"""Which class answers for which place: another kind of destination has its line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from msgspec.structs import replace

from vampd.errors import FarDiskError
from vampd.remote import destination_marker
from vampd.remote.answers import FarDisk
from vampd.remote.destination_marker import Disk, Marked
from vampd.remote.folder_store import FolderStore
from vampd.remote.location import Location
from vampd.remote.store import FarJob, Store

Job = TypeVar("Job", bound=FarJob)

#: By the scheme of the place; one without is a folder, here or behind `host:`.
STORES: Mapping[str, Callable[[Location, FarJob], Store]] = {
    "": lambda place, job: FolderStore(place=place, job=job),
}


def store_of(job: FarJob, place: Location) -> Store:
    """Who answers for *place* in the work of *job*, which holds how it is reached."""
    return STORES[place.scheme](place, job)


def demand_disks(job: Job) -> tuple[Job, list[Marked]]:
    """*job* with the markers of all its far disks, and those of which the ledger did not know.

    Each disk of the job that may be claimed is, if it is evidently there. FarDiskError: nothing
    tells that it is there, so that nothing may be sent there.
    """
    disks, marked = [], []
    for disk in job.disks:
        marker = disk.marker
        if marker is None and disk.may_claim:
            store = store_of(job, Location.parse(disk.place))
            found, why = store.disk(), "its marker was there"
            if found.marker is None:
                why = _why_it_is_there(store, disk, found)
                found = store.claim()
            assert found.marker is not None
            marker = found.marker
            marked.append(Marked(place=disk.place, marker=marker, why=why))
        disks.append(replace(disk, marker=marker))
    return replace(job, disks=disks), marked


def _why_it_is_there(store: Store, disk: Disk, found: FarDisk) -> str:
    answers = store.digests(disk.copies)
    right = sum(answers[copy.path].sha256 == copy.sha256 for copy in disk.copies)
    why = destination_marker.why_it_is_there(disk, found, right)
    if why is None:
        text = destination_marker.absent_text(disk.place, has_another=False)
        raise FarDiskError(text)
    return why
