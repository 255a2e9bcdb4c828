"""`vampd COMMAND`: finds the command, and turns an error into its message and exit code.

A command's module is imported when the command is run, and not before: `vampd status` is to
start faster than astropy can be imported.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NoReturn

import click
from click.shell_completion import CompletionItem

from vampd import __version__
from vampd.errors import UsageError, VampdError
from vampd.settings.load import find, load
from vampd.settings.sections import Config

#: What a shell says of a program that Ctrl-C ended: 128 and the signal's number.
_INTERRUPTED = 130

#: Set while a shell asks what it may offer: an error's text would land in somebody's prompt.
_COMPLETING = "_VAMPD_COMPLETE"

#: Each command with what the list of commands says of it: nothing is imported to print it.
COMMANDS: Mapping[str, str] = {
    "status": "Where every night is.",
    "show": "All that is known of a night.",
    "log": "What happened, when, by whom, and why.",
    "explain": "Why a night is where it is, and what to type.",
    "trace": "Follow a frame from an output to its raw file, and back.",
    "page": "The nights in a browser.",
    "report": "A night as one HTML file.",
    "watch": "Watch cubes arrive, live.",
    "summary": "What a night came to, minute by minute.",
    "files": "The files of a night.",
    "headers": "Header cards of a night's files as a table.",
    "audit": "Prove that every frame of a night is in exactly one place.",
    "verify": "Compute every digest of a night afresh, here and at the far end.",
    "close": "Say that a night is over.",
    "retry": "Resume a night that failed, waits or is held.",
    "restore": "Forget a night's derived files; keep its raw ones.",
    "hold": "Stop a night until it is released.",
    "release": "Let a held night go on.",
    "quarantine": "List a night's bad files, and decide about them.",
    "ids": "Frame IDs: see them, prove them, decide what is unclear.",
    "abandon": "Give a night up; keep its raw files.",
    "keep": "Keep a night's files on this machine.",
    "unkeep": "Let a kept night's space be given back.",
    "reclaim": "Give space back, or say what could go and why the rest may not.",
    "undelete": "Put a night's files back from the trash.",
    "rebuild-raw": "Make raw files again, bit for bit, from what was delivered.",
    "rebuild-db": "Make a lost ledger again from the nights' papers.",
    "manifest": "Print a night's manifest, or mail it to the archive team.",
    "ack": "Record that the archive has a night's files.",
    "run": "The daemon.",
    "demo": "See a whole simulated night go through.",
    "simulate": "Write a night as the cameras do.",
    "doctor": "Check everything that vampd needs.",
    "check": "Say in one line whether all is well; for Nagios and Icinga.",
    "metrics": "The ledger in numbers; for Prometheus.",
    "config": "Check or show the settings.",
    "hooks": "How the site's own commands ended, which run once a night is safe.",
    "completion": "Print the script for a shell's completion.",
    "migrate": "Bring the ledger to this version's schema.",
    "import-legacy": "Take over what the earlier pipeline left.",
    "shadow-report": "How the earlier pipeline's result differs from the plan.",
}

#: Under what the list of commands tells them: by the first of each.
_HEADINGS = {
    "status": "Look",
    "close": "Decide about a night",
    "keep": "Space, and what was lost",
    "manifest": "The archive team",
    "run": "The daemon and its site",
    "import-legacy": "The earlier pipeline",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Invocation:
    """What every command is given: which settings are meant."""

    config_path: Path

    def config(self) -> Config:
        """The settings. ConfigError: they cannot be used."""
        return _loaded(self.config_path)


@cache
def _loaded(path: Path) -> Config:
    return load(path)


class LazyGroup(click.Group):
    """A group whose commands are `vampd.commands.NAME.command`, imported when they are run."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The commands, in the order in which they are told."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return the command; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"vampd.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """`vampd help [COMMAND]` is `vampd [COMMAND] --help`; a mistyped command gets a hint."""
        if args[0] == "help":
            args = [*args[1:2], "--help"]
            if args == ["--help"]:
                click.echo(ctx.get_help())
                ctx.exit()
        if args[0] not in COMMANDS:
            ctx.fail(_unknown(args[0]))
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Offer commands without importing them; after a dash, options."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=said)
            for name, said in COMMANDS.items()
            if name.startswith(incomplete)
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them, under their headings."""
        told: dict[str, list[tuple[str, str]]] = {}
        heading = ""
        for name, said in COMMANDS.items():
            heading = _HEADINGS.get(name, heading)
            told.setdefault(heading, []).append((name, said))
        for heading, rows in told.items():
            with formatter.section(heading):
                formatter.write_dl([(f"{name:<13}", said) for name, said in rows])


def _unknown(typed: str) -> str:
    import difflib  # late: `vampd status` is to start fast

    near = difflib.get_close_matches(typed, COMMANDS, n=3)
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
    context.obj = Invocation(config_path=find(config_path))


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
