"""Where a search begins: good bytes, most of them as vampd itself writes them."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import sys
import tarfile
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from msgspec import Struct

from tests.support.fake_ledger import opened
from tests.support.made_sidecars import build_without, entry, sidecar_job
from tests.support.raw_cubes import (
    FIRST_US,
    STEM,
    header_bytes,
    image_cards,
    timing_bytes,
    write_raw_cube,
)
from vampd.io import frame_id_asker, number_papers
from vampd.io.beneath import night_folder
from vampd.io.frame_id_asker import AskerJob
from vampd.layout import OUTPUT_ENDING, OUTPUT_FOLDER
from vampd.ledger import dumps
from vampd.ledger.nights import sight_night
from vampd.stages.frame_id_papers import Told, binding_lines
from vampd.stages.sidecar import INDEX, make_sidecar
from vampd.states import FileState, Kind

DATE = "20251106"
UUID = "01234567-89ab-cdef-0123-456789abcdef"
#: What the far machine has in .incoming, delivered, and set aside; see `targets.remote`.
FILE = f"{OUTPUT_FOLDER}/VMPA00425189.fits.fz"

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
_ORDERS = (
    b'{"order": "retry", "arguments": {"date": "20251106", "kind": null, "dry_run": true}}',
    b'{"order": "mail", "arguments": {"nights": [{"a": [1, 2.5e3, "\\u00e9"]}]}}',
)
_REMOTE = (
    f"vampd-remote digest\0ROOT/{DATE}/{FILE}\0",
    f"vampd-remote digest\0ROOT/{DATE}/{FILE}\0ROOT/out/kept\0",
    f"vampd-remote prepare ROOT {DATE}",
    f"vampd-remote publish ROOT {DATE}\0{FILE}\0tag\0",
    "vampd-remote numbers ROOT/ ''",
    "vampd-remote numbers ROOT/ /deeper",
    "vampd-remote marker ROOT",
    f"vampd-remote claim ROOT {UUID}",
    f"vampd-remote evidence ROOT {DATE}",
    f"vampd-remote evidence ROOT/out {DATE}",
    "vampd-remote check ROOT",
    "vampd-remote version",
    f"rsync --server -vtRe.LsfxCIvu --partial-dir .vampd-partial . ROOT/.incoming/{DATE}/",
    f"rsync --server -vlogDtpre.iLsfxCIvu --partial-dir .p . ROOT/.incoming/{DATE}/",
)


class Rebuildable(Struct, frozen=True, kw_only=True):
    """An output, and the sidecar of its raw files."""

    output: str  #: its path in the night
    cube: bytes
    sidecar: bytes

    @property
    def index(self) -> bytes:
        """The lines of the sidecar's index."""
        with tarfile.open(fileobj=io.BytesIO(self.sidecar)) as tar:
            member = tar.extractfile(INDEX)
            assert member is not None
            return lzma.decompress(member.read())

    def with_index(self, index: bytes) -> bytes:
        """The sidecar with other lines for its index."""
        made = io.BytesIO()
        with (
            tarfile.open(fileobj=io.BytesIO(self.sidecar)) as tar,
            tarfile.open(fileobj=made, mode="w") as into,
        ):
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                content = file.read()
                if member.name == INDEX:
                    content = lzma.compress(index, preset=0)
                    member.size = len(content)
                into.addfile(member, io.BytesIO(content))
        return made.getvalue()


@cache
def rebuildable() -> Rebuildable:
    """A cube of which the sidecar keeps a frame, its timing file, and a quarantined file."""
    with TemporaryDirectory(prefix="vampd-fuzz-") as folder:
        night = Path(folder) / DATE
        (night / ".vampd" / "scratch").mkdir(parents=True)
        frames = np.arange(3 * 4 * 6, dtype=np.uint16).reshape(3, 4, 6)
        cube = write_raw_cube(night, frames)
        odd = cube.with_name("vcam1_06:10:00.000000000.fits")
        odd.write_bytes(b"no cube")
        files = [
            entry(night, cube, **build_without(night, cube, 1)),
            entry(night, cube.with_suffix(".txt")),
            entry(night, odd, state=FileState.QUARANTINED, stored="whole", sha256=None),
        ]
        made = make_sidecar(sidecar_job(night, files)).sidecar
        (output,) = (night / OUTPUT_FOLDER).glob(f"*{OUTPUT_ENDING}")
        return Rebuildable(
            output=str(output.relative_to(night)),
            cube=output.read_bytes(),
            sidecar=(night / str(made.path)).read_bytes(),
        )


@cache
def _papers() -> list[bytes]:
    """A night's paper, the same before its lines were sealed, and a root's mark."""
    with TemporaryDirectory(prefix="vampd-fuzz-") as folder:
        root = Path(folder)
        asked, night = night_folder(str(root / "asked")), night_folder(str(root / DATE))
        for each in (asked, night):
            each.path.mkdir()
        said = frame_id_asker.start(
            AskerJob(
                folder=str(asked.path),
                request=1,
                batch=1,
                count=1,
                issuer="gen2",
                command=[sys.executable, "-c", "print('VMPA00425189')"],
                deadline_seconds=60.0,
            )
        )
        assert not said, said
        lines: list[number_papers.Line] = [*number_papers.read(asked)]
        # The same bytes whenever they are made.
        lines[0] = {**lines[0], "pid": 4711, "began": 1, "boot": UUID}
        lines += binding_lines(Told(), 1, {"0" * 64: 425_189}, {"0" * 64: STEM})
        number_papers.append(night, lines)
        number_papers.write_mark(root, 425_189)
        return [
            (night / number_papers.PAPER).path.read_bytes(),
            b"".join(json.dumps(line).encode() + b"\n" for line in lines),
            (root / number_papers.MARK).read_bytes(),
        ]


@cache
def _dumps() -> list[bytes]:
    """What the ledger knows of a night, packed, and its lines."""
    with TemporaryDirectory(prefix="vampd-fuzz-") as folder:
        state = Path(folder) / "state"
        state.mkdir()
        with closing(opened(state)) as ledger:
            night = sight_night(ledger, Kind.ARCHIVE, DATE, Path("/data") / DATE)
            packed = dumps.dump(ledger, night)
        return [packed, gzip.decompress(packed)]


def _shipped_settings() -> bytes:
    return (Path(__file__).parents[2] / "config" / "vampd.toml").read_bytes()


@cache
def seeds(target: str) -> list[bytes]:
    """Good bytes for a target, and a few that are refused for a reason of their own."""
    return _MADE[target]()


_MADE: Mapping[str, Callable[[], list[bytes]]] = {
    "header": lambda: [
        header_bytes(image_cards(6, 4, 3)),
        header_bytes(image_cards(1, 1, 1, axes=2)),
    ],
    "timing": lambda: [timing_bytes(4), timing_bytes(1, first_us=FIRST_US + 5)],
    "settings": lambda: [_SETTINGS, _shipped_settings()],
    "socket": lambda: [*_ORDERS],
    "sidecar": lambda: [rebuildable().index, rebuildable().sidecar],
    "papers": lambda: [*_papers(), *_dumps()],
    "remote": lambda: [text.encode() for text in _REMOTE],
}
