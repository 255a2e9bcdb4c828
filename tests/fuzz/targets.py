"""What reads bytes of others: each takes any bytes, and answers, or refuses in its own words.

A target raises what is a finding: an error that is no refusal of vampd's, or an answer that cannot
be. What takes longer than `SECONDS` is one, too; whoever runs a target looks at the clock. It
returns which of its readers took the bytes: good ones must be taken by each, see `READERS`.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from unittest.mock import patch

from tests.fuzz.seeds import FILE, rebuildable
from vampd.errors import InputError, VampdError
from vampd.io import number_papers
from vampd.io.beneath import Beneath
from vampd.io.header import read_header
from vampd.ledger import dumps
from vampd.orders.requests import understand
from vampd.remote import vampd_remote
from vampd.science.cards import parse_card, value_text
from vampd.science.timing import output_timing, parse_timing
from vampd.settings.load import examine
from vampd.stages import frame_id_papers
from vampd.stages.rebuild import Rebuilder
from vampd.stages.sidecar_index import Sidecar

SECONDS = 5.0

_SOME_FAILED = 123


def header(content: bytes) -> set[str]:
    """The header of a raw cube, and the values of all its cards."""
    with _file(content) as descriptor, suppress(InputError):
        found = read_header(descriptor, path="vcam1/a.fits")
        assert found.frame_bytes * found.frames <= found.expected_size_bytes < 1 << 43
        for card in found.cards:
            parse_card(card)
            value_text(card)
        return {"header"}
    return set()


def timing(content: bytes) -> set[str]:
    """A raw timing file; of its good rows an output's is made, which says the same."""
    found = parse_timing(content)
    good = [row for row in range(len(found.rows)) if row not in found.rejected]
    assert len(found.acquired_us) == len(found.rows)
    times = found.acquired_us[good]
    assert (times[1:] > times[:-1]).all()
    if good:
        made = output_timing([found.rows[row] for row in good], times, found.comments)
        again = parse_timing(made)
        assert again.acquired_us.tolist() == times.tolist(), (content, made)
    return {"timing"} if good else set()


def settings(content: bytes) -> set[str]:
    """A settings file: it is taken, or every problem of it is told."""
    with _file(content) as descriptor:
        config, problems = examine(Path(f"/proc/self/fd/{descriptor}"))
    assert config is not None or problems
    return set() if problems else {"settings"}


def control(content: bytes) -> set[str]:
    """A line on the control socket."""
    with suppress(VampdError):
        understand(content)
        return {"order"}
    return set()


def sidecar(content: bytes) -> set[str]:
    """The sidecar of a night: *content* is the whole file, or the lines of its index."""
    good, took = rebuildable(), set[str]()
    with _night() as night:
        (night / good.output).path.parent.mkdir()
        (night / good.output).path.write_bytes(good.cube)
        for name, whole in (("whole", content), ("index", good.with_index(content))):
            place = night / f"{name}.tar"
            place.path.write_bytes(whole)
            with suppress(VampdError, OSError):
                took |= {f"{name}: {stored}" for stored in _rebuilt(night, place)}
    return took


def _rebuilt(night: Beneath, place: Beneath) -> set[str]:
    """How the raw files are stored that come out as they were."""
    took = set[str]()
    with closing(Sidecar(place)) as found, Rebuilder(night, found) as rebuilder:
        for path in found.paths:
            with suppress(VampdError, OSError):
                entry = found.entry(path)
                rebuilder.check(entry)
                took.add(entry.stored)
    return took


def papers(content: bytes) -> set[str]:
    """The papers beside a night: what was written of frame IDs, the rows of a ledger, the mark."""
    took = set[str]()
    with _night() as night:
        own = night.path / ".vampd"
        own.mkdir()
        (night.path.parent / number_papers.MARK).write_bytes(content)
        for name, text in (("paper", content), ("its lines", b"".join(_sealed(content)))):
            (own / "frame_ids.jsonl").write_bytes(text)
            with suppress(VampdError, OSError):
                told = frame_id_papers.read(night)
                took |= {name} if told.bound and told.questions else set()
        with suppress(VampdError, OSError):
            number_papers.read_mark(night.path.parent)
            took.add("mark")
    for name, packed in (("dump", content), ("its rows", gzip.compress(content, 1))):
        with suppress(VampdError):
            dumps.read_dump(packed, "ledger.jsonl.gz")
            took.add(name)
    return took


