"""Cubes are unpacked by funpack, and proved by another implementation before they get a name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from tests.support.trees import digests_of_tree
from vampd.errors import IntegrityError, ResourceError
from vampd.receive import unpack as module
from vampd.receive.unpack import unpack


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A compressed cube of 20 frames, as fpack writes it."""
    plain = tmp_path / "VMPA00425189.fits"
    frames = np.random.default_rng(1).integers(0, 4000, (20, 24, 32)).astype(np.uint16)
    fits.writeto(plain, frames)
    subprocess.run(["fpack", "-D", "-Y", "-r", plain], check=True)
    (tmp_path / "into").mkdir()
    return plain.with_name("VMPA00425189.fits.fz")


def pixels(path: Path) -> NDArray[np.uint16]:
    with fits.open(path) as units:
        return np.array(units[1 if path.suffix == ".fz" else 0].data)


def test_a_cube_is_unpacked_once_and_the_packed_one_stays(packed: Path, tmp_path: Path) -> None:
    before = digests_of_tree(tmp_path)
    into = tmp_path / "into"

    assert unpack(packed, into, keep_free_bytes=0) == "unpacked"
    assert unpack(packed, into, keep_free_bytes=0) == "there already"

    assert [path.name for path in into.iterdir()] == ["VMPA00425189.fits"]
    assert np.array_equal(pixels(into / "VMPA00425189.fits"), pixels(packed))
    assert digests_of_tree(packed.parent).items() >= before.items()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-2880],
        lambda content: content[:-5000] + b"\x01" + content[-4999:],
        lambda _content: b"somebody else's",
    ],
    ids=["cut", "a byte", "another file"],
)
def test_what_is_not_the_cube_is_told_and_never_replaced(
    packed: Path, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    into = tmp_path / "into"
    unpack(packed, into, keep_free_bytes=0)
    there = into / "VMPA00425189.fits"
    there.write_bytes(damage(there.read_bytes()))
    before = digests_of_tree(into)

    with pytest.raises(IntegrityError, match=r"VMPA00425189\.fits"):
        unpack(packed, into, keep_free_bytes=0)

    assert digests_of_tree(into) == before


def test_what_funpack_makes_wrong_gets_no_name(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    liar = tmp_path / "bin" / "funpack"
    liar.parent.mkdir()
    liar.write_text(
        f'#!/bin/sh\n/usr/bin/env -i PATH=/usr/bin funpack "$@"\n'
        f"exec {sys.executable} -c \"import sys; f=open(sys.argv[1], 'r+b');"
        f' f.seek(-9000, 2); f.write(b\'x\')" "$2"\n'
    )
    liar.chmod(0o755)
    monkeypatch.setenv("PATH", f"{liar.parent}:/usr/bin:/bin")

    with pytest.raises(IntegrityError, match="CHECKSUM"):
        unpack(packed, tmp_path / "into", keep_free_bytes=0)

    assert list((tmp_path / "into").iterdir()) == []


_LYING = """\
import os, sys
image, path = sys.argv[1:]
os.sync()
with open(path, "rb") as file:
    block = file.read(12288)[8192:]
with open(image, "r+b") as disk:
    content = disk.read()
    assert content.count(block) == 1
    disk.seek(content.index(block) + 100)
    disk.write(bytes([block[100] ^ 1]))
"""


def test_what_the_disk_keeps_wrong_gets_no_name(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory still has what was written, and the disk another byte."""
    (tmp_path / "lie.py").write_text(_LYING)
    liar = tmp_path / "bin" / "funpack"
    liar.parent.mkdir()
    liar.write_text(
        f'#!/bin/sh\n/usr/bin/env -i PATH=/usr/bin funpack "$@" &&'
        f' exec {sys.executable} {tmp_path}/lie.py {tmp_path}/image "$2"\n'
    )
    liar.chmod(0o755)
    monkeypatch.setenv("PATH", f"{liar.parent}:/usr/bin:/bin:/usr/sbin")

    with disk_of_image(tmp_path / "image", tmp_path / "disk") as disk:
        with pytest.raises(IntegrityError, match="CHECKSUM"):
            unpack(packed, disk, keep_free_bytes=0)

        assert not list(disk.glob("*.fits"))


@contextmanager
def disk_of_image(image: Path, folder: Path) -> Iterator[Path]:
    """A disk whose bytes are those of the file *image*; skips where mounting is not allowed."""
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(8 << 20)
    commands = [["mkfs.ext4", "-q", str(image)], ["mount", "-o", "loop", str(image), str(folder)]]
    if (
        shutil.which("mkfs.ext4") is None
        or os.geteuid() != 0
        or any(
            subprocess.run(command, capture_output=True, check=False).returncode
            for command in commands
        )
    ):
        pytest.skip("mounting is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_free_space_is_kept(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="would leave less"):
        unpack(packed, tmp_path / "into", keep_free_bytes=1 << 60)


def test_the_pixels_are_compared_where_there_are_no_sums(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    into = tmp_path / "into"
    unpack(packed, into, keep_free_bytes=0)
    there = into / "VMPA00425189.fits"
    with fits.open(there, mode="update") as units:
        units[0].data[0, 0, 0] += 1
    monkeypatch.setattr(module, "_sum_of", lambda _unpacked: 0)

    with pytest.raises(IntegrityError, match="frame 0 is not that of"):
        unpack(packed, into, keep_free_bytes=0)


def test_the_command_goes_on_after_a_bad_cube(packed: Path, tmp_path: Path) -> None:
    bad = packed.with_name("bad.fits.fz")
    bad.write_bytes(packed.read_bytes()[:5760])
    words = ["receive", "unpack", str(tmp_path / "into"), str(bad), str(packed)]

    done = subprocess.run(
        [sys.executable, "-m", "vampd", *words], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert json.loads(done.stdout) == {"unpacked": 1, "there already": 0, "bad": 1}
