"""What a destination answers, as values."""

from __future__ import annotations

from msgspec import Struct

#: Of a file that is to have its final name. exists: another file has it, and nothing was done;
#: absent: it is not where it arrived.
PUBLISHED, EXISTS, ABSENT, FAILED = "published", "exists", "absent", "failed"


class FileDigest(Struct, frozen=True, kw_only=True):
    """The digest of one file, or why there is none."""

    sha256: str | None
    why: str | None = None


class FarDisk(Struct, frozen=True, kw_only=True):
    """What is known of the disk of a far folder."""

    is_bare: bool  #: the folder is empty, and no mount point: so is one whose disk is absent
    marker: str | None  #: None: it has none
