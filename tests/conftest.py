"""What tests of several modules share, because it takes long to make."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from tests.support.finished_nights import KINDS, Carried, carry
from tests.support.reference_night import has_reference_night, needs_reference_night

#: These share the finished nights: one process does all of them.
_WITH_NIGHTS = frozenset(
    {
        "tests/nights/test_night.py",
        "tests/nights/test_downstream.py",
        "tests/commands/test_show_cube.py",
        "tests/commands/test_trace.py",
    }
)
#: What takes longest begins first, so that at the end no process is left alone with a long file.
_FIRST = (
    "tests/nights/test_night.py",
    "tests/nights/",
    "tests/legacy/",
    "tests/schedule/test_live",
    "tests/schedule/test_hostile",
    "tests/page/",
    "tests/service/",
    "tests/campaigns/",
    "tests/stages/",
    "tests/commands/",
)


def _place(nodeid: str) -> int:
    """When a test's turn is."""
    return next((i for i, start in enumerate(_FIRST) if nodeid.startswith(start)), len(_FIRST))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _place(item.nodeid))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure is told, whatever bytes it is about: xdist sends on what UTF-8 can say."""
    report = yield
    if report.failed and _sayable(str(report.longrepr)) != str(report.longrepr):
        report.longrepr = _sayable(str(report.longrepr))
    report.sections = [(title, _sayable(text)) for title, text in report.sections]
    return report


def _sayable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


class _ByFile(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    """A file's tests are done by one process, for they share what takes long to make."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "with nights" if file in _WITH_NIGHTS else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """How two or more processes share the tests."""
    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False  # xdist would begin with the files of most tests
    return _ByFile(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two more processes than processors: much of a test is waiting for other processes."""
    return len(os.sched_getaffinity(0)) + 2


@pytest.fixture(scope="session")
def done_before() -> dict[str, dict[str, Carried]]:
    """Nights by their source: pytest comes back to a parameter, and must not carry them again."""
    return {}


@pytest.fixture(
    scope="session",
    params=[
        pytest.param("reference", marks=needs_reference_night),
        # Where the cameras' own night is there, the simulated one is for ./dev campaign.
        pytest.param("simulated", marks=[pytest.mark.campaign] * has_reference_night),
    ],
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
