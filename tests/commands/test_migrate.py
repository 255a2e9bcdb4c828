"""`migrate` makes the ledger what this version needs, and only when nobody else writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.ledger_site import Site
from vampd.errors import OperatorError
from vampd.io.lock import StateLock
from vampd.shipped import migrations_folder


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(folder=tmp_path / "site")


def test_a_dry_run_names_the_migrations_and_makes_nothing(site: Site) -> None:
    assert site.answer("admin", "migrate", "--dry-run")["migrations"] == [
        path.stem for path in sorted(migrations_folder().glob("*.sql"))
    ]
    assert not site.ledger.exists()


def test_twice_is_once(site: Site) -> None:
    assert "applied 0001_ledger" in site.said("admin", "migrate")
    assert "nothing to apply" in site.said("admin", "migrate")
    assert site.answer("status")["nights"] == []


def test_not_while_a_daemon_runs(site: Site) -> None:
    with StateLock.acquire(site.state), pytest.raises(OperatorError, match="held by pid"):
        site.said("admin", "migrate")

    assert not site.ledger.exists()
