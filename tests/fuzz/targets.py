"""What reads bytes of others: each takes any bytes, and answers, or refuses in its own words.

A target raises what is a finding: an error that is no refusal of vampd's, or an answer that cannot
be. What takes longer than `SECONDS` is one, too; whoever runs a target looks at the clock.
"""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from tests.support.raw_cubes import FIRST_US, header_bytes, image_cards, timing_bytes
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
from vampd.stages.sidecar import INDEX
from vampd.stages.sidecar_index import Sidecar

SECONDS = 5.0


def header(content: bytes) -> None:
    """The header of a raw cube, and the values of all its cards."""
    with _file(content) as descriptor, suppress(InputError):
        found = read_header(descriptor, path="vcam1/a.fits")
        assert found.frame_bytes * found.frames <= found.expected_size_bytes < 1 << 43
        for card in found.cards:
            parse_card(card)
            value_text(card)


def timing(content: bytes) -> None:
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


def settings(content: bytes) -> None:
    """A settings file: it is taken, or every problem of it is told."""
    with _file(content) as descriptor:
        config, problems = examine(Path(f"/proc/self/fd/{descriptor}"))
    assert config is not None or problems


def control(content: bytes) -> None:
    """A line on the control socket."""
    with suppress(VampdError):
        understand(content)


def sidecar(content: bytes) -> None:
    """The sidecar of a night: *content* is the whole file, or the lines of its index."""
    with _night() as night:
        for name, whole in (("a.tar", content), ("b.tar", _sidecar_of(content))):
            place = night / name
            place.path.write_bytes(whole)
            with suppress(VampdError, OSError):
                _read_sidecar(night, place)


def _read_sidecar(night: Beneath, place: Beneath) -> None:
    found = Sidecar(place)
    try:
        with Rebuilder(night, found) as rebuilder:
            for path in found.paths:
                with suppress(VampdError, OSError):
                    rebuilder.check(found.entry(path))
    finally:
        found.close()


def _sidecar_of(index: bytes) -> bytes:
    """A sidecar that has this index, and nothing else."""
    packed, made = lzma.compress(index, preset=0), io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        member = tarfile.TarInfo(INDEX)
        member.size = len(packed)
        tar.addfile(member, io.BytesIO(packed))
    return made.getvalue()


def papers(content: bytes) -> None:
    """The papers beside a night: what was written of frame IDs, the rows of a ledger, the mark."""
    with _night() as night:
        own = night.path / ".vampd"
        own.mkdir()
        (night.path.parent / number_papers.MARK).write_bytes(content)
        for text in (content, b"".join(_sealed(content))):
            (own / "frame_ids.jsonl").write_bytes(text)
            with suppress(VampdError, OSError):
                frame_id_papers.read(night)
        with suppress(VampdError, OSError):
            number_papers.read_mark(night.path.parent)
        for packed in (content, gzip.compress(content, 1)):
            with suppress(VampdError):
                dumps.read_dump(packed, "ledger.jsonl.gz")


def _sealed(content: bytes) -> Iterator[bytes]:
    """The lines as vampd would have written them; what is none stays as it is."""
    for text in content.splitlines():
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            line = None
        yield number_papers._sealed(line) if isinstance(line, dict) else text + b"\n"


def remote(content: bytes) -> None:
    """The far machine's helper: the command of a key's owner, a NUL, and what it is fed."""
    command, _, fed = content.partition(b"\0")
    asked = command.decode("latin-1")
    with _night() as night:
        root, outside = night.path / "root", night.path / "outside"
        for folder in (root, outside, root / "20251106"):
            folder.mkdir()
        (outside / "kept").write_bytes(b"kept")
        (root / "out").symlink_to(outside)
        asked = asked.replace("ROOT", str(root)).replace("OUT", str(outside))
        with _fed(fed), suppress(vampd_remote.RefusedError):
            if asked.lstrip().startswith("rsync"):  # carried out, it would become rsync
                with suppress(ValueError):
                    names, _words = vampd_remote.receive_command(asked.split(), str(root))
                    assert vampd_remote.INCOMING in names
                    assert ".." not in names
            else:
                vampd_remote.main(["vampd-remote", str(root)], {"SSH_ORIGINAL_COMMAND": asked})
        assert [path.name for path in outside.iterdir()] == ["kept"]
        assert (outside / "kept").read_bytes() == b"kept"


