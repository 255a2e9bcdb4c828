"""Nothing writes to the database but `vampd.ledger`: the code says so itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

_PACKAGE = Path(__file__).resolve().parent.parent / "vampd"
_LEDGER = ("ledger/", "receive/ledger")

#: Of the connection that writes, and of SQLite's: whatever it is called where they are used.
_ALWAYS_WRITE = frozenset({"executemany", "executescript"})
_WRITE = frozenset({"insert", "update"})
_STATEMENT = re.compile(
    r"\b(?:insert\s+(?:or\s+\w+\s+)?into|delete\s+from|replace\s+into|update\s+\w+\s+set"
    r"|(?:create|alter|drop)\s+(?:table|index|trigger|view))\s",
    re.IGNORECASE,
)


def _text(node: ast.AST) -> str:
    """The text of a literal; what is filled in later stands as a word."""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_text, node.values))
    if isinstance(node, ast.FormattedValue):
        return "word"
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return ""


def _is_ledger(node: ast.AST) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name.endswith("ledger")


def _writes(node: ast.AST) -> bool:
    """Whether it writes: a statement in SQL, or a call of a method that writes.

    `update` and `insert` are dictionaries' and lists' as well: it is the ledger's where it is
    called so, or where the first argument is a table's name.
    """
    if not isinstance(node, ast.Call):
        return _STATEMENT.search(_text(node)) is not None
    if not isinstance(node.func, ast.Attribute):
        return False
    if node.func.attr in _ALWAYS_WRITE:
        return True
    first = _text(node.args[0]) if node.args else ""
    return node.func.attr in _WRITE and (_is_ledger(node.func.value) or first != "")


def _code(tree: ast.Module) -> Iterator[ast.AST]:
    """Every node but docstrings, which may speak of anything."""
    spoken = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return (node for node in ast.walk(tree) if id(node) not in spoken)


def test_only_the_ledger_writes() -> None:
    strays = [
        f"vampd/{module}:{getattr(node, 'lineno', 0)}: {ast.unparse(node)}"
        for path in sorted(_PACKAGE.rglob("*.py"))
        if not (module := path.relative_to(_PACKAGE).as_posix()).startswith(_LEDGER)
        for node in _code(ast.parse(path.read_text(encoding="utf-8")))
        if _writes(node)
    ]

    assert not strays, (
        "\n".join(strays) + "\nmake it a function of the module of vampd/ledger that has the table"
    )


@pytest.mark.parametrize(
    "line",
    [
        'ledger.update("night", 1, safe_us=None)',
        "self._ledger.update(table, number, **columns)",
        'context.ledger.insert("root", path=path)',
        'desk.update("night", 1, safe_us=None)',
        'ledger.execute("delete from event where night = ?", [1])',
        'ledger.execute("Insert or Ignore into tried_header values (?, ?)", [1, ""])',
        'ledger.execute(f"update {table} set batch = 1 where night = ?", [1])',
        'query = f"update task set {changes} where id = :id"',
        'ledger.row("update task set state = ? where id = ? returning *", ["done", 1])',
        "ledger.connection.executemany(query, rows)",
        'connection.executescript("drop table night")',
    ],
)
def test_what_writes_is_found(line: str) -> None:
    assert any(map(_writes, _code(ast.parse(line))))


@pytest.mark.parametrize(
    "line",
    [
        'ledger.rows("select * from night where changed_us > ?", [1])',
        "digest.update(block)",
        "taken.update(stems)",
        "lines.insert(0, line)",
        'def reading() -> None:\n    """What is to delete from the disk."""',
    ],
)
def test_what_only_reads_is_let_be(line: str) -> None:
    assert not any(map(_writes, _code(ast.parse(line))))
