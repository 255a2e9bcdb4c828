#!/usr/bin/env python3
"""The far side of vampd, for an ssh key that may do nothing else.

Copy this one file to the other machine (Python 3.6 or newer; nothing else is needed but rsync),
make it executable, and name it in the account's authorized_keys:

    command="/usr/local/bin/vampd-remote /mnt/tier1",restrict ssh-ed25519 AAAA...

The first folder is the one below which it receives, digests and publishes; further ones, where
somebody moves the files on to, are only read. What the client asks for comes in
SSH_ORIGINAL_COMMAND, and is one of these, or is refused:

    rsync --server ... . BASE/.incoming/YYYYMMDD/   receive, never under a final name; also into
                                                    a folder below that one
    vampd-remote prepare BASE YYYYMMDD              make the folder to receive in
    vampd-remote digest                             SHA-256 of the absolute names on standard input
    vampd-remote publish BASE YYYYMMDD              give what arrived its final name
    vampd-remote evidence BASE YYYYMMDD             list what was set aside
    vampd-remote thin BASE KEEP                     remove old copies of the ledger, but for so many
    vampd-remote numbers BEFORE AFTER               list nights, BEFOREYYYYMMDDAFTER, and frame IDs
    vampd-remote marker BASE                        say by which marker this disk is known
    vampd-remote claim BASE UUID                    give it that one, if it has none
    vampd-remote check BASE                         say what is missing here
    vampd-remote version

Names on standard input and output end in NUL. No path may leave the folders, and none is reached
through a symbolic link. A file is never replaced: `publish` links it to its final name, which
must be free, or be freed: a file that was published here, and stands in .published, gets a name
under .evidence, where nothing is replaced either. Nobody else's file is ever moved.

Exit status: 0 done; 77 refused; 123 some of the files failed, standard error says which; 1 else.
"""

import ctypes
import errno
import hashlib
import os
import re
import shlex
import shutil
import stat
import sys
from typing import (
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    NoReturn,
    Optional,
    Sequence,
    Tuple,
)

VERSION = "3"

INCOMING = ".incoming"
EVIDENCE = ".evidence"
LEDGER_COPIES = ".ledger-copies"  # received and published as a night is
PUBLISHED = ".published"  # which files those are that were published: see _Record
MARKER = ".vampd-destination"
PARTIAL = ".vampd-partial"

_REFUSED = 77
_SOME_FAILED = 123

_MOST_INPUT_BYTES = 64 << 20
_MOST_RECORD_BYTES = 64 << 20
_MOST_MARKER_BYTES = 512
_MOST_NAMES = 32  # from a folder down to a file
_READ_BYTES = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_RECORD = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_NIGHT = re.compile(r"[0-9]{8}")
_LEDGER_COPY = re.compile(r"ledger-[0-9]{8}T[0-9]{6}Z-[0-9a-f]{64}\.sqlite3\.gz")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,99}")
_FRAME_ID = re.compile(r"VMPA[0-9]{8}\.fits")
_SCRATCH = re.compile(r"\.(.+)\.[A-Za-z0-9]{6}")  # rsync's own, while a file arrives
_DIGEST_TAG = re.compile(r"sha256-([0-9a-f]{64})(?:\.[0-9]+)?$")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PRINTABLE = re.compile(r"[\x20-\x7e]+")

# What `rsync --server` is given by a client that sends plain files: no option that deletes,
# follows or makes links, reads other folders, writes logs, or hides its words (-s) is among them.
# Names that are absolute or lead upwards rsync refuses by itself, with -R too.
# After the 'e' stands what the client's protocol can do; the server reads nothing else from it.
_FLAGS = re.compile(r"-[OtcRvi]*e[0-9]*\.[0-9.]*[A-Za-z]*")
_OPTIONS = re.compile(
    r"--timeout=[0-9]{1,6}|--bwlimit=[0-9]{1,9}|--log-format=(?:X|%i)|--no-implied-dirs"
    r"|--partial-dir=" + re.escape(PARTIAL)
)

_AT_RENAME_NOREPLACE = 1
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL})


class RefusedError(Exception):
    """The client asked for something that this key may not do."""


def refuse(why: str) -> NoReturn:
    """Do nothing of what was asked, and say *why*."""
    raise RefusedError(why)


