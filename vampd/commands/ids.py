"""`vampd archive ids`: the frame IDs of archive nights; what is unclear, and what is proved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from vampd.commands import acting, dates
from vampd.commands.screen import count_text, echo_json, paragraph, time_text
from vampd.io.beneath import Beneath, names_in
from vampd.io.number_runs import runs_of
from vampd.ledger import counter
from vampd.ledger.frame_ids import frame_id_text
from vampd.ledger.reading import Reader, reading
from vampd.states import Kind, RequestState
from vampd.views.frame_id_audit import Numbering, Request, chronology, gaps, incomplete, numberings
from vampd.views.summaries import nights

#: Of many problems, so many are shown to people; programs get all of them.
_LINES = 50

_OPEN = frozenset({RequestState.ASKED, RequestState.UNCLEAR})
_REPLY_LINES = 6


@click.group("ids")
def command() -> None:
    """Frame IDs: see them, prove them, and decide where it is unclear which were dealt."""


@command.command("show")
@click.argument("date", metavar="[DATE]", required=False)
@dates.kind_option
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def show(context: click.Context, *, date: str | None, kind: str | None, as_json: bool) -> None:
    """Show which frame IDs the archive nights have, and what each waits for."""
    config = context.obj.config()
    with reading(config.state_dir, config.reading_socket) as ledger:
        chosen = _chosen(ledger, date, kind)
    if as_json:
        echo_json({"nights": [_as_json(night) for night in chosen]})
        return
    for night in chosen:
        for line in _lines(night, in_full=date is not None):
            click.echo(line)


@command.command("adopt")
@dates.date_argument
@click.argument("ids", metavar="FIRST..LAST")
@click.option("--why", metavar="TEXT", required=True, help="How you know, for the ledger.")
@acting.dry_run_option
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def adopt(
    context: click.Context,
    *,
    date: str,
    kind: str | None,
    ids: str,
    why: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Say which frame IDs were dealt where no answer came, or none that can be used.

    The night goes on with them. Are they fewer than were asked for, the rest is asked for.
    """
    arguments = {"ids": ids, "why": why}
    acting.act(
        context, "ids-adopt", date, _archive(kind), arguments, dry_run=dry_run, as_json=as_json
    )


@command.command("void")
@acting.options
@click.option("--why", metavar="TEXT", required=True, help="The reason, for the ledger.")
@click.pass_context
def void(
    context: click.Context, *, date: str, kind: str | None, why: str, dry_run: bool, as_json: bool
) -> None:
    """Write off whatever was dealt in an unclear answer; the night asks anew.

    Numbers that stand in that answer are never used.
    """
    arguments = {"why": why}
    acting.act(
        context, "ids-void", date, _archive(kind), arguments, dry_run=dry_run, as_json=as_json
    )


@command.command("skip")
@acting.options
@click.option("--why", metavar="TEXT", required=True, help="The reason, for the ledger.")
@click.pass_context
def skip(
    context: click.Context, *, date: str, kind: str | None, why: str, dry_run: bool, as_json: bool
) -> None:
    """Let younger nights get their frame IDs before this one.

    On record, and listed by `vampd archive ids audit`, for as long as the order of the
    numbers shows it.
    """
    arguments = {"why": why}
    acting.act(
        context, "ids-skip", date, _archive(kind), arguments, dry_run=dry_run, as_json=as_json
    )


