"""The breaks still fit the code: each stands where it is said, once, and names tests that are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutations.breaks import BREAKS, Break

_TOP = Path(__file__).parents[2]


@pytest.mark.parametrize("one", BREAKS, ids=str)
def test_a_break_fits_the_code_once_and_leaves_python(one: Break) -> None:
    code = (_TOP / "vampd" / one.file).read_text()

    assert code.count(one.old) == 1, f"{one.file} has changed: {one.old!r}"
    compile(code.replace(one.old, one.new), one.file, "exec")
    assert (_TOP / "tests" / one.tests.partition("::")[0]).is_file()


def test_there_are_forty_promises_and_more() -> None:
    assert len({one.promise for one in BREAKS}) >= 40