def split_below(root: str, path: str) -> List[str]:
    """The names that lead from *root* to the absolute *path*, which lies below it or is it."""
    if not path.startswith("/") or not _PRINTABLE.fullmatch(path):
        refuse(f"{path!r} is not an absolute path of printable ASCII")
    names = [name for name in path.split("/") if name not in {"", "."}]
    above = [name for name in root.split("/") if name not in {"", "."}]
    if ".." in names or names[: len(above)] != above:
        refuse(f"{path!r} does not lie below {root}")
    below = names[len(above) :]
    if len(below) > _MOST_NAMES:
        refuse(f"{path[:200]!r} has more than {_MOST_NAMES} names")
    return below


def split_relative(path: str) -> List[str]:
    """The names in *path*, which is relative to a night."""
    names = path.split("/")
    odd = not _PRINTABLE.fullmatch(path) or any(name in {"", ".", ".."} for name in names)
    if odd or len(names) > _MOST_NAMES:
        refuse(f"{path[:200]!r} is not a path inside a night")
    return names


class Tree:
    """The folder *root*, below which folders are reached name by name and no link is followed."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._open: Dict[Tuple[str, ...], int] = {}

    def folder(self, names: Sequence[str], *, make: bool = False) -> int:
        """A descriptor of the folder that *names* lead to; with *make*, it is made, durably."""
        names = tuple(names)
        if names in self._open:
            return self._open[names]
        if not names:
            descriptor = os.open(self.root, _FOLDER & ~os.O_NOFOLLOW)
        else:
            parent = self.folder(names[:-1], make=make)
            try:
                descriptor = self._step(parent, names[-1], make=make)
            except OSError as error:
                error.filename = "/".join([self.root.rstrip("/"), *names])  # whole, for people
                raise
        self._open[names] = descriptor
        return descriptor

    def _step(self, parent: int, name: str, *, make: bool) -> int:
        try:
            return os.open(name, _FOLDER, dir_fd=parent)
        except FileNotFoundError:
            if not make:
                raise
        except OSError as error:
            if error.errno == errno.ENOTDIR and _is_link(name, parent):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name) from None
            raise
        try:
            os.mkdir(name, dir_fd=parent)
            os.fsync(parent)
        except FileExistsError:
            pass
        return os.open(name, _FOLDER, dir_fd=parent)

    def close(self) -> None:
        """Let go of every folder that was reached."""
        while self._open:
            os.close(self._open.popitem()[1])

    def below(self, names: Sequence[str]) -> Iterator[Tuple[Tuple[str, ...], List[str]]]:
        """Every folder from *names* down, the deepest first, and what else lies in each.

        Folders are given by their names, with those of their files; links are not among them.
        """
        names = tuple(names)
        files: List[str] = []
        for name in sorted(os.listdir(self.folder(names))):
            mode = os.stat(name, dir_fd=self.folder(names), follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode) and len(names) < 2 * _MOST_NAMES:
                yield from self.below((*names, name))
            elif stat.S_ISREG(mode):
                files.append(name)
        yield names, files

    def sync(self) -> None:
        """Make the names in every folder that was reached durable."""
        for descriptor in self._open.values():
            os.fsync(descriptor)


def _is_link(name: str, folder: int) -> bool:
    return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)


def base_names(root: str, base: str, night: str) -> List[str]:
    """The names from *root* to the folder *base*, in which the folder of *night* lies."""
    names = split_below(root, base)
    own = {INCOMING, EVIDENCE, PUBLISHED, LEDGER_COPIES}
    if any(name in own or _NIGHT.fullmatch(name) for name in names):
        refuse(f"{base!r} is no destination")
    if night != LEDGER_COPIES and not _NIGHT.fullmatch(night):
        refuse(f"{night!r} is not a night's date, YYYYMMDD")
    return names


def prepare(root: str, base: str, night: str) -> int:
    """Make the folder in which *night* is received; *base* itself must exist."""
    tree = Tree(root)
    names = base_names(root, base, night)
    tree.folder(names)
    tree.folder([*names, INCOMING, night], make=True)
    return 0


def receive_command(words: Sequence[str], root: str) -> Tuple[List[str], List[str]]:
    """The names of the folder to receive in, and the words of the rsync to be run inside it."""
    if words[1:2] != ["--server"] or len(words) < 5:
        refuse("rsync may only receive here, as a server")
    flags, options, (dot, destination) = words[2], list(words[3:-2]), words[-2:]
    if "--partial-dir" in options:
        at = options.index("--partial-dir")
        options[at : at + 2] = ["=".join(options[at : at + 2])]
    bad = [word for word in options if not _OPTIONS.fullmatch(word)]
    if not _FLAGS.fullmatch(flags) or bad or dot != ".":
        refuse(f"rsync may not be given {' '.join(bad) or flags!r} here")
    names = split_below(root, destination)
    if INCOMING not in names[:-1]:
        refuse(f"rsync may only receive into .incoming/YYYYMMDD, not {destination}")
    at = names.index(INCOMING)
    base_names(root, "/".join(["", *root.split("/"), *names[:at]]), names[at + 1])
    return names, ["rsync", "--server", flags, *options, ".", "."]


def receive(words: Sequence[str], root: str, environ: Mapping[str, str]) -> NoReturn:
    """Become the rsync that receives; it stands in its folder, and knows no other."""
    names, command = receive_command(words, root)
    tree = Tree(root)
    tree.folder(names[: names.index(INCOMING)])
    os.fchdir(tree.folder(names, make=True))
    for where, below, files in os.walk("."):
        for name in below + files:
            if os.path.islink(os.path.join(where, name)):
                refuse(f"{name} in {'/'.join(names)} is a symbolic link")
    path = environ.get("PATH") or os.defpath
    os.execvpe("rsync", command, {"PATH": path, "LC_ALL": "C"})  # noqa: S606


def digest_file(folder: int, name: str) -> str:
    """SHA-256 of what the disk holds of a regular file; OSError: it cannot be had."""
    descriptor = os.open(name, _FILE, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            number = errno.EISDIR if stat.S_ISDIR(os.fstat(descriptor).st_mode) else errno.EINVAL
            raise OSError(number, os.strerror(number))
        os.fsync(descriptor)
        # The copy in memory is let go of, so that the disk itself is asked.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        digest = hashlib.sha256()
        while True:
            chunk = os.read(descriptor, _READ_BYTES)
            if not chunk:
                break
            digest.update(chunk)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        return digest.hexdigest()
    finally:
        os.close(descriptor)


def digest(roots: Sequence[str], paths: Sequence[str]) -> int:
    """Print the digest of each path, as `sha256sum --zero` does."""
    trees = [Tree(root) for root in roots]
    failed = False
    for path in paths:
        tree, names = _find(trees, path)
        try:
            found = digest_file(tree.folder(names[:-1]), names[-1])
        except OSError as error:
            failed = True
            _complain(f"{path}: {error.strerror}")
            continue
        _say(f"{found}  {path}")
    return _SOME_FAILED if failed else 0


def _find(trees: Sequence[Tree], path: str) -> Tuple[Tree, List[str]]:
    for tree in trees:
        try:
            names = split_below(tree.root, path)
        except RefusedError:
            continue
        if names:
            return tree, names
    refuse(f"{path!r} does not lie below {' or '.join(tree.root for tree in trees)}")


class _Record:
    """Which files those are that were published for a night: a line a file, INODE PATH.

    By it a copy of ours that rotted, or is an older version, is told from a file that somebody
    else gave our name: that one is never moved.
    """

    def __init__(self, tree: Tree, base: Sequence[str], night: str) -> None:
        folder = tree.folder([*base, PUBLISHED], make=True)
        self._descriptor = os.open(night, _RECORD, 0o644, dir_fd=folder)
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_RECORD_BYTES:
            os.close(self._descriptor)
            raise OSError(errno.EINVAL, "not a record of what was published", night)
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            content = file.read()
        self._lines = set(content.decode("ascii", "replace").splitlines())
        self._is_torn = content[-1:] not in {b"", b"\n"}  # by a full disk, or a power cut

    def add(self, files: Mapping[str, os.stat_result]) -> None:
        """Note *files*, by their paths, durably, before they get their names."""
        lines = [f"{status.st_ino} {path}" for path, status in files.items()]
        rest = "".join(f"{line}\n" for line in lines).encode("ascii")
        if self._is_torn and rest:
            rest = b"\n" + rest
        _write_all(self._descriptor, rest)
        os.fsync(self._descriptor)
        self._lines.update(lines)

    def knows(self, path: str, there: os.stat_result) -> bool:
        """Whether what lies *there*, under the night's *path*, was published here."""
        return stat.S_ISREG(there.st_mode) and f"{there.st_ino} {path}" in self._lines

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


