"""Where the files are that vampd ships beside its code.

In a wheel they lie inside the package; in an editable install, at the top of the checkout.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def migrations_folder() -> Path:
    """The numbered SQL files that make the ledger's schema."""
    return _shipped("migrations", "migrations")


def default_config() -> Path:
    """The commented configuration file, every key at its default."""
    return _shipped("data/config", "config") / "vampd.toml"


def receive_config() -> Path:
    """The receiver's, in the same way."""
    return default_config().with_name("vampd-receive.toml")


def unit_file() -> Path:
    """The systemd unit."""
    return _shipped("data/systemd", "systemd") / "vampd.service"


def _shipped(in_wheel: str, in_checkout: str) -> Path:
    inside = _PACKAGE / in_wheel
    return inside if inside.is_dir() else _PACKAGE.parent / in_checkout
