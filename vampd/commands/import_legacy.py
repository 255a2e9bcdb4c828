"""`vampd admin import-legacy`: take over what the earlier pipeline left; reads it only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import click
from msgspec import Struct
from msgspec.structs import asdict

from vampd.commands import acting
from vampd.commands.screen import count_text, echo_json, paragraph
from vampd.errors import UsageError
from vampd.io.beneath import Beneath, exists, is_folder, night_folder, read_start
from vampd.layout import CAMERA_FOLDERS, OUTPUT_FOLDER
from vampd.ledger.reading import has_ledger
from vampd.legacy.tables import DELETION_TABLE, STATUS_TABLES, StatusRow, Table, parse_table
from vampd.legacy.verdict import Verdict, judge_legacy
from vampd.settings.sections import Config, Root
from vampd.watch.incumbent import Survey, nights_in, survey
from vampd.watch.naming import night_date

# An order is one line of at most 1 MiB: some 150 bytes a file, 60 a number.
_FILES_AT_ONCE = 2000
_NUMBERS_AT_ONCE = 5000


class _Night(Struct, frozen=True, kw_only=True):
    """One night, what was found of it, and what the ledger answered."""

    root: Root
    survey: Survey
    row: StatusRow | None
    verdict: Verdict

    @property
    def name(self) -> str:
        return f"{self.root.kind} {self.survey.folder.name}"

    @property
    def adopt(self) -> bool:
        """Whether the earlier pipeline did it: by its folder, or by its table where no raw is."""
        raw = any(raw.cubes for raw in self.survey.raw if raw.name in CAMERA_FOLDERS)
        said = self.row is not None and bool(self.row.processed.done)
        return bool(self.survey.signs) or (said and not raw)


@click.command("import-legacy")
@click.argument("paths", metavar="[FOLDER|TABLE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--digests", is_flag=True, help="Read every file in vgen2 through, for its SHA-256.")
@acting.dry_run_option
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(
    context: click.Context,
    *,
    paths: tuple[Path, ...],
    digests: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Take over the nights and tables of the pipeline that vampd replaces; twice is once.

    FOLDER is a night or a root, TABLE one of ARCHIVE_LOG.csv, PROCESSING_LOG.csv and
    MARKED_FOR_DELETION.csv; without any: all of every root. Nights that it processed are held, and
    are never processed, waited for or deleted by vampd; their frame IDs are never dealt again.
    What is marked for deletion is reported, and not deleted. To have such a night done by vampd:
    `vampd restore DATE`, `vampd release DATE`.
    """
    config = context.obj.config()
    tables = _tables(config, paths)
    nights = list(_nights(config, paths, tables, digests=digests))
    answers = _give_orders(config, tables, nights, dry_run=dry_run)
    if as_json:
        answer = _as_json(config, tables, nights, answers, dry_run=dry_run)
        echo_json({**answer, **acting.daemon_json(config)})
    else:
        _show(config, tables, nights, answers, dry_run=dry_run)
        if not dry_run and any(answer.changed for answer in answers):
            acting.tell_of_no_daemon(config)


def _tables(config: Config, paths: tuple[Path, ...]) -> list[Table]:
    given = [path for path in paths if path.is_file()]
    absent = [path for path in paths if not path.exists()]
    if absent:
        msg = f"{absent[0]}: no such file or folder"
        raise UsageError(msg)
    folders = [path for path in paths if path.is_dir() and night_date(path.name) is None]
    places = folders or ([root.path for root in config.roots] if not paths else [])
    found = [
        Beneath(place) / name
        for place in places
        for name in (*STATUS_TABLES, DELETION_TABLE)
        if exists(Beneath(place) / name)
    ]
    named = [Beneath(path.resolve().parent) / path.resolve().name for path in given]
    return [
        parse_table(read_start(where, -1).decode("utf-8", "replace"), str(where))
        for where in named + found
    ]


def _nights(
    config: Config, paths: tuple[Path, ...], tables: list[Table], *, digests: bool
) -> Iterator[_Night]:
    """The nights that the paths mean, else all; those with anything of the earlier pipeline's."""
    rows = {row.folder: row for table in tables for row in table.rows}
    given = [path.resolve() for path in paths if path.is_dir()]
    for root in config.roots:
        for folder in nights_in(root.path):
            asked = not paths or any(place in (folder, root.path) for place in given)
            if not asked and str(folder) not in rows:
                continue
            found = survey(folder, digests=digests)
            row = rows.get(str(folder))
            if found.signs or found.frame_ids or row is not None:
                verdict = judge_legacy(found, row)
                yield _Night(root=root, survey=found, row=row, verdict=verdict)


def _give_orders(
    config: Config, tables: list[Table], nights: list[_Night], *, dry_run: bool
) -> list[_Answer]:
    """Have everything recorded; return what was answered of each night, in order."""
    if dry_run and not has_ledger(config.state_dir, config.reading_socket):
        new = _Answer(lines=["there is no ledger yet: all of it would be new"], changed=True)
        return [new for _ in nights]
    answers = []
    for night in nights:
        lines: list[str] = []
        changed = False
        for arguments in _orders_of(night):
            given = {**arguments, "date": None, "dry_run": dry_run}
            answer = acting.give_order(config, "import_legacy", given)
            lines += [line for line in answer["lines"] if line not in lines]
            changed |= answer["changed"]
        answers.append(_Answer(lines=lines, changed=changed))
    for rows in _pieces(_plain_rows(tables), _FILES_AT_ONCE):
        given = {"rows": rows, "date": None, "dry_run": dry_run}
        acting.give_order(config, "import_legacy_tables", given)
    return answers