def publish(root: str, base: str, night: str, words: Sequence[str]) -> int:
    """Give each file that arrived its final name; *words* are path, tag, path, tag, ...

    Prints for each path `published`, `exists` (another file has that name: nothing was done),
    `absent` (it did not arrive) or `failed`, once all of them are durable. With a tag that is not
    empty, a file that has the name and was published here is moved to .evidence/YYYYMMDD/PATH.TAG
    first; where the tag tells a digest, only if it has that one.
    """
    names = base_names(root, base, night)
    if len(words) % 2:
        refuse("publish wants a path and a tag, in turn")
    pairs = list(zip(words[::2], words[1::2]))
    for path, tag in pairs:
        split_relative(path)
        if tag and not _TAG.fullmatch(tag):
            refuse(f"{tag!r} is not a tag")
    tree = Tree(root)
    tree.folder(names)
    publication = _Publication(tree, names, night, [path for path, _ in pairs])
    try:
        answers = [(publication.caught(path, tag), path) for path, tag in pairs]
    finally:
        publication.record.close()
    tree.sync()
    for word, path in answers:
        _say(f"{word} {path}")
    _tidy(tree, publication.incoming, [path for word, path in answers if word == "published"])
    return _SOME_FAILED if any(word == "failed" for word, _ in answers) else 0


