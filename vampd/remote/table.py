"""Which class answers for which place: another kind of destination has its line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from vampd.errors import FarDiskError
from vampd.remote import destination_marker
from vampd.remote.answers import FarDisk
from vampd.remote.destination_marker import Disk, Marked
from vampd.remote.folder_store import FolderStore
from vampd.remote.location import Location
from vampd.remote.store import FarJob, Store

#: By the scheme of the place; one without is a folder, here or behind `host:`.
STORES: Mapping[str, Callable[[Location, FarJob], Store]] = {
    "": lambda place, job: FolderStore(place=place, job=job),
}


def store_of(job: Mapping[str, Any], place: Location) -> Store:
    """Who answers for *place* in the work of *job*, which holds how it is reached: see `FarJob`."""
    return STORES[place.scheme](place, cast("FarJob", job))


def demand_disks(job: Mapping[str, Any]) -> list[Marked]:
    """The markers of far disks that have one now, and of which the ledger did not know.

    Each disk of the job that may be claimed is, if it is evidently there; *job* knows its marker
    from then on. FarDiskError: nothing tells that it is there, so that nothing may be sent there.
    """
    marked = []
    for disk in job.get("disks", []):
        if disk["marker"] is None and disk.get("may_claim"):
            store = store_of(job, Location.parse(disk["place"]))
            found, why = store.disk(), "its marker was there"
            if found.marker is None:
                why = _why_it_is_there(store, disk, found)
                found = store.claim()
            assert found.marker is not None
            disk["marker"] = found.marker
            marked.append(Marked(place=disk["place"], marker=found.marker, why=why))
    return marked


def _why_it_is_there(store: Store, disk: Disk, found: FarDisk) -> str:
    copies = disk.get("copies", [])
    answers = store.digests(copies)
    right = sum(answers[copy["path"]].sha256 == copy["sha256"] for copy in copies)
    why = destination_marker.why_it_is_there(disk, found, right)
    if why is None:
        text = destination_marker.absent_text(disk["place"], has_another=False)
        raise FarDiskError(text)
    return why
