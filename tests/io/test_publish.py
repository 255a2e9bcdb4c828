from __future__ import annotations

import hashlib
import os
import stat
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.trees import below
from vampd.errors import IntegrityError
from vampd.io import no_replace
from vampd.io import publish as publishing
from vampd.io.beneath import Beneath, create, create_folder, rename_without_replacing
from vampd.io.checksum import BlockSums
from vampd.io.publish import (
    Published,
    Region,
    Written,
    prove_written,
    publish,
    publish_bytes,
    publish_together,
)

CONTENT = bytes(range(256)) * 20_000  # five reads of 1 MiB


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def block_sums(content: bytes) -> NDArray[np.uint64]:
    sums = BlockSums()
    sums.update(content)
    return sums.finish()


def in_regions(content: bytes, *cuts: int) -> Written:
    bounds = [0, *cuts, len(content)]
    regions = tuple(
        Region(
            offset=start,
            size_bytes=end - start,
            sums=block_sums(content[start:end]),
        )
        for start, end in pairwise(bounds)
    )
    return Written(size_bytes=len(content), regions=regions)


def proved(content: bytes) -> Published:
    return Published(size_bytes=len(content), sha256=sha256(content))


def prove(path: Path, written: Written) -> str:
    with path.open("rb") as file:
        return prove_written(file.fileno(), written, path=below(path))


def test_a_file_that_came_back_whole_has_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(CONTENT)

    assert prove(path, in_regions(CONTENT, 2880, 1_500_001)) == sha256(CONTENT)


@pytest.mark.parametrize(
    ("position", "says"),
    [
        (0, "bytes 0 to 2879 "),
        (2879, "bytes 0 to 2879 "),
        (2880, "bytes 2880 to 1500000 "),
        (len(CONTENT) - 1, f"bytes 1500001 to {len(CONTENT) - 1} "),
    ],
)
def test_one_flipped_bit_is_seen_and_its_region_named(
    tmp_path: Path, position: int, says: str
) -> None:
    path = tmp_path / "x"
    damaged = bytearray(CONTENT)
    damaged[position] ^= 0x10
    path.write_bytes(damaged)

    with pytest.raises(IntegrityError, match=says):
        prove(path, in_regions(CONTENT, 2880, 1_500_001))


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"\0", b""])
def test_a_file_of_another_size_is_seen(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)

    with pytest.raises(IntegrityError, match=f"with {len(content)} bytes, not {len(CONTENT)}"):
        prove(path, in_regions(CONTENT))


def test_a_published_file_has_its_final_name_only(tmp_path: Path) -> None:
    scratch, final = tmp_path / "scratch", tmp_path / "final"
    scratch.write_bytes(b"abc")

    publish(below(scratch), below(final), proved(b"abc"))

    assert final.read_bytes() == b"abc"
    assert names(tmp_path) == ["final"]


def test_an_identical_file_is_adopted(tmp_path: Path) -> None:
    scratch, final = tmp_path / "scratch", tmp_path / "final"
    scratch.write_bytes(b"abc")
    final.write_bytes(b"abc")
    inode = final.stat().st_ino

    publish(below(scratch), below(final), proved(b"abc"))

    assert final.stat().st_ino == inode
    assert names(tmp_path) == ["final"]


@pytest.mark.parametrize("there", [b"abd", b"abcd", b""])
def test_a_different_file_is_never_replaced_and_both_are_named(
    tmp_path: Path, there: bytes
) -> None:
    scratch, final = tmp_path / "scratch", tmp_path / "final"
    scratch.write_bytes(b"abc")
    final.write_bytes(there)

    with pytest.raises(
        IntegrityError, match=f"{final} exists .* than {scratch} .*{sha256(b'abc')}"
    ):
        publish(below(scratch), below(final), proved(b"abc"))

    assert (final.read_bytes(), scratch.read_bytes()) == (there, b"abc")