class _Answer(Struct, frozen=True, kw_only=True):
    """What the daemon said of one night."""

    lines: list[str]
    changed: bool


def _orders_of(night: _Night) -> Iterator[dict[str, Any]]:
    """A night's orders: what was found, with as many files and numbers as one order takes."""
    told = {
        "kind": night.root.kind.value,
        "date": night.survey.folder.name,
        "folder": str(night.survey.folder),
        "adopt": night.adopt,
        "signs": night.survey.signs or ("its table",),
        "proved": night.verdict.proved,
        "unproved": night.verdict.unproved,
    }
    files = list(_pieces((asdict(file) for file in night.survey.files), _FILES_AT_ONCE))
    numbers = list(_pieces(night.survey.frame_ids.items(), _NUMBERS_AT_ONCE))
    for place in range(max(len(files), len(numbers), 1)):
        yield {
            "night": told,
            "files": files[place] if place < len(files) else [],
            "frame_ids": dict(numbers[place]) if place < len(numbers) else {},
        }


def _pieces(values: Any, most: int) -> Iterator[list[Any]]:
    iterator = iter(values)
    while piece := list(islice(iterator, most)):
        yield piece


def _plain_rows(tables: list[Table]) -> Iterator[dict[str, Any]]:
    nothing = dict.fromkeys(
        ("processed", "processed_at", "transferred", "transferred_at", "safe", "safe_at")
    )
    for table in tables:
        for row in table.rows:
            yield {
                "source": row.source,
                "folder": row.folder,
                "delete_after": None,
                "processed": int(bool(row.processed.done)),
                "processed_at": row.processed.at or None,
                "transferred": int(bool(row.transferred.done)),
                "transferred_at": row.transferred.at or None,
                "safe": int(bool(row.safe.done)),
                "safe_at": row.safe.at or None,
            }
        for mark in table.deletions:
            marked = {"source": mark.source, "folder": mark.folder}
            yield {**nothing, **marked, "delete_after": mark.delete_after or None}


def _strays(config: Config, tables: list[Table]) -> Iterator[str]:
    """Rows about folders that are not there, or not in a root."""
    roots = {str(root.path) for root in config.roots}
    for table in tables:
        for row in table.rows:
            parent = row.folder.rpartition("/")[0]
            if parent not in roots:
                yield f"{row.source}, line {row.line}: {row.folder} lies in no root"
            elif not is_folder(night_folder(row.folder)):
                yield f"{row.source}, line {row.line}: {row.folder} is not there"


def _show(
    config: Config,
    tables: list[Table],
    nights: list[_Night],
    answers: list[_Answer],
    *,
    dry_run: bool,
) -> None:
    for night, answer in zip(nights, answers, strict=True):
        lines = answer.lines
        if not (night.adopt or lines or night.verdict.conflicts):
            continue
        click.echo(f"{night.name}, {night.survey.folder}{' (dry run)' if dry_run else ''}:")
        for line in lines or ["nothing new"]:
            click.echo(paragraph("  ", line))
        for label, texts in _words(night):
            for text in texts:
                click.echo(paragraph(label, text))
    for table in tables:
        for problem in table.problems:
            click.echo(paragraph("! ", problem))
        for mark in table.deletions:
            when = f" after {mark.delete_after}" if mark.delete_after else ""
            click.echo(
                paragraph("! ", f"{mark.folder}: marked for deletion{when}; vampd leaves it alone")
            )
    for stray in _strays(config, tables):
        click.echo(paragraph("! ", stray))
    adopted = sum(night.adopt for night in nights)
    own = len(nights) - adopted
    click.echo(
        f"{count_text(adopted, 'night')} of the earlier pipeline;"
        f" {count_text(own, 'other')} of its tables' nights are vampd's to do"
    )


def _words(night: _Night) -> tuple[tuple[str, tuple[str, ...]], ...]:
    proved = ("  proved      ", night.verdict.proved)
    unproved = ("  not proved  ", night.verdict.unproved if night.adopt else ())
    return (proved, unproved, ("  conflict    ", night.verdict.conflicts))


def _as_json(
    config: Config,
    tables: list[Table],
    nights: list[_Night],
    answers: list[_Answer],
    *,
    dry_run: bool,
) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "changed": any(answer.changed for answer in answers),
        "nights": [
            _night_json(night, answer.lines) for night, answer in zip(nights, answers, strict=True)
        ],
        "tables": [
            {
                "problems": list(table.problems),
                "rows": len(table.rows),
                "marked_for_deletion": [asdict(mark) for mark in table.deletions],
            }
            for table in tables
        ],
        "strays": list(_strays(config, tables)),
    }


def _night_json(night: _Night, lines: list[str]) -> Mapping[str, Any]:
    ids = sorted(night.survey.frame_ids)
    return {
        "kind": night.root.kind,
        "date": night.survey.folder.name,
        "folder": str(night.survey.folder),
        "adopted": night.adopt,
        "signs": list(night.survey.signs),
        "lines": lines,
        "proved": list(night.verdict.proved),
        "unproved": list(night.verdict.unproved),
        "conflicts": list(night.verdict.conflicts),
        "files": sum(file.path.startswith(f"{OUTPUT_FOLDER}/") for file in night.survey.files),
        "frame_ids": {"count": len(ids), "first": ids[0], "last": ids[-1]} if ids else None,
    }
