"""`vampd COMMAND`: finds the command, and turns an error into its message and exit code.

A command's module is imported when the command is run, and not before: `vampd status` is to
start faster than astropy can be imported.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem
from msgspec import Struct

from vampd import __version__
from vampd.commands.names import GROUPS, LISTED, MOVED, nearest
from vampd.errors import UsageError, VampdError
from vampd.settings.load import find, load
from vampd.settings.sections import Config

#: What a shell says of a program that Ctrl-C ended: 128 and the signal's number.
_INTERRUPTED = 130

#: Set while a shell asks what it may offer: an error's text would land in somebody's prompt.
_COMPLETING = "_VAMPD_COMPLETE"

#: Commands that give one order about a night: all of one module.
_VERBS = frozenset(
    {"close", "retry", "hold", "release", "restore", "abandon", "keep", "undelete", "ack"}
)


class Invocation(Struct, frozen=True, kw_only=True):
    """What every command is given: which settings are meant."""

    config_path: Path
    explicit: str | None = None  #: what --config says

    def config(self) -> Config:
        """The settings. ConfigError: they cannot be used."""
        return _loaded(self.config_path)


@cache
def _loaded(path: Path) -> Config:
    return load(path)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are run, and listed without that.

    *sections*: under each heading the commands, with what is said of each. *package*: with the
    module of each command.
    """

    def __init__(
        self,
        *arguments: Any,
        sections: Mapping[str, Mapping[str, str]] = LISTED,
        package: str = "vampd.commands",
        **more: Any,
    ) -> None:
        super().__init__(*arguments, **more)
        self._package = package
        self._sections = sections
        self._said = {name: said for rows in sections.values() for name, said in rows.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The commands, in the order in which they are told."""
        return list(self._said)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return the command; None when there is none of that name."""
        if cmd_name not in self._said:
            return None
        is_general = self._package == "vampd.commands"
        if is_general and cmd_name in GROUPS:
            return _group_of(cmd_name)
        if is_general and cmd_name in _VERBS:
            return importlib.import_module("vampd.commands.verbs").command_of(cmd_name)  # type: ignore[no-any-return]
        module = importlib.import_module(f"{self._package}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """`vampd help [COMMAND]` is `vampd [COMMAND] --help`; old names and mistyped ones."""
        if args[0] == "help":
            args = [*args[1:], "--help"]
            if args == ["--help"]:
                click.echo(ctx.get_help())
                ctx.exit()
        if ctx.parent is None and args[0] in MOVED:
            args = _moved(args)
        if args[0] not in self._said:
            ctx.fail(_unknown(" ".join([*ctx.command_path.split()[1:], args[0]])))
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Offer commands without importing them; after a dash, options."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=said)
            for name, said in self._said.items()
            if name.startswith(incomplete)
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them, under their headings."""
        for heading, rows in self._sections.items():
            with formatter.section(heading):
                formatter.write_dl([(f"{name:<13}", said) for name, said in rows.items()])


def _group_of(name: str) -> LazyGroup:
    found = GROUPS[name]
    return LazyGroup(
        name=name, help=found.said, sections={"Commands": found.commands}, package=found.package
    )


def _moved(args: list[str]) -> list[str]:
    """The words of today for a command's name of the last version."""
    now = MOVED[args[0]]
    if "--json" not in args:
        click.echo(
            f"vampd: `vampd {args[0]}` is now `vampd {' '.join(now)}`; the next version will not"
            " know the old name",
            err=True,
        )
    return [*now, *args[1:]]


def _unknown(typed: str) -> str:
    near = nearest(typed)
    hint = f"did you mean {' or '.join(near)}?" if near else "`vampd help` lists the commands"
    return f"there is no command {typed!r}; {hint}"


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--config",
    "config_path",
    metavar="FILE",
    type=click.Path(),
    help="The settings; else $VAMPD_CONFIG, else /etc/vampd/vampd.toml.",
)
@click.version_option(__version__, prog_name="vampd", message="%(prog)s %(version)s")
@click.pass_context
def group(context: click.Context, config_path: str | None) -> None:
    """Carry each night of the VAMPIRES cameras from raw cubes to verified copies."""
    context.obj = Invocation(config_path=find(config_path), explicit=config_path)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit: 0 done, else what the error's class says."""
    sys.exit(_exit_code(arguments))


def _exit_code(arguments: Sequence[str] | None) -> int:
    if _COMPLETING in os.environ:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the end
    try:
        code = group.main(args=arguments, prog_name="vampd", standalone_mode=False)
    except click.Abort:
        click.echo("vampd: interrupted", err=True)
        return _INTERRUPTED
    except click.ClickException as error:
        error.show()
        return UsageError.exit_code
    except VampdError as error:
        click.echo(f"vampd: {error}", err=True)
        return error.exit_code
    except OSError as error:
        click.echo(f"vampd: {_sentence(error)}", err=True)
        return VampdError.exit_code
    return code if isinstance(code, int) else 0


def _sentence(error: OSError) -> str:
    """What the system refused, and of which file."""
    why = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {why}" if error.filename is not None else why
