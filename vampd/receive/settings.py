"""The receiver's settings: one frozen dataclass per section of its own TOML file.

The shipped file (`vampd receive config --default`) explains every key.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Literal

from vampd.errors import ConfigError
from vampd.receive import setting_texts as texts
from vampd.settings.fields import (
    absolute_path,
    by,
    choice,
    number,
    read_section,
    table,
    tables,
    text,
    whole,
    words,
)
from vampd.settings.sections import Control, Retry, Watch
from vampd.states import Kind

DEFAULT_PATH = Path("/etc/vampd/vampd-receive.toml")
PATH_VARIABLE = "VAMPD_RECEIVE_CONFIG"

_SERVICE_STATE = Path("/var/lib/vampd-receive")
_SERVICE_SOCKET = Path("/run/vampd-receive/vampd.sock")
_ANY_NIGHT = "20000101"
_ADDRESS = r"[A-Za-z0-9._%+=-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*"
_NAME = r"[A-Za-z][A-Za-z0-9_-]{0,39}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Inbox:
    """A folder into which nights of one kind are delivered, and where they belong."""

    kind: Kind = field(metadata=choice(*Kind))
    folder: Path = field(metadata=absolute_path())
    to: str = field(metadata=by(texts.local_template))

    def base(self) -> Path:
        """The folder, which must be there, below which nights belong."""
        return Path(self.to.partition("{night}")[0].rpartition("/")[0] or "/")

    def place(self, date: str) -> Path:
        """Where the files of the night *date*, YYYYMMDD, belong."""
        return Path(self.to.replace("{night}", date))


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """When is looked, and when a file whose digest is wrong counts as whole all the same."""

    settle_seconds: float = field(default=30.0, metadata=number(at_least=0))
    scan_seconds: float = field(default=15.0, metadata=number(above=0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Workers:
    """The processes that do the work."""

    processes: int = field(default=2, metadata=whole(at_least=1, at_most=64))
    nice: int = field(default=10, metadata=whole(at_least=0, at_most=19))


@dataclass(frozen=True, kw_only=True, slots=True)
class Disk:
    """Space that stays free where nights belong."""

    keep_free_gb: float = field(default=50.0, metadata=number(at_least=0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A command of the reduction, run for each night, target or segment that was received."""

    name: str = field(metadata=text(_NAME, "a short name of letters, digits, - and _"))
    command: tuple[str, ...] = field(metadata=by(texts.step_command))
    per: Literal["night", "target", "segment"] = field(
        default="night", metadata=choice("night", "target", "segment")
    )
    kinds: tuple[str, ...] = field(
        default=("archive", "engineering"), metadata=words("archive|engineering", "kinds")
    )
    folder: str = field(default="", metadata=by(texts.local_template_or_nothing))
    executor: Literal["local", "slurm"] = field(default="local", metadata=choice("local", "slurm"))
    sbatch: tuple[str, ...] = field(default=(), metadata=words())
    deadline_minutes: float = field(default=720.0, metadata=number(above=0))
    tries: int = field(default=3, metadata=whole(at_least=1, at_most=100))
    retry_exits: tuple[int, ...] = field(default=(75,), metadata=by(texts.exit_codes))


