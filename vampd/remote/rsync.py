"""Commands for rsync, and what its failures mean."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from vampd.errors import IntegrityError, OperatorError, RetryableError, VampdError
from vampd.remote import ssh
from vampd.remote.location import Location

#: What has arrived of a file whose transfer was cut lies in this folder beside it, never
#: under its own name; the next transfer goes on from there.
PARTIAL_FOLDER = ".vampd-partial"

#: rsync itself gives up when nothing moved for so long (a far disk may be slow to answer).
_STALLED_SECONDS = 120

_ERRNO = re.compile(r"\((\d{1,3})\)(?:$|:)", re.MULTILINE)
# A far shell without rsync ends with 127, but its closed pipe may be noticed first (12).
_NO_RSYNC = re.compile("command not found|rsync: not found|[Uu]nknown command")
_NO_SPACE = frozenset({28, 122})  # ENOSPC, EDQUOT
_FORBIDDEN = frozenset({1, 13})  # EPERM, EACCES
_BROKEN_CONNECTION = frozenset({32, 104, 110})  # EPIPE, ECONNRESET, ETIMEDOUT
_VANISHED = 24

# A file could not be written, mostly on a full disk. In one run of four over ssh the far
# side's words are lost on the way, and nothing but this status arrives; the next try will tell.
_FILE_ERROR = 11
_RETRYABLE_CODES = frozenset(
    {
        10,  # socket input or output
        12,  # protocol data stream: the connection broke
        19,  # SIGUSR1
        20,  # SIGINT, SIGTERM or SIGHUP
        22,  # no memory
        30,  # nothing moved for --timeout
        35,  # no connection in time
        ssh.SSH_FAILED,
    }
)


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


def classify(code: int, stderr: str) -> type[VampdError]:
    """Who must act when rsync ended with *code* other than 0.

    A full far disk, a broken or silent connection: RetryableError. A file that is gone or
    breaks off on this side: IntegrityError. Permissions, a missing folder, a read-only or
    failing far disk, a wrong host key, no rsync over there, and all else: OperatorError.

    rsync names its side in brackets, and puts the system's error number in parentheses;
    both are the same in every language. The exit status alone tells little: a failing
    mkdir over there is 11, 12 or 255, by which process notices first.
    """
    ours, theirs = _errors_by_side(stderr)
    if theirs & _NO_SPACE or (code == _FILE_ERROR and not stderr.strip()):
        return RetryableError
    if theirs or ours & _FORBIDDEN:
        return OperatorError
    if code == _VANISHED or (ours and code not in _RETRYABLE_CODES):
        return IntegrityError
    hopeless = ssh.refuses(stderr) or _NO_RSYNC.search(stderr)
    passing = (code in _RETRYABLE_CODES or code < 0) and not hopeless
    return RetryableError if passing else OperatorError


def _errors_by_side(stderr: str) -> tuple[set[int], set[int]]:
    """System error numbers in *stderr*: the sending side's, and the receiving side's."""
    ours: set[int] = set()
    theirs: set[int] = set()
    for line in stderr.splitlines():
        if not line.startswith(("rsync:", "file has vanished")) or "rsync error:" in line:
            continue
        side = ours if "[sender]" in line else theirs
        side.update(int(number) for number in _ERRNO.findall(line))
    return ours - _BROKEN_CONNECTION, theirs - _BROKEN_CONNECTION
