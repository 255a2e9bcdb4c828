"""What is done where copies lie: commands for it, and what their answers mean.

`vampd-remote` does it where it is installed; else a login shell and coreutils do. Both are asked
the same questions, take names that end in NUL, and answer in the same words. A place on this
machine is asked without ssh.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec import Struct

from vampd.errors import OperatorError
from vampd.io.process import Finished
from vampd.remote import ssh
from vampd.remote.answers import ABSENT, EXISTS, FAILED, PUBLISHED, FarDisk
from vampd.remote.destination_marker import MARKER, marker_text
from vampd.remote.failures import check_done, understood
from vampd.remote.location import Location

#: Beside the nights' folders over there: what arrives, and what was set aside.
INCOMING = ".incoming"
EVIDENCE = ".evidence"
LEDGER_COPIES = ".ledger-copies"

#: xargs, and vampd-remote after it: some of the files failed.
SOME_FAILED = 123

_MARKED = re.compile(rb"vampd-destination ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\n")
_REFUSED = 77  # vampd-remote
_OLD_HELPER = "this key may not do"
_ANSWER = re.compile(rf"({PUBLISHED}|{EXISTS}|{ABSENT}|{FAILED}) (.+)", re.DOTALL)

# The scripts are one line without '!', for whatever shell the account has (csh).
_IS_FOLDER = (
    '[ -d "$1" ] || { if [ -e "$1" ]; then echo "$1: Not a directory"; '
    'else echo "$1: No such file or directory"; fi >&2; exit 1; }; '
)
_PLAIN = (
    'plain() { for x in "$@"; do if [ -h "$x" ]; then '
    'echo "$x is a symbolic link, and vampd follows none there" >&2; exit 1; fi; done; }; '
)
_PREPARE = (
    f'{_IS_FOLDER}{_PLAIN}i=$1/{INCOMING}; plain "$i" "$i/$2" "$1/$2" && mkdir -p -- "$i/$2" && '
    'find "$i/$2" -type l | { if read -r l; then plain "$l"; fi; }'
)
# `ln` makes the final name only if it is free. Where a file system has no hard links, `mv -n`
# does; its exit status is the same when it did nothing, so the names are looked at. Whoever moves
# files on may have taken the final name already: then the link is still counted.
_PUBLISH = (
    f"{_PLAIN}b=$1; n=$2; shift 2; d=; s=0; "
    f'plain "$b/{INCOMING}" "$b/{INCOMING}/$n" "$b/$n" "$b/{EVIDENCE}" "$b/{EVIDENCE}/$n"; '
    'gone() { if [ -e "$1" ] || [ -h "$1" ]; then return 1; fi; }; '
    'move() { gone "$2" || return 1; if ln -T -- "$1" "$2" 2>/dev/null; then '
    '{ [ "$1" -ef "$2" ] || [ -n "$(find "$1" -links +1)" ]; } && { rm -f -- "$1" || :; }; '
    'else mv -nT -- "$1" "$2" && [ -f "$2" ] && gone "$1"; fi; }; '
    "while [ $# -gt 1 ]; do "
    f"f=$b/{INCOMING}/$n/$1; t=$b/$n/$1; p=${{t%/*}}; w={FAILED}; "
    '[ "$p" = "$d" ] || { [ -z "$d" ] || sync -- "$d" || s=1; plain "$p" "${f%/*}"; '
    'mkdir -p -- "$p"; d=$p; }; '
    f'if [ -h "$f" ]; then w={ABSENT}; '
    f'elif [ -f "$f" ] && [ "$f" -ef "$t" ]; then rm -f -- "$f"; w={PUBLISHED}; '
    'elif [ -f "$f" ]; then '
    f'gone "$t" || [ -z "$2" ] || {{ e=$b/{EVIDENCE}/$n/$1.$2; plain "${{e%/*}}"; '
    'mkdir -p -- "${e%/*}"; '
    'gone "$e" && mv -nT -- "$t" "$e" && sync -- "${e%/*}"; }; '
    f'if gone "$t"; then move "$f" "$t" && w={PUBLISHED}; elif [ -z "$2" ]; then w={EXISTS}; fi; '
    f"else w={ABSENT}; fi; "
    # What an rsync that was killed left of it: its scratch file, .NAME and six letters.
    f'[ "$w" != {PUBLISHED} ] || rm -f -- "${{f%/*}}/.${{f##*/}}."??????; '
    'printf \'%s %s\\0\' "$w" "$1"; shift 2; done; '
    '[ -z "$d" ] || sync -- "$d" "$b/$n" "$b" || s=1; '
    f'find "$b/{INCOMING}/$n" -depth -type d -exec rmdir -- {{}} + 2>/dev/null; exit $s'
)
_EVIDENCE = (
    f'{_PLAIN}[ -d "$1/{EVIDENCE}/$2" ] || exit 0; plain "$1/{EVIDENCE}" "$1/{EVIDENCE}/$2"; '
    f"find \"$1/{EVIDENCE}/$2\" -type f -printf '%P\\0'"
)
# Names of copies of the ledger begin with the time, so that their order is that of age.
_THIN = (
    f'{_PLAIN}d=$1/{LEDGER_COPIES}; plain "$d"; [ -d "$d" ] || exit 0; cd -- "$d" || exit 1; '
    "ls -A | grep -Ex 'ledger-[0-9]{8}T[0-9]{6}Z-[0-9a-f]{64}[.]sqlite3[.]gz' | sort | "
    'head -n "-$2" | while read -r f; do rm -f -- "$f"; done; sync -- .'
)
# First whether anything is there at all: a mount point without its disk is empty.
_MARKER = (
    'if [ -z "$(ls -A -- "$1")" ] && [ "$(stat -c %d -- "$1")" = "$(stat -c %d -- "$1/..")" ]; '
    f'then echo bare; else echo used; fi; plain "$1/{MARKER}"; '
    f'if [ -f "$1/{MARKER}" ]; then head -c 512 -- "$1/{MARKER}"; fi; exit 0'
)
_READ_MARKER = f"{_IS_FOLDER}{_PLAIN}{_MARKER}"
_CLAIM = (
    f'{_IS_FOLDER}{_PLAIN}m=$1/{MARKER}; s=$m.$2; umask 022; printf "%s\\n" "$3" "$4" > "$s" && '
    'sync -- "$s" && { ln -T -- "$s" "$m" 2>/dev/null || mv -nT -- "$s" "$m"; }; '
    f'rm -f -- "$s"; sync -- "$1"; {_MARKER}'
)
# `find` does not follow a link that is named outright. A pattern that fits nothing stays itself.
_NUMBERS = (
    'for d in "$1"[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]"$2"; do '
    'v=$d/vgen2; { [ -d "$v" ] && [ "$(find "$v" -maxdepth 0 -type d)" ]; } || continue; '
    'n=${d#"$1"}; n=${n%"$2"}; printf \'%s\\0\' "$n"; '
    'find "$v" -maxdepth 1 -name \'VMPA*.fits*\' -printf "$n %f\\\\0"; done'
)
# A line each of what is wrong with a far folder.
_CHECK = (
    "for p in rsync sha256sum xargs dd sync ln mv find mkdir stat head; do "
    'command -v "$p" >/dev/null 2>&1 || echo "$p is not installed there"; done; '
    '[ -d "$1" ] || echo "$1 is no folder there"; '
    '[ -d "$1" ] && { [ -w "$1" ] || echo "$1 cannot be written by $(id -un)"; }; :'
)
_NUMBER = re.compile(r"([0-9]{8})(?: VMPA([0-9]{8})\.|$)")
_PAIRS_AT_ONCE = 200


class Reach(Struct, frozen=True, kw_only=True):
    """How a far machine is reached, and what is installed there."""

    ssh_options: tuple[str, ...] = ()  #: words for ssh, e.g. ("-i", "/etc/vampd/key")
    connect_timeout_seconds: int = 20
    helper: str = ""  #: how `vampd-remote` is called there; "": coreutils do its work

    def has_helper(self, place: Location) -> bool:
        """Whether `vampd-remote` is to be asked about *place*; never about one of this machine."""
        return bool(self.helper) and place.host is not None


def incoming(base: Location, night: str) -> Location:
    """Where files of *night* (YYYYMMDD) arrive, on the file system of *base*."""
    return base.child(f"{INCOMING}/{night}")


def prepare_command(base: Location, night: str, reach: Reach) -> list[str]:
    """Make the folder to receive in; *base* itself must exist."""
    return _command(base, reach, "prepare", ["sh", "-c", _PREPARE, "sh"], [base.path, night])


def publish_command(base: Location, night: str, reach: Reach) -> list[str]:
    """Give files that arrived their final names; see `publish_list` and `parse_published`.

    They are durable already: whoever was asked for their digests saw to that. A final name is
    never replaced. The file that has it is moved to .evidence/ first, where
    nothing is replaced either, if the list has a tag for it.
    """
    xargs = ["xargs", "-0", "-r", "-x", "-n", str(2 * _PAIRS_AT_ONCE), "sh", "-c", _PUBLISH, "sh"]
    return _command(base, reach, "publish", xargs, [base.path, night])


def read_command(file: Location, size_bytes: int, reach: Reach) -> list[str]:
    """Print the first *size_bytes* of a *file*, without its helper."""
    script = ["env", "LC_ALL=C", "head", "-c", str(size_bytes), "--", file.path]
    return remote_command(file, reach, script)


def publish_list(tags: Mapping[str, str]) -> bytes:
    """The standard input for `publish_command`: each path, and its tag or ""."""
    return b"".join(f"{path}\0{tag}\0".encode() for path, tag in tags.items())


def evidence_command(base: Location, night: str, reach: Reach) -> list[str]:
    """List the names of what was set aside, relative to .evidence/YYYYMMDD."""
    return _command(base, reach, "evidence", ["sh", "-c", _EVIDENCE, "sh"], [base.path, night])


def thin_command(base: Location, keep: int, reach: Reach) -> list[str]:
    """Remove all copies of the ledger there but the newest *keep*."""
    return _command(base, reach, "thin", ["sh", "-c", _THIN, "sh"], [base.path, str(keep)])


def numbers_command(before: Location, after: str, reach: Reach) -> list[str]:
    """List the nights in folders *before*, their date, *after*, and the frame IDs of their cubes.

    See `parse_numbers`. Where there is no such folder, there is no night.
    """
    return _command(before, reach, "numbers", ["sh", "-c", _NUMBERS, "sh"], [before.path, after])


def marker_command(base: Location, reach: Reach) -> list[str]:
    """Tell by which marker the disk of *base* is known; see `parse_marker`."""
    return _command(base, reach, "marker", ["sh", "-c", _READ_MARKER, "sh"], [base.path])


def claim_command(base: Location, identifier: str, reach: Reach) -> list[str]:
    """Give the disk of *base* the marker *identifier*, unless it has one; then `marker_command`."""
    if reach.has_helper(base):
        return remote_command(base, reach, [reach.helper, "claim", base.path, identifier])
    lines = marker_text(identifier).splitlines()
    script = ["env", "LC_ALL=C", "sh", "-c", _CLAIM, "sh"]
    return remote_command(base, reach, [*script, base.path, identifier, *lines])


def parse_marker(finished: Finished, base: Location) -> FarDisk:
    """What `marker_command` and `claim_command` said. OperatorError: nothing that can be used."""
    check_known(finished, base)
    check_done(finished, f"looking for the marker of {base}")
    first, _, rest = finished.stdout.partition(b"\n")
    match = _MARKED.match(rest)
    if first not in {b"bare", b"used"} or (rest and match is None):
        msg = f"{base}/{MARKER} is not a marker of vampd; look at it, then move it away"
        raise OperatorError(msg)
    return FarDisk(is_bare=first == b"bare", marker=match[1].decode() if match else None)


def check_known(finished: Finished, base: Location) -> None:
    """OperatorError: the helper at *base* knows no such verb."""
    if finished.code == _REFUSED and _OLD_HELPER in finished.stderr_tail:
        msg = f"{base}: the vampd-remote there is older than this vampd; copy the new one there"
        raise OperatorError(msg)


def check_command(base: Location, reach: Reach) -> list[str]:
    """Say what would keep *base* from receiving, a line each."""
    return _command(base, reach, "check", ["sh", "-c", _CHECK, "sh"], [base.path])


def _command(
    base: Location, reach: Reach, verb: str, script: Sequence[str], arguments: Sequence[str]
) -> list[str]:
    words = ["env", "LC_ALL=C", *script, *arguments]
    if reach.has_helper(base):
        words = [reach.helper, verb, *arguments]
    return remote_command(base, reach, words)


def remote_command(place: Location, reach: Reach, remote: Sequence[str]) -> list[str]:
    """Run the words *remote* where *place* is."""
    return ssh.ssh_command(
        place,
        remote,
        options=reach.ssh_options,
        connect_timeout_seconds=reach.connect_timeout_seconds,
    )


def parse_published(finished: Finished, asked: Collection[str]) -> dict[str, str]:
    """The answer for each of the paths *asked*: published, exists or absent.

    An answer proves nothing; only a digest recomputed there does. OperatorError: the output is
    not one that can be believed, or something failed that will fail again. RetryableError: it
    may do better the next time.
    """
    answers: dict[str, str] = {}
    for name in _names(finished.stdout, "publish"):
        match = _ANSWER.fullmatch(name)
        if match is None or match[2] not in asked or match[2] in answers:
            msg = f"publish printed something else than was asked for: {name[:200]!r}"
            raise OperatorError(msg)
        answers[match[2]] = match[1]
    check_done(finished, "publish")
    silent = [path for path in asked if answers.get(path, FAILED) == FAILED]
    if silent:
        what = f"publish exited 0, and did not do {len(silent)} of {len(asked)}, {silent[0]} first"
        raise understood("publish", 1, finished.stderr_tail).told(what, finished.stderr_tail)
    return answers


def parse_evidence(finished: Finished) -> list[str]:
    """The names that `evidence_command` printed, in order."""
    check_done(finished, "listing the evidence")
    return sorted(_names(finished.stdout, "the list of evidence"))


def parse_numbers(finished: Finished) -> dict[str, list[int]]:
    """By date of a night that was delivered: the numbers of its cubes, which may be none."""
    check_done(finished, "listing the nights")
    nights: dict[str, list[int]] = {}
    for word in _names(finished.stdout, "the list of nights"):
        match = _NUMBER.match(word)
        if match is None:
            continue  # a file with another name, or a folder that is no date
        numbers = nights.setdefault(match[1], [])
        if match[2] is not None and int(match[2]):
            numbers.append(int(match[2]))
    return nights


def _names(stdout: bytes, what: str) -> Iterable[str]:
    *names, rest = stdout.split(b"\0")
    if rest:
        msg = f"{what} broke off: {rest[:200]!r}"
        raise OperatorError(msg)
    return [name.decode(errors="replace") for name in names]
