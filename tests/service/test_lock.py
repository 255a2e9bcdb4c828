"""`config/lock`: what a production installation is made of, to the byte."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.support import lock


@pytest.mark.parametrize("name", list(lock.asked_for()))
def test_every_requirement_is_locked_within_what_pyproject_allows(name: str) -> None:
    locked = lock.pinned(lock.lock_file(name).read_text())

    for requirement in map(Requirement, lock.asked_for()[name]):
        versions = [
            Version(version)
            for package, version, _ in locked
            if canonicalize_name(package) == canonicalize_name(requirement.name)
        ]
        assert versions, f"{requirement} is not in {lock.lock_file(name).name}"
        assert all(version in requirement.specifier for version in versions)


@pytest.mark.parametrize("name", list(lock.asked_for()))
def test_everything_locked_has_digests(name: str) -> None:
    locked = lock.pinned(lock.lock_file(name).read_text())

    assert locked
    assert [package for package, _, hashes in locked if not hashes] == []


def a_wheel(folder: Path) -> Path:
    """A package of one module, whose bytes stand in the wheel as they are."""
    folder.mkdir()
    wheel, about = folder / "vampdtried-1.0-py3-none-any.whl", "vampdtried-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("vampdtried.py", "GAIN = 1\n")
        packed.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: vampdtried\nVersion: 1.0\n"
        )
        packed.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        packed.writestr(f"{about}/RECORD", "")
    return wheel


def installed(wheel: Path, digest: str, target: Path) -> subprocess.CompletedProcess[str]:
    """Install what is locked to *digest* into *target*, with the words of an installation."""
    locked = wheel.with_name("lock.txt")
    locked.write_text(f"vampdtried==1.0 --hash=sha256:{digest}\n")
    words = ["--no-index", "--find-links", str(wheel.parent), "--require-hashes", "-r", str(locked)]
    return subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", *words, "--target", str(target)],
        check=False,
        capture_output=True,
        text=True,
        timeout=90,
    )


def test_a_package_with_one_byte_changed_is_not_installed(tmp_path: Path) -> None:
    wheel, target = a_wheel(tmp_path / "packages"), tmp_path / "target"
    right = wheel.read_bytes()
    digest = hashlib.sha256(right).hexdigest()
    wheel.write_bytes(right.replace(b"GAIN = 1", b"GAIN = 2"))

    refused = installed(wheel, digest, target)
    was_there = (target / "vampdtried.py").exists()
    wheel.write_bytes(right)
    done = installed(wheel, digest, target)

    assert refused.returncode != 0
    assert "DO NOT MATCH THE HASHES" in refused.stderr
    assert not was_there
    assert done.returncode == 0, done.stderr
    assert (target / "vampdtried.py").read_text() == "GAIN = 1\n"


def test_the_locks_agree_about_what_several_of_them_hold() -> None:
    locked = [
        entry
        for name in lock.asked_for()
        for entry in lock.pinned(lock.lock_file(name).read_text())
        if name != lock.BUILD
    ]

    digests = {(package, version): sorted(hashes) for package, version, hashes in locked}
    versions = {
        package: {version for name, version, _ in locked if name == package}
        for package, _, _ in locked
    }
    base = lock.pinned(lock.lock_file("requirements").read_text())
    assert all(digests[package, version] == sorted(hashes) for package, version, hashes in locked)
    assert all(
        versions[package] == {v for name, v, _ in base if name == package} for package, _, _ in base
    )


def test_the_bill_of_materials_is_of_these_locks() -> None:
    assert lock.BILL.read_text() == lock.bill_of_materials()
    assert json.loads(lock.bill_of_materials())["specVersion"] == "1.6"
