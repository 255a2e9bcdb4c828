"""Reading the settings, and the rules between their sections.

The shipped file (`vampd admin config show --default`) explains every key.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import fields

from vampd.errors import ConfigError
from vampd.remote.location import Location
from vampd.settings.fields import read_section
from vampd.settings.sections import READING, Config, Delivery, Root
from vampd.settings.texts import ANY_NIGHT
from vampd.states import Kind

DEFAULT_PATH = Path("/etc/vampd/vampd.toml")
PATH_VARIABLE = "VAMPD_CONFIG"

# sun_path holds 108 bytes, the last of them NUL (unix(7)).
_SOCKET_PATH_BYTES = 107

_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})

_NIGHT_NAME = re.compile(r"[0-9]{8}")


def find(explicit: str | None) -> Path:
    """The file to load: *explicit*, else what $VAMPD_CONFIG names, else the system's."""
    return Path(explicit or os.environ.get(PATH_VARIABLE) or DEFAULT_PATH)


def load(path: Path) -> Config:
    """Read the settings from the TOML file *path*.

    ConfigError: it cannot be read, or anything in it is wrong; the message lists all.
    """
    config, problems = examine(path)
    if problems or config is None:
        raise ConfigError("\n  - ".join([f"{path}:", *problems]))
    return config


def examine(path: Path) -> tuple[Config | None, list[str]]:
    """The settings in the TOML file *path*, and all that is wrong with them.

    With problems, the settings are not to be used.
    """
    try:
        tables_of_file = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return None, [_why_unread(path, error)]
    except ValueError as error:  # of TOML or of UTF-8
        return None, [f"is not TOML: {error}"]
    problems: list[str] = []
    config = read_section(Config, tables_of_file, "", problems)
    if config is not None:
        problems += _disagreements(config, problems)
    return config, problems


def _why_unread(path: Path, error: OSError) -> str:
    """What is wrong with a file that cannot be read, and the next step."""
    if isinstance(error, FileNotFoundError):
        return (
            "is not there: systemd/install.sh writes one; by hand it is"
            f" `vampd admin config show --default >{path}`. Name another one by --config FILE or"
            f" ${PATH_VARIABLE}; `vampd admin demo` needs none"
        )
    if isinstance(error, PermissionError):
        return "is not open to this user: chmod a+r, as its owner (it holds no secrets)"
    return f"cannot be read: {error.strerror}"


def flatten(value: object, where: str = "") -> Iterator[tuple[str, object]]:
    """Every setting as its dotted key and a value that both JSON and TOML can hold.

    What is not set, and has no default, is left out.
    """
    if isinstance(value, Struct) and not isinstance(value, Location):
        for each in fields(value):
            at = f"{where}.{each.name}" if where else each.name
            yield from flatten(getattr(value, each.name), at)
    elif value is not None:
        yield where, _plain(value)


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, Root):
        return {"kind": str(value.kind), "path": str(value.path)}
    return value if isinstance(value, bool | int | float) else str(value)


def _roots_are_apart(config: Config) -> Iterator[str]:
    if not config.roots:
        yield "roots is empty, so there is nothing to watch: add [[roots]] with kind and path"
    for kind in Kind:
        same = [str(root.path) for root in config.roots if root.kind is kind]
        if len(same) > 1:
            yield f"roots has {len(same)} of kind {kind}, but a date has one night of each kind"
    paths = [root.path for root in config.roots]
    for path in sorted({path for path in paths if paths.count(path) > 1}):
        yield f"roots has {path} more than once"
    for path in paths:
        if night := _night_around(path, config):
            yield f"roots has {path}, which lies inside the night {night}"


def _state_is_apart(config: Config) -> Iterator[str]:
    for key, path in (("state_dir", config.state_dir), ("control.socket", config.control.socket)):
        if path is not None and (night := _night_around(path, config)):
            yield f"{key} must not lie inside a night, and {path} lies inside {night}"
    length = len(os.fsencode(config.socket))
    if length > _SOCKET_PATH_BYTES - len(READING):
        yield (
            f"control.socket is {config.socket}, {length} bytes long, but it may have at most"
            f" {_SOCKET_PATH_BYTES - len(READING)}, for a second socket's path has"
            f" {len(READING)} more: set it to a shorter one"
        )
    if config.control.group and config.socket.is_relative_to(config.state_dir):
        yield (
            f"control.group is {config.control.group}, but control.socket is {config.socket}, in"
            " state_dir, which nobody but the daemon's user may enter: set it to one elsewhere"
        )


