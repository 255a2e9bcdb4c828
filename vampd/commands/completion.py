"""`vampd admin completion SHELL`: how a shell completes commands, options and dates."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_PROGRAM = "vampd"

#: The variable by which a shell's script asks us what it may offer.
VARIABLE = "_VAMPD_COMPLETE"


_WHERE = """\b
bash  vampd admin completion bash >~/.local/share/bash-completion/completions/vampd
zsh   vampd admin completion zsh >DIR/_vampd, where DIR is one of $fpath
fish  vampd admin completion fish >~/.config/fish/completions/vampd.fish"""


@click.command("completion", epilog=_WHERE)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, *, shell: str) -> None:
    """Print the script that makes SHELL complete commands, options and the ledger's dates."""
    found = get_completion_class(shell)
    assert found is not None, shell  # click's own three
    script = found(context.find_root().command, {}, _PROGRAM, VARIABLE)
    click.echo(script.source_template % script.source_vars(), nl=False)
