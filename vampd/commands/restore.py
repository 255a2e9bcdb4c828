"""`vampd restore DATE`: forget derived work, keep facts."""

from __future__ import annotations

import click

from vampd.commands import acting


@click.command("restore")
@acting.options
@acting.yes_option
@click.option("--force", is_flag=True, help="Also where the night is safe already.")
@click.option("--prove", is_flag=True, help="Compute the raw files' digests, before and after.")
@click.pass_context
def command(
    context: click.Context,
    *,
    date: str,
    kind: str | None,
    force: bool,
    prove: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Delete the files that vampd made of a night, one by one, as the ledger lists them.

    Never a folder, never a raw file. Frame IDs stay with what they were given to, and copies on the
    other machine stay. Afterwards the night is held, until `vampd release` or `vampd retry`.
    """
    arguments = {"force": force, "prove": prove}
    acting.act(context, "restore", date, kind, arguments, dry_run=dry_run, as_json=as_json, yes=yes)
