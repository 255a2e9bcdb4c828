"""Digests of files, recomputed where they lie by openssl or sha256sum, or by vampd-remote.

The digests that we expect never leave this machine: a program over there that does
nothing, or says yes to everything, cannot guess them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection

from vampd.errors import OperatorError
from vampd.io.process import Finished
from vampd.plain_text import last_lines
from vampd.remote.answers import FileDigest
from vampd.remote.commands import SOME_FAILED, Reach, remote_command
from vampd.remote.failures import check_done
from vampd.remote.location import Location

# `sync` makes the bytes durable, dd's nocache lets go of their copy in memory:
# who reads then reads what the disk holds. Both are best effort (a network file system may
# ignore them), but an error while syncing is printed, and counts. One line, no '!': csh.
# A link is no copy, and a pipe would be waited for: neither is opened.
# openssl, where it is installed, is five times as fast as coreutils' own code. What it fails at,
# or a name with a newline, which would end its line, is left to sha256sum, whose words are known.
_FAST = (
    'fast() { [ "$(printf %s "$*" | wc -l)" -eq 0 ] || return 1; '
    'd=$(openssl dgst -sha256 -r "$@" 2>/dev/null) || return 1; '
    'printf "%s\\n" "$d" | tr "\\n" "\\0"; }; '
)
# One syncfs makes many files durable, where it is as good as fsync of each: on these file systems
# of a kernel that tells of failed writes (5.8). See docs/decisions/0011.
_TOGETHER = (
    "together() { case $(uname -r) in [0-4].*|5.[0-7].*|5.[0-7]-*) return 1;; esac; "
    "[ $# -ge 8 ] || return 1; "
    '[ "$(stat -c %d -- "$@" 2>/dev/null | sort -u | wc -l)" -eq 1 ] || return 1; '
    'for f do [ -f "$f" ] && break; done; '
    'case $(stat -f -c %T -- "$f" 2>/dev/null) in ext2/ext3|xfs|btrfs|zfs) ;; *) return 1;; esac; '
    'sync -f -- "$f" 2>/dev/null; }; '
)
_EACH = (
    f"{_TOGETHER}"
    f"{_FAST}"
    's=0; odd() { echo "sha256sum: $1: $2" >&2; s=1; }; '
    'for f do shift; if [ -h "$f" ]; then odd "$f" "Too many levels of symbolic links"; '
    'elif [ -f "$f" ] || [ -d "$f" ]; then set -- "$@" "$f"; '
    'elif [ -e "$f" ]; then odd "$f" "Invalid argument"; else set -- "$@" "$f"; fi; done; '
    '[ $# -gt 0 ] || exit $s; together "$@" || sync -- "$@"; '
    'for f do if [ -f "$f" ]; then dd if="$f" iflag=nocache count=0 2>/dev/null; fi; done; '
    'fast "$@" && exit $s; '
    '[ $s -gt 0 ] || exec sha256sum --zero -- "$@"; '
    'sha256sum --zero -- "$@"; [ $? -lt 126 ] || kill -s KILL $$; exit $s'
)
_RECORD = re.compile(rb"([0-9a-f]{64}) [ *](/.*)", re.DOTALL)
_FAILED = re.compile(r"(?:\S*/)?(?:sha256sum|vampd-remote): (?P<name>/.*|'.*'): (?P<why>[^:]+)")
_SYNC_FAILED = re.compile(r"(?:\S*/)?sync: error syncing (?P<name>/.*|'.*'): (?P<why>[^:]+)")

_SHOWN = 4000  #: characters of the program's last words in a message


def digest_command(place: Location, reach: Reach) -> list[str]:
    """Digest the files whose absolute names come on standard input, each ended by NUL."""
    remote = ["env", "LC_ALL=C", "xargs", "-0", "-r", "sh", "-c", _EACH, "sh"]
    return remote_command(
        place, reach, [reach.helper, "digest"] if reach.has_helper(place) else remote
    )


def parse_digests(finished: Finished, asked: Collection[str]) -> dict[str, FileDigest]:
    """One answer for each of the absolute names *asked*.

    OperatorError: the output holds anything else than digests of the files asked for,
    or is silent about one of them: then nothing of it is believed. (A login file that
    prints something, or a program that only pretends.) Other failures: see `failures.understood`.
    """
    if finished.code not in {0, SOME_FAILED}:
        check_done(finished, "sha256sum")
    answers = _complaints(_FAILED, finished.stderr_tail, asked)
    answers |= _digests(finished.stdout, asked)
    # Not on the disk, whatever the digest of its copy in memory.
    answers |= _complaints(_SYNC_FAILED, finished.stderr_tail, asked)
    silent = [name for name in asked if name not in answers]
    if silent:
        msg = (
            f"sha256sum exited {finished.code} and said nothing of {len(silent)} of "
            f"{len(asked)} files, {silent[0]} first:\n{last_lines(finished.stderr_tail, _SHOWN)}"
        ).rstrip()
        raise OperatorError(msg)
    return answers


def _digests(stdout: bytes, asked: Collection[str]) -> dict[str, FileDigest]:
    *records, rest = stdout.split(b"\0")
    answers: dict[str, FileDigest] = {}
    for record in [*records, rest] if rest else records:
        match = _RECORD.fullmatch(record)
        name = match[2].decode(errors="replace") if match else ""
        if match is None or name not in asked or name in answers or record is rest:
            msg = f"sha256sum printed something else than the digests asked for: {record[:200]!r}"
            raise OperatorError(msg)
        answers[name] = FileDigest(sha256=match[1].decode())
    return answers


def _complaints(
    pattern: re.Pattern[str], stderr: str, asked: Collection[str]
) -> dict[str, FileDigest]:
    """Files of *asked* that lines of *pattern* complain of; names may be quoted for a shell."""
    answers: dict[str, FileDigest] = {}
    for line in stderr.splitlines():
        match = pattern.fullmatch(line)
        if match is None:
            continue
        name = match["name"]
        if name not in asked and name.startswith("'"):
            name = "".join(shlex.split(name))
        if name in asked:
            answers[name] = FileDigest(sha256=None, why=match["why"])
    return answers
