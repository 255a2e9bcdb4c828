"""`vampd admin page`: the nights in a browser. It reads the ledger, and changes nothing.

A process of its own, so that no visitor can disturb the daemon.
"""

from __future__ import annotations

import socket

import click

from vampd.errors import ConfigError, OperatorError


@click.command("page")
@click.option("--listen", metavar="HOST:PORT", help="Instead of page.listen of the settings.")
@click.pass_context
def command(context: click.Context, *, listen: str | None) -> None:
    """Serve the nights as web pages, until it is stopped; 127.0.0.1 only, unless configured."""
    config = context.obj.config()
    host, port = _address(listen or config.page.listen)
    try:
        import uvicorn

        from vampd.commands.page.app import make_app
    except ImportError as error:
        msg = f"the page needs {error.name}: install.sh --extras web, or pip install '.[web]'"
        raise OperatorError(msg) from error
    with _listening(host, port) as listener:
        click.echo(f"http://{host}:{port}/", err=True)
        settings = uvicorn.Config(
            make_app(config, host),
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        uvicorn.Server(settings).run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=_family(host))
    except OSError as error:
        msg = f"{host}:{port} cannot be listened at: {error.strerror}"
        raise OperatorError(msg) from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _address(text: str) -> tuple[str, int]:
    host, sign, port = text.rpartition(":")
    if not sign or not host or not port.isdigit() or not 0 < int(port) < 65536:
        msg = f"page.listen must be host:port, not {text!r}"
        raise ConfigError(msg)
    return host.strip("[]"), int(port)
