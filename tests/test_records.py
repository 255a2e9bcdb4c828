"""Rows, jobs and results are records: outside the ledger no part of one is asked for by a text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent / "vampd"
_LEDGER = ("ledger/", "receive/ledger")

#: Subscripts that are honest, by what is asked: it has no fixed parts, or it comes from outside.
_HONEST = {
    "match": "a match of a regular expression",
    "named": "a match of a regular expression",
    "arguments": "of an order: they come through a socket, and each is looked at",
    "told": "of an order, or what comes through a socket",
    "answer": "what comes through a socket",
    "answers": "what comes through a socket",
    "planned": "what comes through a socket",
    "act": "what comes through a socket",
    "message": "of ASGI",
    "counts": "how many, by a word",
    "twins": "records, by their role",
    "fileinfo": "of astropy",
    "given": "what click read of a command line",
    "mail": "headers of an e-mail",
    "cards": "cards of a FITS header",
    "values": "cards of a FITS header",
    "words": "the words of a cause, which each cause names itself",
    "line": "a line of JSON in a file",
    "first": "a line of JSON in a file",
    "left": "a line of JSON in a file",
    "head": "a line of JSON in a file",
    "loads": "a line of JSON in a file",
    "event": "a line of JSON in a file",
    "metadata": "how a setting is read",
}

#: Modules that read or write JSON of another shape, or what another program tells.
_OUTSIDE = (
    "builders/bridge.py",  # what the scheduler of Dask tells
    "commands/page/",  # the JSON of `status`
    "commands/plots.py",  # arrays, by the fate of frames
    "io/gen2.py",  # XML-RPC
    "simulation/truth.py",
)


def _name(node: ast.expr) -> str:
    """What a subscript is of: `answers` of `answers[-1]["changed"]`."""
    while isinstance(node, ast.Subscript | ast.Call):
        node = node.value if isinstance(node, ast.Subscript) else node.func
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _by_name(path: Path) -> Iterator[ast.Subscript]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Constant)
            and isinstance(node.slice.value, str)
        ):
            yield node


def test_nothing_is_taken_out_of_a_record_by_a_text() -> None:
    strays = [
        f"vampd/{module}:{node.lineno}: {ast.unparse(node)}"
        for path in sorted(_PACKAGE.rglob("*.py"))
        if not (module := path.relative_to(_PACKAGE).as_posix()).startswith((*_LEDGER, *_OUTSIDE))
        for node in _by_name(path)
        if _name(node.value) not in _HONEST
    ]

    assert not strays, "\n".join(strays) + "\nmake it a record: see vampd/ledger/rows.py"
