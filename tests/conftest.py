"""What tests of several modules share, because it takes long to make."""

from __future__ import annotations

import pytest

from tests.carried import KINDS, Carried, carry
from tests.support import needs_reference_night


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share what takes long to make are done by one process, one after another."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        shared = "both_kinds" if "both_kinds" in fixtures else str(item.path)
        item.add_marker(pytest.mark.xdist_group(shared))


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
