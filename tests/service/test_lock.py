"""`config/lock`: what a production installation is made of, to the byte."""

from __future__ import annotations

import json

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