def _archive_has_numbers(config: Config) -> Iterator[str]:
    numbers = config.frame_ids
    if config.root_of(Kind.ARCHIVE) is None:
        return
    if numbers.issuer == "local" and numbers.first is None:
        yield (
            "frame_ids.first is missing: set it to a number above "
            "every VMPA number that was ever used"
        )
    if numbers.issuer == "command" and not any("{count}" in word for word in numbers.command):
        yield (
            "frame_ids.command must be a program and its words, one of them with {count}, "
            f"because frame_ids.issuer is command; it is {list(numbers.command)}"
        )
    if numbers.issuer == "gen2" and numbers.gen2_name_service is None:
        yield "frame_ids.gen2_name_service is missing, and frame_ids.issuer is gen2"


def _builders_can_be_had(config: Config) -> Iterator[str]:
    if config.workers.executor == "dask" and not config.workers.dask_scheduler:
        yield "workers.dask_scheduler is missing, and workers.executor is dask"


def _deliveries_fit(config: Config) -> Iterator[str]:
    for kind in Kind:
        delivery = config.delivery.of(kind)
        if config.root_of(kind) and delivery is None:
            yield f"delivery.{kind} is missing, but there is a root of kind {kind}"
        if delivery is not None:
            yield from _copies_are_apart(kind, delivery, config)
            if delivery.far_helper and delivery.destination.host is None:
                yield (
                    f"delivery.{kind}.far_helper is {delivery.far_helper}, but the destination "
                    f"{delivery.destination} is of this machine: leave it empty"
                )
    archive, engineering = config.delivery.archive, config.delivery.engineering
    if archive is None or engineering is None:
        return
    if archive.destination == engineering.destination:
        yield (
            f"delivery.engineering.destination is that of delivery.archive, {archive.destination}, "
            "so nights of one date would mix"
        )
    elif archive.safe_at(ANY_NIGHT) == engineering.safe_at(ANY_NIGHT):
        yield (
            "delivery.engineering.verify_at is the same folder as that of delivery.archive, "
            "so nights of one date would mix"
        )


def _copies_are_apart(kind: Kind, delivery: Delivery, config: Config) -> Iterator[str]:
    sent, safe = delivery.sent_to(ANY_NIGHT), delivery.safe_at(ANY_NIGHT)
    for place, key in {safe: "verify_at", sent: "destination"}.items():
        if place.host is None and (night := _night_around(Path(place.path), config)):
            yield (
                f"delivery.{kind}.{key} puts the copies of {ANY_NIGHT} into {night}, "
                "a night of a root: a copy must lie elsewhere"
            )


def _retries_grow(config: Config) -> Iterator[str]:
    if config.retry.longest_seconds < config.retry.first_seconds:
        yield (
            f"retry.longest_seconds must not be less than retry.first_seconds "
            f"({config.retry.first_seconds:g}), and is {config.retry.longest_seconds:g}"
        )


def _mails_can_be_sent(config: Config) -> Iterator[str]:
    mail = config.mail
    needed: dict[str, str] = {}
    if config.alerts.recipients:
        needed |= dict.fromkeys(("host", "sender"), "alerts.recipients")
    if mail.recipients:
        needed |= dict.fromkeys(("host", "sender", "data_host"), "mail.recipients")
    for key, why in needed.items():
        if not getattr(mail, key):
            yield f"mail.{key} is missing, but {why} is set"
    if mail.mode == "auto" and not mail.recipients:
        yield 'mail.mode is "auto", but mail.recipients is empty: who is to be told?'
    if bool(mail.user) is not bool(mail.password_file):
        yield "mail.user and mail.password_file belong together, and one of them is missing"
    if mail.user and mail.security == "plain" and mail.host not in {"", *_THIS_MACHINE}:
        yield (
            f"mail.password_file would go to {mail.host} for everybody to read: "
            'set mail.security to "starttls" or "tls"'
        )


def _night_around(path: Path, config: Config) -> Path | None:
    """The night's folder in which *path* lies, or which it is."""
    for folder in (path, *path.parents):
        if _NIGHT_NAME.fullmatch(folder.name) and any(
            folder.parent == root.path for root in config.roots
        ):
            return folder
    return None


_Rule = Callable[[Config], Iterator[str]]

_RULES: tuple[tuple[tuple[str, ...], _Rule], ...] = (
    (("roots",), _roots_are_apart),
    (("roots", "state_dir", "control"), _state_is_apart),
    (("roots", "frame_ids"), _archive_has_numbers),
    (("roots", "delivery"), _deliveries_fit),
    (("retry",), _retries_grow),
    (("workers",), _builders_can_be_had),
    (("mail", "alerts"), _mails_can_be_sent),
)


def _disagreements(config: Config, problems: list[str]) -> list[str]:
    """Check the rules between sections, each where no section that it compares has a problem."""
    return [
        disagreement
        for sections, rule in _RULES
        if not any(problem.startswith(sections) for problem in problems)
        for disagreement in rule(config)
    ]
