"""`migrate` makes the ledger what this version needs, and only when nobody else writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.ledger_site import Site
from vampd.errors import OperatorError, RetryableError
from vampd.io.clock import SystemClock
from vampd.io.lock import StateLock
from vampd.ledger import connection
from vampd.ledger.connection import open_ledger
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


@pytest.mark.parametrize("count", [1, 5, 15])
def test_what_is_asked_while_the_ledger_is_still_being_made_is_to_be_asked_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    files = sorted(migrations_folder().glob("*.sql"))
    site.state.mkdir(parents=True, exist_ok=True)
    with monkeypatch.context() as patch:
        patch.setattr(connection, "_migration_files", lambda _schema: files[:count])
        open_ledger(site.state, version="0.0.1", clock=SystemClock()).close()

    with StateLock.acquire(site.state):
        made = site.run("status").exception
    left = site.run("status").exception

    lacks = f"older than this vampd, it lacks {files[count].stem}"
    assert isinstance(made, RetryableError)
    assert lacks in str(made)
    assert "try again" in str(made)
    assert isinstance(left, OperatorError)
    assert lacks in str(left)
    assert "vampd admin migrate" in str(left)
