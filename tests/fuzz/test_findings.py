"""What was once found by a search stays mended, and the searches themselves work."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fuzz.deadline import TooLongError, at_most
from tests.fuzz.mutator import changed
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import READERS, SECONDS, TARGETS

_FOUND = sorted(path for path in Path(__file__).with_name("corpus").rglob("*") if path.is_file())
_TRIES = 30


@pytest.mark.parametrize("path", _FOUND, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_was_found_once_is_read_or_refused(path: Path) -> None:
    with at_most(SECONDS):
        TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_each_reader_takes_some_of_the_good_bytes(target: str) -> None:
    took = [TARGETS[target](content) for content in seeds(target)]

    assert set.union(*took) == READERS[target]


@pytest.mark.parametrize("target", TARGETS)
def test_a_few_changes_of_good_bytes_are_read_or_refused_soon(target: str) -> None:
    chance, known = random.Random(20251106), seeds(target)

    for _ in range(_TRIES):
        with at_most(SECONDS):
            TARGETS[target](changed(chance, known))


def test_what_takes_too_long_is_no_refusal() -> None:
    with pytest.raises(TooLongError), at_most(0.01), suppress(Exception):
        threading.Event().wait(60)


def test_changed_bytes_are_other_bytes_and_the_same_again() -> None:
    known = [b"SIMPLE  = T", b"END"]

    found = [changed(random.Random(number), known) for number in range(50)]

    assert found == [changed(random.Random(number), known) for number in range(50)]
    assert len(set(found)) > 40
