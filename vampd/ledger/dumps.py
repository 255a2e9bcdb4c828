"""All that the ledger knows of one night, as text: what a lost ledger is made from again.

A line a row, packed with gzip: first one about the dump, then {"table": ..., "row": {...}}.
Tables, columns and references are read from the schema itself, so that none is forgotten.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from vampd.errors import IntegrityError, OperatorError
from vampd.ledger.connection import Ledger, Row
from vampd.ledger.records import Night

FORMAT = "vampd ledger of a night"
VERSION = 1

#: Counted by triggers, written elsewhere, or worth nothing once it cannot be proved again.
_LEFT_OUT = frozenset(
    {
        "alert",
        "event",
        "header_gone",
        "local_copy",
        "paper",
        "rebuild_proof",
        "safe_since",
        "scrubbed",
        "tally",
        "verification",
    }
)
_LEFT_OUT_COLUMNS = frozenset({("raw_file", "rebuilt_by")})

#: One mail tells of several nights, and each of their dumps has it: the later word of it counts.
_MAILS = {
    "mail": " on conflict (id) do update set {changes} where excluded.changed_us > mail.changed_us"
    " and (mail.message_id is null or excluded.message_id is mail.message_id)",
    "mail_recipient": " on conflict (mail, address) do update set"
    " accepted_us = coalesce(mail_recipient.accepted_us, excluded.accepted_us),"
    " refused_us = coalesce(mail_recipient.refused_us, excluded.refused_us),"
    " answer = coalesce(excluded.answer, mail_recipient.answer)",
}

#: Tables without a column `night`, and how their rows belong to one.
_LINKED = {
    "night": "id = ?1",
    "cube": "raw_file in (select id from raw_file where night = ?1)",
    "mail": "id in (select mail from mail_night where night = ?1)",
    "mail_recipient": "mail in (select mail from mail_night where night = ?1)",
}

_BLOB = "base64"

#: What reading bytes that are no dump of a night ends with.
_DAMAGED = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    zlib.error,
)


def dump(ledger: Ledger, night: Night) -> bytes:
    """What `write_dump` writes."""
    packed = io.BytesIO()
    write_dump(ledger, night, packed)
    return packed.getvalue()


def write_dump(ledger: Ledger, night: Night, into: BinaryIO) -> None:
    """Write every row of a night *into* a file. The same rows give the same bytes."""
    # No name and no time in it: they would make other bytes of the same rows.
    with gzip.GzipFile(filename="", mode="wb", fileobj=into, compresslevel=4, mtime=0) as file:
        for line in _lines(ledger, night):
            file.write(json.dumps(line).encode() + b"\n")


def read_dump(content: bytes, name: str) -> tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]:
    """The first line of a dump, and its rows by table. IntegrityError: it is damaged.

    OperatorError: a newer vampd wrote it.
    """
    try:
        head, *lines = (json.loads(line) for line in gzip.decompress(content).splitlines())
        rows = [(line["table"], _unpacked(line["row"])) for line in lines]
        if head["format"] != FORMAT or head["rows"] != len(rows):
            msg = f"{len(rows)} rows of {head['rows']} in a {head['format']}"
            raise ValueError(msg)
        version = int(head["version"])
    except _DAMAGED as error:
        msg = f"{name}: damaged, or no dump of a night: {error}"
        raise IntegrityError(msg) from error
    if version > VERSION:
        msg = f"{name}: of version {version}; this vampd knows {VERSION}"
        raise OperatorError(msg)
    return head, rows


def load(ledger: Ledger, rows: Iterable[tuple[str, dict[str, Any]]], shift: int) -> None:
    """Insert the rows of one dump, each number raised by *shift*.

    OperatorError: they are of a table or a column that this vampd does not know.
    """
    schema = _schema(ledger)
    for table, row in rows:
        if table not in schema or not row.keys() <= schema[table].columns:
            msg = f"a dump has rows of {table} that this vampd does not know; is it older?"
            raise OperatorError(msg)
        numbers = schema[table].numbers
        values = {
            name: value + shift if name in numbers and value is not None else value
            for name, value in row.items()
        }
        names, places = ", ".join(values), ", ".join(f":{name}" for name in values)
        known = _MAILS[table].format(changes=_changes(values)) if table in _MAILS else ""
        ledger.execute(f"insert into {table} ({names}) values ({places}){known}", values)  # noqa: S608


def forget(ledger: Ledger, night: int) -> None:
    """Take every row of a night out of the *ledger*, within a transaction: a later dump has them.

    What is never forgotten comes back with that dump; whoever calls this sees to it. Mails tell of
    other nights as well, and stay.
    """
    schema = _schema(ledger)
    guards = ledger.rows(
        "select name, sql from sqlite_master where type = 'trigger'"
        " and name like '%never\\_forgotten' escape '\\'"
    )
    for guard in guards:
        ledger.execute(f"drop trigger {guard['name']}")
    ledger.execute("pragma defer_foreign_keys = on")
    ledger.execute(
        "delete from cube where raw_file in (select id from raw_file where night = ?)", [night]
    )
    counted = ["tally", "event"]  # by triggers, of what goes: last
    for name in [*(name for name in schema if name not in counted), *counted]:
        if "night" in schema[name].columns:
            ledger.execute(f"delete from {name} where night = ?", [night])  # noqa: S608
    ledger.execute("delete from night where id = ?", [night])
    for guard in guards:
        ledger.execute(guard["sql"])


def _changes(names: Iterable[str]) -> str:
    return ", ".join(f"{name} = excluded.{name}" for name in names if name != "id")


def shift_for(ledger: Ledger, rows: Iterable[tuple[str, dict[str, Any]]]) -> int:
    """By how much the numbers of a dump must be raised so that none is taken.

    The nights of one ledger never share a number: nothing is raised, and references in
    journals hold. Dumps of two ledgers do.
    """
    taken = highest = 0
    for table, row in rows:
        if table in {"mail", "mail_recipient"} or "id" not in row:
            continue
        known = ledger.value(f"select 1 from {table} where id = ?", [row["id"]])  # noqa: S608
        taken += known is not None
    if not taken:
        return 0
    for table, described in _schema(ledger).items():
        if "id" in described.columns:
            highest = max(highest, ledger.value(f"select max(id) from {table}") or 0)  # noqa: S608
    return highest


class _Table:
    """What must be known of a table: its columns, and which of them hold numbers of rows."""

    def __init__(self, ledger: Ledger, name: str) -> None:
        columns = ledger.rows(f"pragma table_info({name})")
        references = ledger.rows(f"pragma foreign_key_list({name})")
        self.columns = {row["name"] for row in columns}
        self.primary = [row["name"] for row in columns if row["pk"]]
        self.parents = {row["table"] for row in references} - {name}
        self.numbers = {row["from"] for row in references} | ({"id"} & self.columns)


def _schema(ledger: Ledger) -> Mapping[str, _Table]:
    rows = ledger.rows(
        "select name from sqlite_master where type = 'table' and name not like 'sqlite%'"
        " and name not like '\\_sqlite%' escape '\\'"
    )
    return {row["name"]: _Table(ledger, row["name"]) for row in rows}


def _lines(ledger: Ledger, night: Night) -> Iterator[dict[str, Any]]:
    schema = _schema(ledger)
    names = [
        name
        for name in _parents_first(schema)
        if name in _LINKED or ("night" in schema[name].columns and name not in _LEFT_OUT)
    ]
    # Up to which event they tell: whoever has two tellings of a night takes the later.
    event = ledger.value("select coalesce(max(id), 0) from event where night = ?", [night.id])
    selections = {name: f"from {name} where {_LINKED.get(name, 'night = ?1')}" for name in names}
    number = [night.id]
    counts = [ledger.value(f"select count(*) {sql}", number) for sql in selections.values()]
    yield {"format": FORMAT, "version": VERSION, "rows": sum(counts), "event": event}
    for name, sql in selections.items():
        order = ", ".join(schema[name].primary)
        for row in ledger.connection.execute(f"select * {sql} order by {order}", number):
            yield {"table": name, "row": _packed(name, row)}


def _parents_first(schema: Mapping[str, _Table]) -> list[str]:
    """Tables in an order in which every reference finds its row."""
    ordered: list[str] = []
    rest = sorted(schema)
    while rest:
        free = [name for name in rest if not schema[name].parents & set(rest)]
        assert free, rest
        ordered += free
        rest = [name for name in rest if name not in free]
    return ordered


def _packed(table: str, row: Row) -> dict[str, Any]:
    return {
        name: {_BLOB: base64.b64encode(row[name]).decode()}
        if isinstance(row[name], bytes)
        else row[name]
        for name in row.keys()  # noqa: SIM118 - a row's own iterator gives its values
        if (table, name) not in _LEFT_OUT_COLUMNS
    }


def _unpacked(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: base64.b64decode(value[_BLOB]) if isinstance(value, dict) else value
        for name, value in row.items()
    }
