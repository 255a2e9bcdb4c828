"""`verify` believes no record: it computes every digest again, here and over there."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.support.ledger_site import NOW_US, Site

_FILES = {"vgen2/VMPA00425189.fits.fz": b"cube", "vgen2/VMPA00425189.txt": b"rows"}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A safe night of two files, which lie here and, as copies, over there."""
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    night = site.night("20251106", "safe")
    for path, content in _FILES.items():
        for folder in ("archive", "far/archive"):
            copy = site.folder / folder / "20251106" / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
        site.insert(
            "deliverable",
            night=night,
            path=path,
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            verified_us=NOW_US,
            verdict="verified",
        )
    return site


def verified(site: Site) -> dict[str, Any]:
    (night,) = site.answer("data", "verify", "20251106")["nights"]
    code = site.run("data", "verify", "20251106").exit_code
    assert code == (0 if night["ok"] else 1)
    result: dict[str, Any] = night
    return result


def test_a_night_that_is_whole_on_both_sides_is_verified(site: Site) -> None:
    before = site.ledger.read_bytes()

    night = verified(site)

    assert night["ok"]
    assert night["files"] == 2
    assert site.ledger.read_bytes() == before


@pytest.mark.parametrize(("folder", "side"), [("archive", "here"), ("far/archive", "far_end")])
def test_a_changed_byte_is_found_on_either_side(site: Site, folder: str, side: str) -> None:
    (site.folder / folder / "20251106/vgen2/VMPA00425189.txt").write_bytes(b"wors")

    night = verified(site)

    assert not night["ok"]
    assert len(night[side]) == 1
    assert night[side][0].startswith("vgen2/VMPA00425189.txt: ")


@pytest.mark.parametrize(("folder", "side"), [("archive", "here"), ("far/archive", "far_end")])
def test_a_missing_file_is_found_on_either_side(site: Site, folder: str, side: str) -> None:
    (site.folder / folder / "20251106/vgen2/VMPA00425189.fits.fz").unlink()

    (problem,) = verified(site)[side]

    assert "missing" in problem or "No such file" in problem


def test_a_far_end_that_does_not_answer_proves_nothing(site: Site) -> None:
    text = site.config.read_text()
    text = text.replace(f'"{site.folder}/far/archive"', '"127.0.0.1:/far"')
    site.config.write_text(text + '[ssh]\noptions = ["-p", "1"]\n')

    night = verified(site)

    assert not night["ok"]
    assert not night["here"]
    assert "Connection refused" in night["far_end"][0]


def test_a_night_without_files_is_not_verified(site: Site) -> None:
    site.execute("delete from deliverable")

    assert not verified(site)["ok"]
    assert "nothing to verify yet" in site.run("data", "verify", "20251106").output
