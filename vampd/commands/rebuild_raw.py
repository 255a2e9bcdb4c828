"""`vampd data rebuild-raw DATE`: raw files again, bit for bit, from delivered cubes and sidecar."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import click
from msgspec import Struct, field

from vampd.commands import acting, dates
from vampd.commands.screen import Screen, count_text, echo_json, paragraph
from vampd.errors import IntegrityError, OperatorError, ResourceError, UsageError
from vampd.io.beneath import (
    Beneath,
    create_folder,
    exists,
    is_folder,
    names_in,
    night_folder,
    remove,
    remove_folder,
)
from vampd.io.disk import free_bytes
from vampd.io.publish import digest_file
from vampd.layout import CAMERA_FOLDERS, OWN_FOLDER
from vampd.ledger.reading import reading
from vampd.stages.rebuild import Rebuilder
from vampd.stages.sidecar_index import RawEntry, Sidecar
from vampd.views import details
from vampd.views.summaries import nights

_SIDECAR = re.compile(r"raw_sidecar.*\.tar")
_SCRATCH = ".vampd-rebuild"
#: Of many problems, so many are shown to people; programs get all of them.
_LINES = 20


class _Source(Struct, frozen=True, kw_only=True):
    """A night as it was delivered: where it lies, and the digests that the ledger knows of it."""

    label: str
    folder: Beneath
    sidecars: tuple[Beneath, ...]
    digests: Mapping[str, str] | None


class _Found(Struct, kw_only=True):
    """What came of each file, by its path."""

    made: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)  #: there already, and the same
    problems: list[str] = field(default_factory=list)


@click.command("rebuild-raw")
@dates.date_argument
@click.option(
    "--from",
    "source",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="The night as it was delivered (with vgen2 and .vampd); no ledger is needed.",
)
@click.option(
    "--to", "target", metavar="FOLDER", type=click.Path(path_type=Path), help="Where they go."
)
@click.option("--file", "names", metavar="NAME", multiple=True, help="Only this one; repeatable.")
@click.option("--prove", is_flag=True, help="Make them without keeping them.")
@click.option("--on-record", is_flag=True, help="Have the daemon prove all of it again, on record.")
@acting.dry_run_option
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(
    context: click.Context,
    *,
    date: str,
    kind: str | None,
    source: Path | None,
    target: Path | None,
    names: tuple[str, ...],
    prove: bool,
    on_record: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make the raw files of a night again, bit for bit, from its cubes and its sidecar.

    Each is published only if it has the SHA-256 that it had, with its time, and never in place of
    another file. Exit 1 when one does not come out as it was.
    """
    if [target is not None, prove, on_record].count(True) != 1:
        msg = "say where they go, --to FOLDER, or --prove to compare only, or --on-record"
        raise UsageError(msg)
    if on_record:
        acting.act(context, "prove", date, kind, {}, dry_run=dry_run, as_json=as_json)
        return
    chosen = _from_ledger(context, date, kind) if source is None else _from_folder(source)
    with ExitStack() as stack:
        sidecars = [stack.enter_context(closing(Sidecar(path))) for path in chosen.sidecars]
        if source is not None:
            chosen = _checked(chosen, sidecars, date, kind)
        wanted = _wanted(sidecars, names)
        if target is not None:
            _check_target(target, chosen)
            _check_space(target, [entry for _, entry in wanted])
        found = _Found(made=[entry.path for _, entry in wanted])
        if not dry_run:
            found = _make(chosen, sidecars, wanted, target)
    if as_json:
        echo_json(_as_json(chosen, target, found, dry_run=dry_run))
    else:
        _show(chosen, target, found, dry_run=dry_run)
    if found.problems:
        context.exit(1)


def _from_ledger(context: click.Context, date: str, kind: str | None) -> _Source:
    config = context.obj.config()
    with reading(config.state_dir, config.reading_socket) as ledger:
        chosen = dates.resolve(nights(ledger), date, kind)
        if len(chosen) > 1:
            msg = f"{date} is {len(chosen)} nights; rebuild one at a time"
            raise UsageError(msg)
        (night,) = chosen
        digests = {row.path: row.sha256 for row in details.deliverables(ledger, night)}
    folder = night_folder(night.folder)
    source = _source(str(night), folder, digests)
    for path in source.sidecars:
        found = digest_file(path)
        listed = digests.get(path.relative_to(folder))
        if found.sha256 != listed:
            msg = f"{path}: not the sidecar that the ledger lists ({listed}); give --from a copy"
            raise IntegrityError(msg)
    return source


def _from_folder(folder: Path) -> _Source:
    return _source(str(folder), Beneath(folder.resolve()), None)


def _source(label: str, folder: Beneath, digests: Mapping[str, str] | None) -> _Source:
    place = folder / OWN_FOLDER
    names = names_in(place) if is_folder(place) else []
    sidecars = tuple(place / name for name in names if _SIDECAR.fullmatch(name))
    if not sidecars:
        msg = (
            f"{place}/raw_sidecar*.tar: no such file; without it no raw file can be made again."
            " --from names a folder that has .vampd and vgen2 as they were delivered"
        )
        raise OperatorError(msg)
    return _Source(label=label, folder=folder, sidecars=sidecars, digests=digests)


