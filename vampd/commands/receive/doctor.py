"""`vampd receive doctor`: check everything that the receiver needs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import click

from vampd.commands.acting import actor
from vampd.commands.receive.site import config_of
from vampd.commands.screen import Screen, echo_json
from vampd.io.disk import free_bytes, read_marker
from vampd.receive.settings import Inbox, ReceiveConfig

Finding = tuple[str, str]  #: ok, warn or bad; and a sentence


@click.command("doctor")
@click.option("--claim", metavar="FOLDER", help="The disk there was changed: take it as it is now.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(context: click.Context, *, claim: str | None, as_json: bool) -> None:
    """Check folders, rights, free space and programs, as the user who asks.

    Exit code 1 if any of it is bad.
    """
    config = config_of(context)
    if claim is not None:
        from vampd.receive.orders import act

        for line in act(config, "claim", {"place": claim}, actor=actor())["lines"]:
            click.echo(line)
        return
    found = [*_of_folders(config), *_of_programs(config)]
    screen = Screen.of_stdout()
    if as_json:
        echo_json({"findings": [{"state": state, "text": text} for state, text in found]})
    for state, text in [] if as_json else found:
        click.echo(f"{screen.word(state, 5)} {text}")
    context.exit(1 if any(state == "bad" for state, _ in found) else 0)


def _of_folders(config: ReceiveConfig) -> Iterator[Finding]:
    for inbox in config.inbox:
        yield from _of_folder(str(inbox.folder), "nights are delivered into")
        yield from _of_folder(str(inbox.base()), "nights are moved on to")
        yield from _of_pair(inbox, config)
    for path in (config.state_dir,):
        if path.exists() and not os.access(path, os.W_OK | os.X_OK):
            yield "bad", f"state_dir {path} cannot be written by this user"


def _of_folder(folder: str, what: str) -> Iterator[Finding]:
    if not os.path.isdir(folder):  # noqa: PTH112 - beside os.access
        yield "bad", f"{folder}, which {what}, is no folder here: mount it, or make it"
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield "bad", f"{folder}, which {what}, cannot be written by this user"
    else:
        yield "ok", f"{folder}, which {what}, is there and writable"


def _of_pair(inbox: Inbox, config: ReceiveConfig) -> Iterator[Finding]:
    base = inbox.base()
    try:
        here, there = inbox.folder.stat(), base.stat()
        free = free_bytes(base)
    except OSError:
        return
    way = "renamed" if here.st_dev == there.st_dev else "copied, proved, and then removed"
    yield "ok", f"from {inbox.folder} to {base} files are {way}"
    least = config.disk.keep_free_gb * 1e9
    state = "ok" if free > least else "bad"
    yield state, f"{base} has {free / 1e9:.1f} GB free; disk.keep_free_gb is {least / 1e9:g}"
    try:
        read_marker(base)
    except FileNotFoundError:
        yield "warn", f"{base} has no marker yet: the receiver makes it with the first file"
    except OSError as error:
        yield "bad", f"{base}: its marker cannot be read: {error.strerror}"


def _of_programs(config: ReceiveConfig) -> Iterator[Finding]:
    needed = {"setpriv": "programs are run under it"}
    if any(step.executor == "slurm" for step in config.step):
        slurm = ("sbatch", "squeue", "scontrol", "sacct")
        needed |= dict.fromkeys(slurm, "the executor of a step is slurm")
    for step in (step for step in config.step if step.executor == "local"):
        needed[step.command[0]] = f"it is the command of the step {step.name}"
    for program, why in needed.items():
        if shutil.which(program) is None:
            yield "bad", f"{program} is not installed here, and {why}"
        else:
            yield "ok", f"{program} is installed"
