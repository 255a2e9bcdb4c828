"""The list of digests that goes ahead of a delivery's files."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.far_side import SIDES, FarSide, fill, local_side
from vampd.errors import IntegrityError
from vampd.io.listed_files import ListedFile
from vampd.layout import DELIVERY_LIST, OWN_FOLDER
from vampd.stages import transfer
from vampd.stages.delivery_list import is_list, list_of, read_list


@pytest.fixture(params=["local", "ssh", "helper"])
def any_side(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FarSide]:
    with SIDES[request.param](tmp_path) as each:
        yield each


def lists_of(side: FarSide) -> list[Path]:
    return sorted((side.arrived / OWN_FOLDER).glob("delivery-*"))


def send(side: FarSide) -> None:
    result = transfer.work(replace(side.transfer_job(), list_digests=True))
    side.own.extend(file.path for file in result.published)


def test_the_list_goes_along_and_sha256sum_reads_it(any_side: FarSide) -> None:
    fill(any_side)

    send(any_side)

    (found,) = lists_of(any_side)
    path = f"{OWN_FOLDER}/{found.name}"
    assert read_list(path, found.read_bytes()) == {
        file.path: file.sha256 for file in any_side.files
    }
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", path], cwd=any_side.arrived, check=False
    )
    assert checked.returncode == 0


def test_the_list_lies_there_before_any_file_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = local_side(tmp_path)
    fill(side)
    lists_then: list[int] = []
    real = transfer._bring

    def watched(*arguments: object) -> dict[str, str]:
        if not (side.arrived / "vgen2").exists():
            lists_then.append(len(lists_of(side)))
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(transfer, "_bring", watched)
    send(side)

    assert lists_then == [0, 1]  # when the list was brought, and when the files were


def test_the_same_list_is_one_file_also_where_it_was_moved_on(tmp_path: Path) -> None:
    side = local_side(tmp_path)
    fill(side)
    send(side)
    (first,) = lists_of(side)
    first.unlink()

    send(side)
    send(side)

    assert lists_of(side) == [first]


def test_without_the_setting_there_is_none(tmp_path: Path) -> None:
    side = local_side(tmp_path)
    fill(side)

    side.send()

    assert lists_of(side) == []


def test_a_list_that_is_not_what_its_name_says_is_refused() -> None:
    listed, content = list_of([ListedFile(path="vgen2/a", size_bytes=1, sha256="0" * 64)])

    assert is_list(listed.path)
    with pytest.raises(IntegrityError, match="named by another one"):
        read_list(listed.path, content + b"\n")


@pytest.mark.parametrize("path", ["../a", "a//b", "/etc/passwd", "a/./b", "a\x1bb", ""])
def test_a_path_that_leads_out_of_the_night_is_refused(path: str) -> None:
    content = f"{'0' * 64}  {path}\n".encode()
    name = f"{DELIVERY_LIST}{hashlib.sha256(content).hexdigest()}.sha256"

    with pytest.raises(IntegrityError, match="line 1"):
        read_list(name, content)