def _sealed(content: bytes) -> Iterator[bytes]:
    """The lines as vampd would have written them; what is none stays as it is."""
    for text in content.splitlines():
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            line = None
        yield number_papers._sealed(line) if isinstance(line, dict) else text + b"\n"


def remote(content: bytes) -> set[str]:
    """The far machine's helper: the command of a key's owner, a NUL, and what it is fed.

    ROOT and OUT are the folder of the key, and one outside of it to which a link leads.
    """
    with _night() as night:
        root, outside = night.path / "root", night.path / "outside"
        for folder in ("20251106", ".incoming/20251106", ".evidence/20251106"):
            path = root / folder / FILE
            path.parent.mkdir(parents=True)
            path.write_bytes(b"a cube")
        outside.mkdir()
        (outside / "kept").write_bytes(b"kept")
        (root / "out").symlink_to(outside)
        for word, path in ((b"ROOT", root), (b"OUT", outside)):
            content = content.replace(word, bytes(path))
        command, _, fed = content.partition(b"\0")
        took = _carried_out(command.decode("latin-1"), fed, str(root))
        assert [path.name for path in outside.iterdir()] == ["kept"]
        assert (outside / "kept").read_bytes() == b"kept"
    return took


def _carried_out(asked: str, fed: bytes, root: str) -> set[str]:
    """The verb, if it was not refused and did not fail; "some of" it, if a part of it failed."""
    try:
        words = shlex.split(asked)
    except ValueError:  # which the helper refuses as well
        words = []
    with _fed(fed), _all_closed(), suppress(vampd_remote.RefusedError):
        if words[:1] == ["rsync"]:  # carried out, it would become rsync
            names, _ = vampd_remote.receive_command(words, root)
            assert vampd_remote.INCOMING in names
            assert ".." not in names
            return {"rsync"}
        status = vampd_remote.main(["vampd-remote", root], {"SSH_ORIGINAL_COMMAND": asked})
        told = {0: words[1:2], _SOME_FAILED: [f"some of {' '.join(words[1:2])}"]}
        return set(told.get(status, []))
    return set()


@contextmanager
def _all_closed() -> Iterator[None]:
    """What the helper opens is closed in the end; it leaves that to the end of its process."""
    trees: list[vampd_remote.Tree] = []

    class Tree(vampd_remote.Tree):
        def __init__(self, root: str) -> None:
            super().__init__(root)
            trees.append(self)

    with patch.object(vampd_remote, "Tree", Tree):
        try:
            yield
        finally:
            for tree in trees:
                tree.close()


@contextmanager
def _fed(content: bytes) -> Iterator[None]:
    """Standard input of these bytes, and output that nobody sees."""
    kept, output = (sys.stdin, sys.stdout, sys.stderr), os.dup(1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    sys.stdin = io.TextIOWrapper(io.BytesIO(content))
    sys.stdout, sys.stderr = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = kept
        os.dup2(output, 1)
        os.close(output)
        os.close(null)


@contextmanager
def _file(content: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("fuzz")
    try:
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _night() -> Iterator[Beneath]:
    """A night's folder, in memory where that can be."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="vampd-fuzz-", dir=memory) as folder:
        (Path(folder) / "20251106").mkdir()
        yield Beneath(Path(folder), ("20251106",))


TARGETS: Mapping[str, Callable[[bytes], set[str]]] = {
    "header": header,
    "timing": timing,
    "settings": settings,
    "socket": control,
    "sidecar": sidecar,
    "papers": papers,
    "remote": remote,
}

#: What each target returns for good bytes, all of them together.
READERS: Mapping[str, set[str]] = {
    "header": {"header"},
    "timing": {"timing"},
    "settings": {"settings"},
    "socket": {"order"},
    "sidecar": {
        f"{name}: {stored}" for name in ("whole", "index") for stored in ("text", "cube", "whole")
    },
    "papers": {"paper", "its lines", "mark", "dump", "its rows"},
    "remote": {
        *("digest", "some of digest", "prepare", "publish", "numbers", "marker", "claim"),
        *("evidence", "check", "version", "rsync"),
    },
}