class _Publication:
    """Files of one night that get their final names; all of them are on record before."""

    def __init__(self, tree: Tree, base: List[str], night: str, paths: Sequence[str]) -> None:
        self._tree = tree
        self._base = base
        self._night = night
        self.incoming = [*base, INCOMING, night]
        found = {path: self._arrived(path) for path in paths}
        self._files = {path: status for path, status in found.items() if status is not None}
        self.record = _Record(tree, base, night)
        self.record.add(self._files)

    def caught(self, path: str, tag: str) -> str:
        """The word for one file."""
        if path not in self._files:
            return "absent"
        try:
            return self._one(path, tag)
        except OSError as error:
            _complain(f"{path}: {error.strerror}")
            return "failed"

    def _one(self, path: str, tag: str) -> str:
        *folders, name = split_relative(path)
        incoming = self._tree.folder([*self.incoming, *folders])
        final = self._tree.folder([*self._base, self._night, *folders], make=True)
        there = _stat(name, final)
        if there is not None and os.path.samestat(there, self._files[path]):
            os.unlink(name, dir_fd=incoming)  # an earlier call was cut between its two steps
            return "published"
        if there is not None and tag:
            if not (self.record.knows(path, there) and _is_told(tag, name, final)):
                return "exists"
            aside = self._tree.folder([*self._base, EVIDENCE, self._night, *folders], make=True)
            move_without_replacing(name, final, f"{name}.{tag}", aside)
        try:
            move_without_replacing(name, incoming, name, final)
        except FileExistsError:
            return "exists"
        return "published"

    def _arrived(self, path: str) -> Optional[os.stat_result]:
        """What is known of the regular file *path* that arrived, which is durable then."""
        *folders, name = split_relative(path)
        try:
            folder = self._tree.folder([*self.incoming, *folders])
            descriptor = os.open(name, _FILE, dir_fd=folder)
        except OSError as error:
            if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
                _complain(f"{path}: {error.strerror}")
            return None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return None
            os.fsync(descriptor)
            return status
        finally:
            os.close(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    """Write all of it: a disk that gets full may take less at once, and says so the next time."""
    while content:
        content = content[os.write(descriptor, content) :]


def _is_told(tag: str, name: str, folder: int) -> bool:
    """Whether the file has the digest that *tag* tells, if it tells one."""
    match = _DIGEST_TAG.match(tag)
    return match is None or digest_file(folder, name) == match.group(1)


def move_without_replacing(old: str, old_folder: int, new: str, new_folder: int) -> None:
    """Move a file to a name that must be free; FileExistsError where it is not."""
    try:
        os.link(old, new, src_dir_fd=old_folder, dst_dir_fd=new_folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    else:
        os.unlink(old, dir_fd=old_folder)
        return
    # A file system without hard links, or another's file, which may be moved but not linked.
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        raise OSError(errno.EOPNOTSUPP, "neither hard links nor renameat2 work here")
    before, after = os.fsencode(old), os.fsencode(new)
    if libc.renameat2(old_folder, before, new_folder, after, _AT_RENAME_NOREPLACE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), new)


def _stat(name: str, folder: int) -> Optional[os.stat_result]:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _tidy(tree: Tree, names: Sequence[str], published: Sequence[str]) -> None:
    """Remove the empty folders of a night that has arrived; those with files in them stay.

    What an rsync that was killed left of a file that is *published* now goes: its scratch file.
    """
    try:
        folders = list(tree.below(names))
    except OSError:
        return
    whole = {tuple(names) + tuple(split_relative(path)) for path in published}
    for folder, files in folders:
        try:
            for name in files:
                match = _SCRATCH.fullmatch(name)
                if match is not None and (*folder, match.group(1)) in whole:
                    os.unlink(name, dir_fd=tree.folder(folder))
            os.rmdir(folder[-1], dir_fd=tree.folder(folder[:-1]))
        except OSError:
            continue


def evidence(root: str, base: str, night: str) -> int:
    """Print the names, below .evidence/YYYYMMDD, of what was set aside."""
    top = [*base_names(root, base, night), EVIDENCE, night]
    tree = Tree(root)
    tree.folder(top[:-2])
    try:
        found = list(tree.below(top))
    except FileNotFoundError:
        return 0
    for folder, files in found:
        for name in files:
            _say("/".join([*folder[len(top) :], name]))
    return 0


def thin(root: str, base: str, keep: str) -> int:
    """Remove the copies of the ledger at BASE, all but the newest *keep*, two at least."""
    if not re.fullmatch("[0-9]{1,4}", keep) or int(keep) < 2:
        refuse(f"{keep!r} copies of the ledger are too few to keep, or no number")
    tree = Tree(root)
    try:
        folder = tree.folder([*_destination(root, base), LEDGER_COPIES])
    except FileNotFoundError:
        return 0
    for name in sorted(filter(_LEDGER_COPY.fullmatch, os.listdir(folder)))[: -int(keep)]:
        os.unlink(name, dir_fd=folder)
    os.fsync(folder)
    return 0


def numbers(roots: Sequence[str], before: str, after: str) -> int:
    """Print each night that was delivered to a folder BEFORE, its date, AFTER; and its frame IDs.

    A word for the night, YYYYMMDD, and one for each cube: `YYYYMMDD VMPAnnnnnnnn.fits.fz`.
    """
    tree, names = _find([Tree(root) for root in roots], f"{before}00000000{after}")
    depth = after.count("/") + 1
    if len(names) < depth:  # names that are no names, as in /./.
        refuse(f"{after!r} is not what follows a night's date")
    above, below = names[:-depth], names[-depth + 1 :] if depth > 1 else []
    night = re.compile(re.escape(names[-depth]).replace("00000000", "([0-9]{8})"))
    try:
        found = sorted(os.listdir(tree.folder(above)))
    except (FileNotFoundError, NotADirectoryError):
        found = []
    for name in found:
        match = night.fullmatch(name)
        if match:
            _say_numbers(Tree(tree.root), [*above, name, *below, "vgen2"], match.group(1))
    return 0


def _say_numbers(tree: Tree, names: Sequence[str], night: str) -> None:
    try:
        cubes = [name for name in os.listdir(tree.folder(names)) if _FRAME_ID.match(name)]
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
            return
        raise
    finally:
        tree.close()
    _say(night)
    for name in sorted(cubes):
        _say(f"{night} {name}")


def marker(root: str, base: str) -> int:
    """Print `bare` (empty, and no mount point) or `used`, then what is in the disk's marker."""
    folder = Tree(root).folder(_destination(root, base))
    is_mount = os.fstat(folder).st_dev != os.stat("..", dir_fd=folder).st_dev
    print("used" if is_mount or os.listdir(folder) else "bare")
    sys.stdout.flush()
    try:
        descriptor = os.open(MARKER, _FILE, dir_fd=folder)
    except FileNotFoundError:
        return 0
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", MARKER)
        os.write(1, os.read(descriptor, _MOST_MARKER_BYTES))
    finally:
        os.close(descriptor)
    return 0


def claim(root: str, base: str, identifier: str) -> int:
    """Give the disk of *base* the marker *identifier*, unless it has one; then as `marker`."""
    if not _UUID.fullmatch(identifier):
        refuse(f"{identifier!r} is not a UUID")
    folder = Tree(root).folder(_destination(root, base))
    scratch = f"{MARKER}.{identifier}"
    descriptor = os.open(scratch, _NEW, 0o644, dir_fd=folder)
    try:
        _write_all(descriptor, marker_text(identifier).encode("ascii"))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        move_without_replacing(scratch, folder, MARKER, folder)
    except FileExistsError:
        os.unlink(scratch, dir_fd=folder)
    os.fsync(folder)
    return marker(root, base)


def marker_text(identifier: str) -> str:
    """What is in a marker."""
    return (
        f"vampd-destination {identifier}\n"
        "# vampd knows this disk by the line above; do not copy, change or delete it.\n"
    )


def _destination(root: str, base: str) -> List[str]:
    """The names from *root* to *base*, which is to be marked."""
    names = split_below(root, base)
    if {INCOMING, EVIDENCE, PUBLISHED, LEDGER_COPIES} & set(names):
        refuse(f"{base!r} is no destination")
    return names


def check(root: str, base: str) -> int:
    """Say, a line each, what would keep this side from receiving below *base*."""
    names = split_below(root, base)
    path = os.environ.get("PATH") or os.defpath
    if shutil.which("rsync", path=path) is None:
        print("rsync is not installed there")
    try:
        folder = Tree(root).folder(names)
    except OSError as error:
        print(f"{base} is no folder there: {error.strerror}")
        return 0
    if not os.access(".", os.W_OK | os.X_OK, dir_fd=folder):
        print(f"{base} cannot be written by uid {os.geteuid()}")
    return 0


def _input() -> List[str]:
    """The words on standard input, each ended by NUL."""
    content = sys.stdin.buffer.read(_MOST_INPUT_BYTES + 1)
    if len(content) > _MOST_INPUT_BYTES:
        refuse(f"more than {_MOST_INPUT_BYTES} bytes of names")
    words = content.split(b"\0")
    if words.pop() != b"":
        refuse("the last name has no end: the list broke off")
    return [word.decode("ascii", "replace") for word in words]


def _say(text: str) -> None:
    sys.stdout.buffer.write(text.encode("ascii", "replace") + b"\0")
    sys.stdout.buffer.flush()


def _complain(text: str) -> None:
    sys.stderr.write(f"vampd-remote: {text}\n")
    sys.stderr.flush()


def carry_out(words: Sequence[str], roots: Sequence[str], environ: Mapping[str, str]) -> int:
    """Do what the client asked for; return the exit status."""
    root = roots[0]
    if words[:1] == ["rsync"]:
        return receive(words, root, environ)
    if not words or os.path.basename(words[0]) != "vampd-remote":
        refuse(f"this key may not run {words[:1]}")
    verb, rest = " ".join(words[1:2]), words[2:]
    if (verb, len(rest)) == ("version", 0):
        print(f"vampd-remote {VERSION}")
        return 0
    if (verb, len(rest)) == ("digest", 0):
        return digest(roots, _input())
    if (verb, len(rest)) == ("numbers", 2):
        return numbers(roots, rest[0], rest[1])
    if (verb, len(rest)) == ("publish", 2):
        return publish(root, rest[0], rest[1], _input())
    does = _VERBS.get((verb, len(rest)))
    if does is None:
        refuse(f"this key may not do {' '.join(words[1:])!r}")
    return does(root, *rest)


_VERBS: Dict[Tuple[str, int], Callable[..., int]] = {
    ("prepare", 2): prepare,
    ("evidence", 2): evidence,
    ("thin", 2): thin,
    ("marker", 1): marker,
    ("claim", 2): claim,
    ("check", 1): check,
}


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Carry out the one command that ssh passes on."""
    roots = [os.path.normpath(root) for root in argv[1:]]
    asked = environ.get("SSH_ORIGINAL_COMMAND")
    try:
        if not roots or any(not root.startswith("/") for root in roots):
            refuse('name its folders: command="/usr/local/bin/vampd-remote /mnt/tier1",restrict')
        if asked is None:
            refuse("it works as the forced command of an ssh key only (authorized_keys)")
        try:
            words = shlex.split(asked)
        except ValueError as error:
            refuse(f"the command cannot be read: {error}")
        return carry_out(words, roots, environ)
    except RefusedError as error:
        _complain(f"refused: {error}")
        return _REFUSED
    except OSError as error:
        _complain(f"{error.filename or 'it failed'}: {error.strerror}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv, os.environ))
