"""The verbs that give one order about each night that DATE means: what each takes, and says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import click
from msgspec import Struct

from vampd.commands import acting
from vampd.errors import UsageError
from vampd.states import Stage

#: What was typed, by the names of an order's arguments.
_Given: TypeAlias = Mapping[str, Any]

_Option: TypeAlias = Callable[[Callable[..., None]], Callable[..., None]]


def _nothing_to_check(_: _Given) -> None:
    pass


class Verb(Struct, frozen=True, kw_only=True):
    """A verb: its help, its options besides those of all verbs, what it refuses at once.

    *asks*: whether it asks before it does what was typed; None: never. *check* raises UsageError.
    """

    help: str
    options: tuple[_Option, ...] = ()
    asks: Callable[[_Given], bool] | None = None
    check: Callable[[_Given], None] = _nothing_to_check


def _flag(name: str, said: str) -> _Option:
    return click.option(name, is_flag=True, help=said)


def _text(name: str, said: str, *, required: bool = False) -> _Option:
    return click.option(name, metavar="TEXT", required=required, help=said)


_WHY = _text("--why", "The reason, for the ledger.")
_WHY_NEEDED = _text("--why", "The reason, for the ledger.", required=True)


def _check_ack(given: _Given) -> None:
    if (given["force"] or given["revoke"]) and not given["why"]:
        msg = "--force and --revoke need --why TEXT"
        raise UsageError(msg)


def _check_keep(given: _Given) -> None:
    if not (given["no"] or given["why"]):
        msg = "which reason? vampd space keep DATE --why TEXT: the ledger keeps it"
        raise UsageError(msg)


VERBS: Mapping[str, Verb] = {
    "close": Verb(
        help="""Say that a night is over, without waiting for its date to end and its files to be
        quiet.

        Files that are not whole by then are quarantined with their reason.
        """
    ),
    "retry": Verb(
        help="""Resume a night that failed, waits or is held, at the unit of work that failed.

        Never asks for new frame IDs where bound ones exist. From sync on, it deletes what vampd
        made of the night, as `vampd restore` does, and asks before.
        """,
        options=(
            click.option(
                "--from",
                type=click.Choice([stage.value for stage in Stage]),
                help="Do this stage and all after it again.",
            ),
        ),
        asks=lambda given: given["from"] == Stage.SYNC,
    ),
    "hold": Verb(
        help="Hand out no more work of a night, until `vampd release`.", options=(_WHY_NEEDED,)
    ),
    "release": Verb(help="Let a held night go on where it stopped."),
    "restore": Verb(
        help="""Delete the files that vampd made of a night, one by one, as the ledger lists them.

        Never a folder, never a raw file. Frame IDs stay with what they were given to, and copies on
        the other machine stay. Afterwards the night is held, until `vampd release` or `vampd
        retry`.
        """,
        options=(
            _flag("--force", "Also where the night is safe already."),
            _flag("--prove", "Compute the raw files' digests, before and after."),
        ),
        asks=lambda _: True,
    ),
    "abandon": Verb(
        help="""Give a night up: no more work is done for it, and later nights do not wait for it.

        Its raw files are kept.
        """,
        options=(_WHY_NEEDED,),
        asks=lambda _: True,
    ),
    "keep": Verb(
        help="""Keep the raw files and the outputs of a night on this machine, until `vampd space
        keep --no`.

        With --no, its space may be given back when its time comes.
        """,
        options=(_flag("--no", "Keep it no longer."), _WHY),
        check=_check_keep,
    ),
    "undelete": Verb(
        help="""Put back what lies in the trash of a night; nothing that lies in its place is
        replaced.

        What is being given back of the night stops. `vampd space keep` has it stay.
        """
    ),
    "ack": Verb(
        help="""Record that the archive acknowledged all that it was told of a night so far.

        It holds for the manifests as they are now; raw files may be deleted on this word.
        """,
        options=(
            _text("--note", "What the archive wrote, or where."),
            _flag("--force", "Also for a night that vampd never mailed (--why)."),
            _flag("--revoke", "Take it back: it was a mistake (--why)."),
            _WHY,
        ),
        check=_check_ack,
    ),
}


def command_of(name: str) -> click.Command:
    """The command of the verb *name*."""
    verb = VERBS[name]

    def give(
        context: click.Context,
        *,
        date: str,
        kind: str | None,
        dry_run: bool,
        as_json: bool,
        yes: bool = False,
        **given: Any,
    ) -> None:
        verb.check(given)
        order = "unkeep" if given.pop("no", False) else name
        acting.act(
            context,
            order,
            date,
            kind,
            given,
            dry_run=dry_run,
            as_json=as_json,
            yes=yes or verb.asks is None or not verb.asks(given),
        )

    function: Callable[..., None] = click.pass_context(give)
    asking = () if verb.asks is None else (acting.yes_option,)
    for option in reversed((*asking, *verb.options)):
        function = option(function)
    return click.command(name, help=verb.help)(acting.options(function))
