"""Commands of ours, found by the words that name them."""

from __future__ import annotations

from collections.abc import Sequence

import click

from vampd.cli import group


def command_of(words: Sequence[str]) -> tuple[click.Command, list[str]]:
    """The command that *words* (without `vampd`) name, and the words after its name."""
    command: click.Command = group
    context = click.Context(group, info_name="vampd", **group.context_settings)
    rest = list(words)
    while isinstance(command, click.Group) and rest:
        found = command.get_command(context, rest[0])
        assert found is not None, f"no command {' '.join(words)}"
        context = click.Context(found, info_name=rest.pop(0), parent=context)
        command = found
    return command, rest
