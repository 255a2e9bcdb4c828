"""Why a night does not go on is a code: every code has its sentence, and nothing reads one back."""

from __future__ import annotations

import ast
import json
import re
import string
from pathlib import Path

import pytest

from vampd.causes import SENTENCES, Cause, file_cause
from vampd.shipped import migrations_folder
from vampd.states import ErrorCode, FileCode, HoldCode, WaitCode

_PACKAGE = Path(__file__).resolve().parent.parent / "vampd"

#: What holds a sentence: in an object, and in a row of the ledger.
_SENTENCES = frozenset({"cause", "hold", "reason", "pause", "waits_for", "error", "why"})
#: What a program does that reads one.
_READS = frozenset(
    {"startswith", "endswith", "find", "index", "split", "partition", "rpartition", "removeprefix"}
)
_PATTERNS = frozenset({"search", "match", "fullmatch", "findall", "finditer"})
#: Rows that a version without codes wrote have nothing else.
_OF_OLD_ROWS = frozenset({"frame_ids.py"})
_IN_SQL = re.compile(rf"\b(?:{'|'.join(sorted(_SENTENCES))}) (?:like|glob|regexp)\b")


def _is_sentence(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr in _SENTENCES
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return node.slice.value in _SENTENCES
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "str":
        return any(_is_sentence(argument) for argument in node.args)
    return isinstance(node, ast.BoolOp) and any(_is_sentence(value) for value in node.values)


def _reads_a_sentence(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _IN_SQL.search(node.value) is not None
    if isinstance(node, ast.Compare):
        holds = any(isinstance(op, ast.In | ast.NotIn) for op in node.ops)
        texts = isinstance(node.left, ast.Constant) and isinstance(node.left.value, str)
        return holds and texts and any(_is_sentence(each) for each in node.comparators)
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    if node.func.attr in _READS:
        return _is_sentence(node.func.value)
    return node.func.attr in _PATTERNS and any(_is_sentence(each) for each in node.args)


def test_nothing_reads_a_sentence_back() -> None:
    found = [
        f"vampd/{path.relative_to(_PACKAGE)}: {ast.unparse(node)}"
        for path in sorted(_PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if _reads_a_sentence(node) and path.name not in _OF_OLD_ROWS
    ]

    assert not found, "ask the code beside the sentence, not the sentence"


@pytest.mark.parametrize(
    "line",
    [
        'night["hold"].startswith("restored")',
        '(night.hold or night.cause or "").startswith("x")',
        're.search("x", night.cause)',
        '"frame IDs" in night.cause',
        '"select 1 from night where cause like ?"',
        'str(end.waits_for).partition(":")',
    ],
)
def test_what_reads_a_sentence_is_found(line: str) -> None:
    assert any(_reads_a_sentence(node) for node in ast.walk(ast.parse(line)))


def test_every_code_has_a_sentence_and_is_one_code() -> None:
    assert len(SENTENCES) == len(HoldCode) + len(WaitCode) + len(FileCode)
    assert set(SENTENCES) == {*HoldCode, *WaitCode, *FileCode}
    assert not set(map(str, HoldCode)) & set(map(str, WaitCode))


@pytest.mark.parametrize("code", FileCode)
def test_why_a_file_is_bad_is_read_as_it_was_kept(code: FileCode) -> None:
    named = [name for _, name, _, _ in string.Formatter().parse(SENTENCES[code]) if name]
    cause = Cause(code, {name: f"{{{name}}} of it" for name in named})

    kept = file_cause(str(code), json.dumps(cause.words), str(cause))

    assert kept == cause
    assert isinstance(kept, Cause)
    assert kept.words == cause.words
    assert all(f"{{{name}}} of it" in str(kept) for name in named)


def test_a_sentence_without_a_code_is_other_and_stays_as_it_was() -> None:
    cause = file_cause(None, None, "bad {weather}")

    assert cause == Cause(FileCode.OTHER, {"text": "bad {weather}"})
    assert str(cause) == "bad {weather}"
    assert file_cause(None, None, None) is None


def test_a_sentence_of_an_earlier_version_stays_as_it_was() -> None:
    assert str(Cause(HoldCode.QUALITY, {"text": "quality outside its limits: 12 %"})) == (
        "quality outside its limits: 12 %"
    )


@pytest.mark.parametrize(
    ("column", "codes"),
    [
        ("hold_code", {*HoldCode}),
        ("cause_code", {*HoldCode, *WaitCode}),
        ("error_code", {*ErrorCode}),
        ("reason_code", {*FileCode}),
        ("was_code", {*FileCode}),
    ],
)
def test_the_ledger_takes_these_codes_and_no_others(column: str, codes: set[str]) -> None:
    pattern = rf"{column} text check \({column} in \((.*?)\)\)"
    every = sorted(migrations_folder().glob("*.sql"))
    listed = [re.findall(pattern, path.read_text(), re.DOTALL) for path in every]

    (last,) = [found for found in listed if found][-1]
    assert set(re.findall(r"'([^']+)'", last)) == {str(code) for code in codes}
