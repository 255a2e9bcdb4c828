"""What was once found by a search stays mended, and the searches themselves work."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzz.mutator import changed
from tests.fuzz.targets import TARGETS, seeds

_FOUND = sorted(path for path in Path(__file__).with_name("corpus").rglob("*") if path.is_file())
_TRIES = 30


@pytest.mark.parametrize("path", _FOUND, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_was_found_once_is_read_or_refused(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_good_bytes_and_a_few_changes_of_them_are_read_or_refused(target: str) -> None:
    chance = random.Random(20251106)

    for content in seeds(target):
        TARGETS[target](content)
    for _ in range(_TRIES):
        TARGETS[target](changed(chance, seeds(target)))


def test_changed_bytes_are_other_bytes_and_the_same_again() -> None:
    known = [b"SIMPLE  = T", b"END"]

    found = [changed(random.Random(number), known) for number in range(50)]

    assert found == [changed(random.Random(number), known) for number in range(50)]
    assert len(set(found)) > 40
