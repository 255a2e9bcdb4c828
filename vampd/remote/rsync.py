"""Commands for rsync."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from vampd.errors import OperatorError
from vampd.remote import ssh
from vampd.remote.location import Location

#: What has arrived of a file whose transfer was cut lies in this folder beside it, never
#: under its own name; the next transfer goes on from there.
PARTIAL_FOLDER = ".vampd-partial"

#: rsync itself gives up when nothing moved for so long (a far disk may be slow to answer).
_STALLED_SECONDS = 120


def rsync_command(
    source: Path,
    place: Location,
    *,
    ssh_options: Sequence[str] = (),
    connect_timeout_seconds: int = 20,
    compare_contents: bool = False,
    bandwidth_kib: int | None = None,
    hide_words: bool = True,
) -> list[str]:
    """Copy the files whose names come on standard input from *source* to *place*.

    The names are relative to *source* and end in NUL (see `file_list`). Of the folder
    *place* rsync makes the last component at most: a missing destination is an error.
    A file there of the same size and time counts as the same, unless
    *compare_contents*; anything else there, newer or not, is replaced, whole, by rename.
    With *hide_words* the far shell never sees the destination, whatever is in its name; without,
    a forced command over there can judge all that rsync is asked to do.
    The umask and the folders of the far machine decide about modes and owners.
    """
    shell = ["ssh", *ssh.ssh_options(ssh_options, connect_timeout_seconds=connect_timeout_seconds)]
    return [
        "rsync",
        *("--files-from=-", "--from0"),
        *(["--protect-args"] if hide_words else []),
        *("--times", "--omit-dir-times", "--no-implied-dirs", "--chmod=F664"),
        f"--partial-dir={PARTIAL_FOLDER}",
        f"--timeout={_STALLED_SECONDS}",
        *(["--checksum"] if compare_contents else []),
        *([f"--bwlimit={bandwidth_kib}"] if bandwidth_kib else []),
        *("--out-format=%n", "--info=progress2"),  # progress: a sign of life every second
        *([f"--rsh={shlex.join(shell)}"] if place.host is not None else []),
        "--",
        f"{source}/",
        f"{place}/",
    ]


def file_list(paths: Sequence[str]) -> bytes:
    """The standard input for `rsync_command`.

    OperatorError: a path is absolute, leaves the night's folder, or is not printable ASCII.
    """
    for path in paths:
        parts = PurePosixPath(path).parts
        if not parts or parts[0] == "/" or ".." in parts or re.search(r"[^\x20-\x7e]", path):
            msg = f"{path!r} is not a path inside the night's folder; nothing was sent"
            raise OperatorError(msg)
    return b"".join(path.encode() + b"\0" for path in paths)
