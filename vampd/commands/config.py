"""`vampd admin config`: what is set, and whether it can be."""

from __future__ import annotations

import json

import click

from vampd.commands.screen import echo_json
from vampd.errors import ConfigError
from vampd.settings.load import examine, flatten, load
from vampd.shipped import default_config


@click.group("config")
def command() -> None:
    """Check or show the settings."""


@command.command("check")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def check(context: click.Context, *, as_json: bool) -> None:
    """Name every mistake in the configuration file. Exit 78 if there is one."""
    path = context.obj.config_path
    if as_json:
        _, problems = examine(path)
        echo_json({"path": str(path), "problems": problems})
        if problems:
            context.exit(ConfigError.exit_code)
    else:
        load(path)
        click.echo(f"{path}: no mistakes")


@command.command("show")
@click.option("--default", is_flag=True, help="The shipped file, with every key explained.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def show(context: click.Context, *, default: bool, as_json: bool) -> None:
    """Print every setting that is in force, as TOML.

    A key that is not printed is not set, and has no default.
    """
    if default and as_json:
        msg = "--default prints a commented file, which JSON cannot hold"
        raise click.UsageError(msg)
    if default:
        click.echo(default_config().read_text(encoding="utf-8"), nl=False)
        return
    path = context.obj.config_path
    settings = dict(flatten(load(path)))
    if as_json:
        echo_json({"path": str(path), "settings": settings})
        return
    click.echo(f"# {path}")
    for key, value in settings.items():
        click.echo(f"{key} = {_toml(value)}")


def _toml(value: object) -> str:
    """Say *value* as TOML does: like JSON, but for tables."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