@command.command("used")
@click.argument("number", metavar="NUMBER")
@click.option("--why", metavar="TEXT", required=True, help="How you know, for the ledger.")
@acting.dry_run_option
@acting.yes_option
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def used(
    context: click.Context, *, number: str, why: str, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Say that NUMBER is the highest frame ID that was used, by whomever: the next one is above.

    For what vampd cannot see, or does not believe since it is far above all that it knows. Asks
    before it gives numbers up. A later word takes the place of this one.
    """
    _say(
        context, "ids-used", {"number": number, "why": why}, dry_run=dry_run, yes=yes, json=as_json
    )


@command.command("dismiss")
@click.argument("ids", metavar="FIRST..LAST")
@click.option("--why", metavar="TEXT", required=True, help="The reason, for the ledger.")
@acting.dry_run_option
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def dismiss(context: click.Context, *, ids: str, why: str, dry_run: bool, as_json: bool) -> None:
    """Say that nothing follows from what bears these frame IDs: a slip, a test, another's file.

    They are not told any more and do not move the counter. As long as something bears one, it is
    not dealt.
    """
    _say(context, "ids-dismiss", {"ids": ids, "why": why}, dry_run=dry_run, yes=True, json=as_json)


@command.command("audit")
@click.argument("date", metavar="[DATE]", required=False)
@dates.kind_option
@click.option(
    "--headers/--no-headers", default=True, help="Read the header of every output, or of none."
)
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def audit(
    context: click.Context, *, date: str | None, kind: str | None, headers: bool, as_json: bool
) -> None:
    """Prove that frame IDs are unique, complete and in order. Exit 1 with what is not.

    Over the ledger, the names and headers of outputs, name changes and manifests. DATE restricts
    whose files are looked at; the ledger, and numbers that two nights bear, always count whole.
    """
    from vampd.views import frame_ids_on_disk

    config = context.obj.config()
    with reading(config.state_dir, config.reading_socket) as ledger:
        every, chosen = numberings(ledger), _chosen(ledger, date, kind)
        problems, exceptions = chronology(ledger, every)
        gone = _outputs_gone(ledger)
        strange = counter.strange_texts(ledger, config.frame_ids.first)
        dismissed = counter.dismissed(ledger)
    problems += [f"archive {night.date}: {text}" for night in every for text in incomplete(night)]
    root = config.root_of(Kind.ARCHIVE)
    folders = {Path(night.folder) for night in every} | _dated_folders(root.path if root else None)
    borne, unread = frame_ids_on_disk.borne_by_night(sorted(folders))
    problems += [*unread, *frame_ids_on_disk.borne_twice(borne), *strange]
    for night in chosen:
        if not night.is_foreign and night.id not in gone:
            problems += frame_ids_on_disk.of_night(
                night,
                headers=headers,
                is_dismissed=lambda number: counter.is_within(number, number, dismissed),
            )
    _tell(every, problems, exceptions, as_json=as_json)
    if problems:
        context.exit(1)


def _say(
    context: click.Context,
    order: str,
    arguments: Mapping[str, Any],
    *,
    dry_run: bool,
    yes: bool,
    json: bool,
) -> None:
    """Give an order that is of no night; what it gives up is named first, and asked for."""
    config = context.obj.config()

    def give(*, dry_run: bool) -> dict[str, Any]:
        given = {**arguments, "date": None, "dry_run": dry_run}
        return acting.give_order(config, order, given)

    answer = give(dry_run=True)
    if not dry_run:
        acting.confirm(answer["lines"] if answer["changed"] else [], yes=yes)
        answer = give(dry_run=False)
    if json:
        echo_json({**answer, **acting.daemon_json(config)})
        return
    for line in answer["lines"]:
        click.echo(f"{line} (dry run)" if dry_run else line)
    if answer["changed"] and not dry_run:
        acting.tell_of_no_daemon(config)


def _archive(kind: str | None) -> str:
    """Only archive nights have frame IDs; --kind engineering is refused by the order."""
    return kind or Kind.ARCHIVE.value


def _chosen(ledger: Reader, date: str | None, kind: str | None) -> list[Numbering]:
    every = numberings(ledger)
    if date is None:
        return every
    wanted = {night.id for night in dates.resolve(nights(ledger), date, _archive(kind))}
    return [night for night in every if night.id in wanted]


def _outputs_gone(ledger: Reader) -> set[int]:
    """Nights of which the local outputs gave their space back."""
    query = "select night from reclaim where space = 'outputs' and state = 'done'"
    return {night for (night,) in ledger.execute(query)}


def _dated_folders(root: Path | None) -> set[Path]:
    """What lies in the root as nights do, whether the ledger knows it or not."""
    if root is None or not root.is_dir():
        return set()
    return {root / name for name in names_in(Beneath(root)) if len(name) == 8 and name.isdigit()}


def _tell(
    every: Sequence[Numbering], problems: list[str], exceptions: list[str], *, as_json: bool
) -> None:
    bound = sum(len(night.of_state("bound")) for night in every)
    if as_json:
        echo_json(
            {
                "ok": not problems,
                "nights": len(every),
                "bound": bound,
                "problems": problems,
                "exceptions": exceptions,
                "gaps": gaps(every),
            }
        )
        return
    verdict = "NOT PROVED" if problems else "ok"
    click.echo(f"{count_text(bound, 'frame ID')} of {count_text(len(every), 'night')}: {verdict}")
    for exception in exceptions:
        click.echo(paragraph("  exception: ", exception))
    for gap in gaps(every):
        click.echo(paragraph("  gap: ", gap))
    for problem in problems[:_LINES]:
        click.echo(paragraph("  ! ", problem))
    if len(problems) > _LINES:
        click.echo(f"  ! and {len(problems) - _LINES} more (--json has all)")


def _lines(night: Numbering, *, in_full: bool) -> Iterable[str]:
    parts = [
        f"{len(night.of_state(state))} {state}{_range(night.of_state(state))}"
        for state in ("bound", "reserved", "void")
        if night.of_state(state)
    ]
    yield f"archive {night.date}  {night.status}  {', '.join(parts) or 'no frame IDs'}"
    if night.skip_why is not None:
        yield paragraph("  skipped: ", night.skip_why)
    if night.waits_for_older and night.cause is not None:
        yield paragraph("  waits for ", night.cause)
    for request in night.requests:
        if in_full or request.state in _OPEN:
            yield from _request_lines(night, request)


def _request_lines(night: Numbering, request: Request) -> Iterable[str]:
    yield paragraph(
        f"  request {request.number}: ",
        f"{request.count} of {request.issuer}, {time_text(request.asked_us)}: {request.state}"
        f"{f', {request.why}' if request.why and request.state not in _OPEN else ''}",
    )
    if request.state not in _OPEN:
        return
    if request.error is not None:
        yield paragraph("    because: ", request.error)
    lines = (request.reply or "").splitlines()
    for line in lines[:_REPLY_LINES]:
        yield f"    came: {line}"
    if len(lines) > _REPLY_LINES:
        yield f"    came: and {len(lines) - _REPLY_LINES} more (--json has all)"
    adopt = f"vampd archive ids adopt {night.date} FIRST..LAST --why TEXT"
    yield f"    next: {adopt} (these were dealt)"
    yield f"    or:   vampd archive ids void {night.date} --why TEXT (they are written off)"


def _range(numbers: Sequence[int]) -> str:
    runs = runs_of((number, "") for number in numbers)
    return f" ({', '.join(counter.range_text(first, last) for first, last, _ in runs)})"


def _as_json(night: Numbering) -> dict[str, Any]:
    return {
        "date": night.date,
        "status": night.status,
        "cause": night.cause,
        "skip_why": night.skip_why,
        **{
            state: [frame_id_text(number) for number in night.of_state(state)]
            for state in ("bound", "reserved", "void")
        },
        "requests": [
            {
                "request": request.number,
                "batch": request.batch,
                "count": request.count,
                "issuer": request.issuer,
                "state": request.state,
                "reply": (request.reply or "").splitlines(),
                "error": request.error,
                "asked_us": request.asked_us,
                "changed_us": request.changed_us,
                "changed_by": request.changed_by,
                "why": request.why,
            }
            for request in night.requests
        ],
    }