@dataclass(frozen=True, kw_only=True, slots=True)
class Reduce:
    """How much is reduced at a time."""

    jobs: int = field(default=2, metadata=whole(at_least=1, at_most=1000))
    files_per_minute: float = field(default=0.0, metadata=number(at_least=0))
    keep_free_gb: float = field(default=200.0, metadata=number(at_least=0))
    quiet_minutes: float = field(default=10.0, metadata=number(at_least=0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Mail:
    """The server that takes mails."""

    host: str = field(default="", metadata=text())
    port: int = field(default=25, metadata=whole(at_least=1, at_most=65535))
    security: Literal["plain", "starttls", "tls"] = field(
        default="plain", metadata=choice("plain", "starttls", "tls")
    )
    user: str = field(default="", metadata=text())
    password_file: str = field(default="", metadata=text(r"(/[ -~]*)?", "an absolute path"))
    ca_file: str = field(default="", metadata=text(r"(/[ -~]*)?", "an absolute path"))
    answer_seconds: float = field(default=300.0, metadata=number(above=0))
    deadline_seconds: float = field(default=900.0, metadata=number(above=0))
    sender: str = field(default="", metadata=text(rf"({_ADDRESS})?", "a mail address"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Alerts:
    """What the sender's operators are told by mail, and when."""

    recipients: tuple[str, ...] = field(default=(), metadata=words(_ADDRESS, "mail addresses"))
    every_minutes: float = field(default=30.0, metadata=number(at_least=0))
    again_hours: float = field(default=24.0, metadata=number(at_least=0))
    awaited_hours: float = field(default=12.0, metadata=number(above=0))
    silent_minutes: float = field(default=10.0, metadata=number(above=0))


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceiveConfig:
    """Everything that can be set."""

    state_dir: Path = field(default=_SERVICE_STATE, metadata=absolute_path())
    inbox: tuple[Inbox, ...] = field(default=(), metadata=tables(Inbox))
    look: Look = field(default=Look(), metadata=table(Look))
    watch: Watch = field(default=Watch(), metadata=table(Watch))
    workers: Workers = field(default=Workers(), metadata=table(Workers))
    disk: Disk = field(default=Disk(), metadata=table(Disk))
    retry: Retry = field(default=Retry(), metadata=table(Retry))
    step: tuple[Step, ...] = field(default=(), metadata=tables(Step))
    reduce: Reduce = field(default=Reduce(), metadata=table(Reduce))
    mail: Mail = field(default=Mail(), metadata=table(Mail))
    alerts: Alerts = field(default=Alerts(), metadata=table(Alerts))
    control: Control = field(default=Control(), metadata=table(Control))

    @property
    def socket(self) -> Path:
        """Where the commands reach the running receiver."""
        if self.control.socket is None and self.state_dir == _SERVICE_STATE:
            return _SERVICE_SOCKET
        return self.control.socket or self.state_dir / "vampd.sock"

    def inbox_of(self, kind: str) -> Inbox | None:
        """The inbox of nights of *kind*, if there is one."""
        return next((inbox for inbox in self.inbox if inbox.kind == kind), None)


def find(explicit: str | None) -> Path:
    """The file to load: *explicit*, else what $VAMPD_RECEIVE_CONFIG names, else the system's."""
    return Path(explicit or os.environ.get(PATH_VARIABLE) or DEFAULT_PATH)


def load(path: Path) -> ReceiveConfig:
    """Read the settings from the TOML file *path*.

    ConfigError: it cannot be read, or anything in it is wrong; the message lists all.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = (
            f"{path}: cannot be read: {error.strerror}; `vampd receive config --default` prints one"
        )
        raise ConfigError(msg) from error
    except ValueError as error:  # of TOML or of UTF-8
        msg = f"{path}: is not TOML: {error}"
        raise ConfigError(msg) from error
    problems: list[str] = []
    config = read_section(ReceiveConfig, content, "", problems)
    if config is not None and not problems:
        problems += _disagreements(config)
    if problems or config is None:
        raise ConfigError("\n  - ".join([f"{path}:", *problems]))
    return config


def _disagreements(config: ReceiveConfig) -> Iterator[str]:
    if not config.inbox:
        yield "inbox is empty, so nothing is received: add [[inbox]] with kind, folder and to"
    for kind in Kind:
        if sum(inbox.kind is kind for inbox in config.inbox) > 1:
            yield f"inbox has more than one of kind {kind}, but a date has one night of each kind"
    for inbox in config.inbox:
        yield from _inbox_is_apart(inbox, config)
    names = [step.name for step in config.step]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"step has {name} more than once"
    if config.alerts.recipients and not (config.mail.host and config.mail.sender):
        yield "mail.host and mail.sender are needed, because alerts.recipients is set"


def _inbox_is_apart(inbox: Inbox, config: ReceiveConfig) -> Iterator[str]:
    place = inbox.place(_ANY_NIGHT)
    for other in config.inbox:
        if place == other.folder / _ANY_NIGHT:
            yield f"inbox.to puts {inbox.kind} nights into {place}, where others are delivered"
        if other is not inbox and other.place(_ANY_NIGHT) == place and other.kind < inbox.kind:
            yield f"inbox.to is {inbox.to} for both kinds, so nights of one date would mix"
    night = re.compile(re.escape(str(inbox.folder)) + r"/[0-9]{8}(/|\Z)")
    if night.match(str(config.state_dir)):
        yield f"state_dir must not lie inside a night, and is {config.state_dir}"


def as_lines(config: ReceiveConfig) -> Iterator[str]:
    """Every setting as `key = value`, dotted; of lists of tables, entry by entry."""
    for each in fields(config):
        yield from _lines_of(getattr(config, each.name), each.name)


def _lines_of(value: object, where: str) -> Iterator[str]:
    if is_dataclass(value):
        for each in fields(value):
            yield from _lines_of(getattr(value, each.name), f"{where}.{each.name}")
    elif isinstance(value, tuple) and value and is_dataclass(value[0]):
        for number, entry in enumerate(value, start=1):
            yield from _lines_of(entry, f"{where}[{number}]")
    else:
        plain = value if isinstance(value, bool | int | float | list | tuple) else str(value)
        yield f"{where} = {json.dumps(plain)}"