@pytest.mark.parametrize("kind", ["folder", "dangling link", "link", "pipe"])
def test_whatever_else_has_the_name_is_never_replaced(tmp_path: Path, kind: str) -> None:
    scratch, final, other = tmp_path / "scratch", tmp_path / "final", tmp_path / "other"
    scratch.write_bytes(b"abc")
    if kind == "folder":
        final.mkdir()
    elif kind == "pipe":
        os.mkfifo(final)
    else:
        final.symlink_to(other)
    if kind == "link":
        other.write_bytes(b"abc")
    before = final.lstat()

    with pytest.raises(IntegrityError, match=f"{final} is a "):
        publish(below(scratch), below(final), proved(b"abc"))

    assert final.lstat().st_ino == before.st_ino
    assert scratch.exists()


@pytest.mark.parametrize("exists", [False, True])
def test_where_the_file_system_knows_no_such_rename_a_link_does_it(
    tmp_path: Path, exists: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Flags that no file system knows are refused like those that this one does not know.
    monkeypatch.setattr(no_replace, "_RENAME_NOREPLACE", 1 << 30)
    scratch, final = tmp_path / "scratch", tmp_path / "final"
    scratch.write_bytes(b"abc")
    if exists:
        final.write_bytes(b"old")
        with pytest.raises(FileExistsError):
            rename_without_replacing(below(scratch), below(final))
        assert (scratch.read_bytes(), final.read_bytes()) == (b"abc", b"old")
    else:
        rename_without_replacing(below(scratch), below(final))
        assert final.read_bytes() == b"abc"
        assert final.stat().st_nlink == 1
        assert not scratch.exists()


def test_a_missing_folder_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "scratch").write_bytes(b"")

    with pytest.raises(FileNotFoundError, match="missing"):
        rename_without_replacing(below(tmp_path / "scratch"), Beneath(tmp_path) / "missing/final")


@pytest.mark.parametrize("content", [b"", b"a line\n", CONTENT])
def test_small_files_are_published_with_their_digest(tmp_path: Path, content: bytes) -> None:
    before = os.umask(0o077)
    try:
        published = publish_bytes(content, below(tmp_path / "scratch"), below(tmp_path / "final"))
    finally:
        os.umask(before)

    assert published == proved(content)
    assert (tmp_path / "final").read_bytes() == content
    assert stat.S_IMODE((tmp_path / "final").stat().st_mode) == 0o644
    assert names(tmp_path) == ["final"]


def test_a_small_file_that_does_not_come_back_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lying_disk)

    with pytest.raises(IntegrityError, match="read back differ"):
        publish_bytes(b"a line\n", below(tmp_path / "scratch"), below(tmp_path / "final"))

    assert names(tmp_path) == []


def lying_disk(descriptor: int) -> None:
    """A disk that reports success and stores something else."""
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.pwrite(descriptor, b"!", 3)


def test_a_scratch_file_is_new_or_refused(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")

    for name in ("there", "link"):
        with pytest.raises(FileExistsError):
            create(below(tmp_path / name))
    assert not (tmp_path / "elsewhere").exists()


def test_creating_a_folder_twice_is_once(tmp_path: Path) -> None:
    create_folder(below(tmp_path / "vgen2"))
    (tmp_path / "vgen2" / "x").write_bytes(b"")

    create_folder(below(tmp_path / "vgen2"))

    assert (tmp_path / "vgen2" / "x").exists()


def test_a_file_under_a_folders_name_is_not_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / "vgen2").write_bytes(b"")

    with pytest.raises(NotADirectoryError):
        create_folder(below(tmp_path / "vgen2"))


def test_files_that_are_published_together_have_their_names_before_their_folder_is_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.scratch").write_bytes(b"abc")
    synced = []
    monkeypatch.setattr(publishing, "sync_folder", lambda folder: synced.append(names(folder.path)))

    publish_together(
        [
            (below(tmp_path / f"{name}.scratch"), below(tmp_path / name), proved(b"abc"))
            for name in ("a", "b")
        ]
    )

    assert synced == [["a", "b"]]
