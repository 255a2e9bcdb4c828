"""What a destination can be asked, whatever it is: the few verbs with which nights are delivered.

`vampd.remote.table` says which class answers for a place. What all of them promise stands here, and
is tried on each by `tests/remote/test_store_contract.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct, field

from vampd.io.listed_files import ListedFile
from vampd.remote.answers import FarDisk, FileDigest
from vampd.remote.bandwidth import Window
from vampd.remote.commands import Reach
from vampd.remote.destination_marker import Disk

# One batch is one connection; a lost one costs no more than this.
BATCH_FILES = 500
_BATCH_BYTES = 16_000_000_000

#: Why there is no digest of a file that is not there.
ABSENT = frozenset({"No such file or directory", "Not a directory"})


class FarJob(Struct, frozen=True, kw_only=True):
    """What every job that reaches the far end says of it."""

    night: str  #: for messages, e.g. "archive 20251106"
    reach: Reach = field(default_factory=Reach)
    bandwidth_kib: int = 0  #: KiB a second; 0 is no limit
    bandwidth_by_time: Sequence[Window] = ()  #: where one holds, it does instead
    deadline_seconds: float | None = None  #: for each sending; None grows with bytes
    disks: Sequence[Disk] = ()  #: of the far folders; what is not named is not looked after


class Store(Protocol):
    """A place where nights lie, each under its date (YYYYMMDD); paths are relative to the night.

    Each verb can raise RetryableError (not reached, silent, full, or not the disk that it was) and
    OperatorError (it refuses, or its answer is not one that can be believed). Neither says anything
    about any file.
    """

    def digests(self, files: Sequence[ListedFile], *, below: str = "") -> dict[str, FileDigest]:
        """What each of *files* holds now, by path: SHA-256 recomputed from the bytes there.

        *below*: the folder of the place that they lie in. What was answered is durable there. None
        of it counts unless the place is the known one: FarDiskError.
        """

    def fetch(self, file: ListedFile, descriptor: int, *, below: str = "") -> None:
        """Write what *file* holds there into the new file that is open here; no more than its size.

        It proves nothing: the bytes are to be digested here. OperatorError: it cannot be read,
        which is so, too, where a key may send only.
        """

    def receive(
        self, date: str, folder: Path, files: Sequence[ListedFile], *, afresh: bool
    ) -> list[str]:
        """Let *files* of the night's *folder* here arrive; the paths of those that were sent.

        They lie apart, under no final name, and a sending that was cut goes on. *afresh*: what has
        arrived already is compared with what is here, byte by byte.
        """

    def arrived(self, date: str, files: Sequence[ListedFile]) -> dict[str, FileDigest]:
        """As `digests`, of what was received and is not published."""

    def publish(self, date: str, tags: Mapping[str, str]) -> dict[str, str]:
        """Give what arrived its final names; for each path of *tags* one of `answers`.

        No file is ever replaced. One that is in the way is set aside where the path has a tag,
        under its name with the tag behind it, and stays where it has none. What is called published
        is durable, name and bytes. An answer proves nothing: only `digests` does.
        """

    def evidence(self, date: str) -> list[str]:
        """The names of all that was ever set aside of the night."""

    def thin(self, keep: int) -> None:
        """Remove the copies of the ledger that lie there, all but the newest *keep*, two at least.

        Nothing else is ever removed there.
        """

    def disk(self) -> FarDisk:
        """Which disk that is: its marker, if it has one, and whether anything lies there."""

    def claim(self) -> FarDisk:
        """Give the disk a marker, unless it has one; `disk` of it."""

    def complaints(self) -> list[str]:
        """What keeps the place from receiving, in words; none: nothing."""

    def numbers(self, after: str) -> dict[str, list[int]]:
        """By date, the frame IDs that delivered nights bear; *after* the date stands *after*."""

    def by_hand(self) -> str:
        """What a person can type here to see whether the place is reached."""

    def kind(self) -> str:
        """How the place is reached, for people."""


def batches(files: Sequence[ListedFile]) -> Iterator[list[ListedFile]]:
    """*files* in their order, in lists of which a lost connection costs no more than one."""
    batch: list[ListedFile] = []
    size_bytes = 0
    for file in files:
        full = len(batch) == BATCH_FILES or size_bytes + file.size_bytes > _BATCH_BYTES
        if batch and full:
            yield batch
            batch, size_bytes = [], 0
        batch.append(file)
        size_bytes += file.size_bytes
    if batch:
        yield batch