def _checked(source: _Source, sidecars: Sequence[Sidecar], date: str, kind: str | None) -> _Source:
    """The source, named by its sidecars. OperatorError: they are of another night."""
    asked = dates.parse(date)
    head = sidecars[0].head
    for sidecar in sidecars:
        is_asked = asked.first == asked.last == sidecar.head.date
        if not is_asked or kind not in {None, sidecar.head.kind}:
            found = f"{sidecar.head.kind} {sidecar.head.date}"
            msg = f"{sidecar.path} belongs to {found}, not to {kind or ''} {date}".replace(
                "  ", " "
            )
            raise OperatorError(msg)
    return _Source(
        label=f"{head.kind} {head.date}",
        folder=source.folder,
        sidecars=source.sidecars,
        digests=None,
    )


def _wanted(sidecars: Sequence[Sidecar], names: Sequence[str]) -> list[tuple[int, RawEntry]]:
    """Raw files with the place of their sidecar, by path; of one name in two batches the later."""
    batches = sorted(range(len(sidecars)), key=lambda place: sidecars[place].head.batch)
    every = {path: place for place in batches for path in sidecars[place].paths}
    chosen = set(every) if not names else set()
    for name in names:
        matching = {path for path in every if name in {path, Path(path).name}}
        if not matching:
            msg = f"{name}: in no sidecar of this night; names are like vcam1/vcam1_*.fits"
            raise OperatorError(msg)
        chosen |= matching
    return [(every[path], sidecars[every[path]].entry(path)) for path in sorted(chosen)]


def _check_target(target: Path, source: _Source) -> None:
    """OperatorError: *target* is another folder than a new, an empty, or the night's own one."""
    if not target.exists():
        return
    own = target.resolve() == source.folder.path.resolve()
    strange = [path.name for path in target.iterdir() if path.name not in CAMERA_FOLDERS]
    if not target.is_dir() or (not own and set(strange) - {_SCRATCH}):
        msg = f"{target}: holds {', '.join(sorted(strange)[:3])}; name a new or an empty folder"
        raise OperatorError(msg)


def _check_space(target: Path, entries: Sequence[RawEntry]) -> None:
    needed = sum(entry.size_bytes for entry in entries if not (target / entry.path).exists())
    there = next(path for path in (target.absolute(), *target.absolute().parents) if path.exists())
    free = free_bytes(there)
    if needed > free:
        msg = f"{target}: {needed / 1e9:.1f} GB are needed, and {free / 1e9:.1f} GB are free"
        raise ResourceError(msg)


def _make(
    source: _Source,
    sidecars: Sequence[Sidecar],
    wanted: Sequence[tuple[int, RawEntry]],
    target: Path | None,
) -> _Found:
    """Make each file, or compare it only; what is wrong with one stops no other."""
    found = _Found()
    with ExitStack() as stack:
        rebuilders = [
            stack.enter_context(Rebuilder(source.folder, sidecar, source.digests))
            for sidecar in sidecars
        ]
        make = _checking if target is None else stack.enter_context(_restoring(target))
        hidden = not sys.stderr.isatty()
        bar = click.progressbar(wanted, label=source.label, file=sys.stderr, hidden=hidden)
        for place, entry in stack.enter_context(bar):
            try:
                is_new = make(rebuilders[place], entry)
            except IntegrityError as error:
                found.problems.append(str(error))
                continue
            (found.made if is_new else found.present).append(entry.path)
    return found


def _checking(rebuilder: Rebuilder, entry: RawEntry) -> bool:
    rebuilder.check(entry)
    return True


@contextlib.contextmanager
def _restoring(target: Path) -> Iterator[Callable[[Rebuilder, RawEntry], bool]]:
    """How one file is made in *target*; whether it was not there yet."""
    target.mkdir(parents=True, exist_ok=True)
    place = Beneath(target)
    create_folder(place / _SCRATCH)
    for name in names_in(place / _SCRATCH):
        if not Path("/proc", name.rpartition(".")[2]).exists():  # its maker is dead
            remove(place / _SCRATCH / name)

    def make(rebuilder: Rebuilder, entry: RawEntry) -> bool:
        final = place / entry.path
        if exists(final):
            if digest_file(final).sha256 != entry.sha256:
                msg = f"{final}: another file is there, and it is not replaced"
                raise IntegrityError(msg)
            return False
        create_folder(final.parent)
        rebuilder.restore(entry, final, place / _SCRATCH)
        return True

    try:
        yield make
    finally:
        with contextlib.suppress(OSError):
            remove_folder(place / _SCRATCH)


def _show(source: _Source, target: Path | None, found: _Found, *, dry_run: bool) -> None:
    screen = Screen.of_stdout()
    what = "would be made" if dry_run else "came out bit for bit"
    where = "" if target is None else f", in {target}"
    click.echo(f"{source.label}, {source.folder}:")
    click.echo(f"  {count_text(len(found.made), 'raw file')} {what}{where}")
    if found.present:
        click.echo(f"  {count_text(len(found.present), 'raw file')} there already, the same")
    if found.problems:
        click.echo(f"  {screen.word('bad', text=f'{len(found.problems)} did not')}")
    for problem in found.problems[:_LINES]:
        click.echo(paragraph("    ", problem))
    if len(found.problems) > _LINES:
        click.echo(f"    and {len(found.problems) - _LINES} more (--json has all)")


def _as_json(
    source: _Source, target: Path | None, found: _Found, *, dry_run: bool
) -> dict[str, Any]:
    return {
        "night": source.label,
        "from": str(source.folder),
        "to": None if target is None else str(target),
        "dry_run": dry_run,
        "made": found.made,
        "present": found.present,
        "problems": found.problems,
    }
