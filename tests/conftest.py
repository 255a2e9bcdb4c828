"""What tests of several modules share, because it takes long to make."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from tests.support.finished_nights import KINDS, Carried, carry
from tests.support.reference_night import needs_reference_night

#: These share the carried nights: one process does all of them.
_WITH_NIGHTS = frozenset(
    {
        "tests/nights/test_night.py",
        "tests/nights/test_downstream.py",
        "tests/commands/test_trace.py",
    }
)


class _ByFile(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    """A file's tests are done by one process, for they share what takes long to make."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "with nights" if file in _WITH_NIGHTS else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """How two or more processes share the tests."""
    return _ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def done_before() -> dict[str, dict[str, Carried]]:
    """Nights by their source: pytest comes back to a parameter, and must not carry them again."""
    return {}


@pytest.fixture(
    scope="session",
    params=[pytest.param("reference", marks=needs_reference_night), "simulated"],
)
def both_kinds(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    done_before: dict[str, dict[str, Carried]],
) -> dict[str, Carried]:
    """A night of each kind that became safe. Tests read them, and change nothing."""
    if request.param not in done_before:
        folder = tmp_path_factory.mktemp(request.param)
        done_before[request.param] = carry(request.param, folder)
    return done_before[request.param]


@pytest.fixture(scope="session", params=KINDS)
def carried(request: pytest.FixtureRequest, both_kinds: dict[str, Carried]) -> Carried:
    """One of the two."""
    return both_kinds[request.param]