class _Fed(io.TextIOWrapper):
    """Standard input or output that nobody sees."""


@contextmanager
def _fed(content: bytes) -> Iterator[None]:
    kept = sys.stdin, sys.stdout, sys.stderr
    sys.stdin = _Fed(io.BytesIO(content))
    sys.stdout, sys.stderr = _Fed(io.BytesIO()), _Fed(io.BytesIO())
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = kept


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


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "header": header,
    "timing": timing,
    "settings": settings,
    "socket": control,
    "sidecar": sidecar,
    "papers": papers,
    "remote": remote,
}

_INDEX = (
    b'{"format": "vampd raw sidecar", "version": 1, "files": 2, "left_out": [],'
    b' "kind": "archive", "date": "20251106", "batch": 1}\n'
    b'{"path": "vcam1/vcam1_05:10:00.000000000.txt", "stored": "text", "member": "texts/1.tar.xz",'
    b' "size_bytes": 5, "sha256": "aa", "modified_ns": 1}\n'
    b'{"path": "vcam1/vcam1_05:10:00.000000000.fits", "stored": "cube", "member": "texts/1.tar.xz",'
    b' "size_bytes": 2985, "sha256": "aa", "modified_ns": 1, "frames": 2, "kept": [], "segments":'
    b' [["VMPA00000001", 0, 1, 0, 1, 2]], "shape": [4, 6], "frame_bytes": 48, "tail_bytes": 9,'
    b' "header_bytes": 2880}\n'
)
_LINES = (
    b'{"do": "ask", "asked_us": 1, "count": 2, "batch": 1}\n'
    b'{"do": "bound", "number": 425189, "batch": 1, "content_key": "k", "name": "a"}\n'
    b'{"do": "answer", "asked_us": 1, "text": "VMPA00425189"}\n'
)


_SETTINGS = b"""state_dir = "/var/lib/vampd"
[[roots]]
kind = "archive"
path = "/data"
[night]
settle_seconds = 1.5
[frame_ids]
first = 425189
[delivery.archive]
destination = "there:/data"
[ssh]
options = ["-v"]
"""


def _shipped_settings() -> bytes:
    return (Path(__file__).parents[2] / "config" / "vampd.toml").read_bytes()


@cache
def seeds(target: str) -> list[bytes]:
    """Where a search begins: good bytes, and a word of each sort of what is odd."""
    found: Mapping[str, list[bytes]] = {
        "header": [header_bytes(image_cards(6, 4, 3)), header_bytes(image_cards(1, 1, 1, axes=2))],
        "timing": [timing_bytes(4), timing_bytes(1, first_us=FIRST_US + 5)],
        "settings": [_SETTINGS, _shipped_settings()],
        "socket": [
            b'{"order": "retry", "arguments": {"date": "20251106", "kind": null, "dry_run": true}}',
            b'{"order": "mail", "arguments": {"nights": [{"a": [1, 2.5e3, "\\u00e9"]}]}}',
        ],
        "sidecar": [_INDEX, _sidecar_of(_INDEX)],
        "papers": [_LINES, b"VMPA00425189\n", b'{"format": "vampd", "rows": 0, "version": 1}\n'],
        "remote": [
            b"vampd-remote digest\0ROOT/20251106/a\0ROOT/out/kept\0",
            b"vampd-remote publish ROOT 20251106\0vgen2/a\0tag\0",
            b"vampd-remote numbers 20251101 20251107",
            b"vampd-remote claim ROOT 0123456789abcdef0123456789abcdef",
            b"vampd-remote evidence ROOT/out 20251106",
            b"rsync --server -vlogDtpre.iLsfxCIvu --partial-dir .p . ROOT/.incoming/20251106/",
        ],
    }
    return found[target]
