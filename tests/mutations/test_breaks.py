"""The breaks still fit the code: each stands where it is said, once, and names tests that are."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutations.breaks import BREAKS, Break

_TOP = Path(__file__).parents[2]


@pytest.mark.parametrize("one", BREAKS, ids=str)
def test_a_break_fits_the_code_once_and_leaves_python(one: Break) -> None:
    code = (_TOP / "vampd" / one.file).read_text()

    assert code.count(one.old) == 1, f"{one.file} has changed: {one.old!r}"
    compile(code.replace(one.old, one.new), one.file, "exec")


@pytest.mark.parametrize("one", BREAKS, ids=str)
def test_each_test_that_a_break_names_is_there(one: Break) -> None:
    tree = ast.parse((_TOP / "tests" / one.tests.partition("::")[0]).read_text())
    functions = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    tests = [name for name in functions if name.startswith("test_")]

    for word in one.named.split(" or "):
        assert any(word in name for name in tests), word


def test_there_are_forty_promises_and_more() -> None:
    assert len({one.promise for one in BREAKS}) >= 40
