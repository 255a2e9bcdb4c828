"""The receiver's settings: one frozen Struct per section of its own TOML file.

The shipped file (`vampd receive config --default`) explains every key.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Struct
from msgspec.structs import fields

from vampd.errors import ConfigError
from vampd.receive import setting_texts as texts
from vampd.receive.number_limits import NumberLimit
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
from vampd.settings.sections import Control, MailServer, Retry, Watch
from vampd.states import Kind

DEFAULT_PATH = Path("/etc/vampd/vampd-receive.toml")
PATH_VARIABLE = "VAMPD_RECEIVE_CONFIG"

_SERVICE_STATE = Path("/var/lib/vampd-receive")
_SERVICE_SOCKET = Path("/run/vampd-receive/vampd.sock")
_ANY_NIGHT = "20000101"
_ADDRESS = r"[A-Za-z0-9._%+=-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*"
_NAME = r"[A-Za-z][A-Za-z0-9_-]{0,39}"


class Inbox(Struct, frozen=True, kw_only=True):
    """A folder into which nights of one kind are delivered, and where they belong."""

    kind: Annotated[Kind, choice(*Kind)]
    folder: Annotated[Path, absolute_path()]
    to: Annotated[str, by(texts.local_template)]

    def base(self) -> Path:
        """The folder, which must be there, below which nights belong."""
        return Path(self.to.partition("{night}")[0].rpartition("/")[0] or "/")

    def place(self, date: str) -> Path:
        """Where the files of the night *date*, YYYYMMDD, belong."""
        return Path(self.to.replace("{night}", date))


class Look(Struct, frozen=True, kw_only=True):
    """When is looked, and when a file whose digest is wrong counts as whole all the same."""

    settle_seconds: Annotated[float, number(at_least=0)] = 30.0
    scan_seconds: Annotated[float, number(above=0)] = 15.0


class Workers(Struct, frozen=True, kw_only=True):
    """The processes that do the work."""

    processes: Annotated[int, whole(at_least=1, at_most=64)] = 2
    nice: Annotated[int, whole(at_least=0, at_most=19)] = 10


class Disk(Struct, frozen=True, kw_only=True):
    """Space that stays free where nights belong."""

    keep_free_gb: Annotated[float, number(at_least=0)] = 50.0


class Step(Struct, frozen=True, kw_only=True):
    """A command of the reduction, run for each night, target or segment that was received."""

    name: Annotated[str, text(_NAME, "a short name of letters, digits, - and _")]
    command: Annotated[tuple[str, ...], by(texts.step_command)]
    per: Annotated[Literal["night", "target", "segment"], choice("night", "target", "segment")] = (
        "night"
    )
    kinds: Annotated[tuple[str, ...], words("archive|engineering", "kinds")] = (
        "archive",
        "engineering",
    )
    folder: Annotated[str, by(texts.local_template_or_nothing)] = ""
    executor: Annotated[Literal["local", "slurm"], choice("local", "slurm")] = "local"
    sbatch: Annotated[tuple[str, ...], words()] = ()
    deadline_minutes: Annotated[float, number(above=0)] = 720.0
    tries: Annotated[int, whole(at_least=1, at_most=100)] = 3
    retry_exits: Annotated[tuple[int, ...], by(texts.exit_codes)] = (75,)
    limits: Annotated[tuple[NumberLimit, ...], by(texts.number_limits)] = ()


class Reduce(Struct, frozen=True, kw_only=True):
    """How much is reduced at a time."""

    jobs: Annotated[int, whole(at_least=1, at_most=1000)] = 2
    files_per_minute: Annotated[float, number(at_least=0)] = 0.0
    keep_free_gb: Annotated[float, number(at_least=0)] = 200.0
    quiet_minutes: Annotated[float, number(at_least=0)] = 10.0


class Alerts(Struct, frozen=True, kw_only=True):
    """What the sender's operators are told by mail, and when."""

    recipients: Annotated[tuple[str, ...], words(_ADDRESS, "mail addresses")] = ()
    every_minutes: Annotated[float, number(at_least=0)] = 30.0
    again_hours: Annotated[float, number(at_least=0)] = 24.0
    awaited_hours: Annotated[float, number(above=0)] = 12.0
    silent_minutes: Annotated[float, number(above=0)] = 10.0


class ReceiveConfig(Struct, frozen=True, kw_only=True):
    """Everything that can be set."""

    state_dir: Annotated[Path, absolute_path()] = _SERVICE_STATE
    inbox: Annotated[tuple[Inbox, ...], tables(Inbox)] = ()
    look: Annotated[Look, table(Look)] = Look()
    watch: Annotated[Watch, table(Watch)] = Watch()
    workers: Annotated[Workers, table(Workers)] = Workers()
    disk: Annotated[Disk, table(Disk)] = Disk()
    retry: Annotated[Retry, table(Retry)] = Retry()
    step: Annotated[tuple[Step, ...], tables(Step)] = ()
    reduce: Annotated[Reduce, table(Reduce)] = Reduce()
    mail: Annotated[MailServer, table(MailServer)] = MailServer()
    alerts: Annotated[Alerts, table(Alerts)] = Alerts()
    control: Annotated[Control, table(Control)] = Control()

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
    if isinstance(value, Struct):
        for each in fields(value):
            yield from _lines_of(getattr(value, each.name), f"{where}.{each.name}")
    elif isinstance(value, tuple) and value and isinstance(value[0], Struct):
        for number, entry in enumerate(value, start=1):
            yield from _lines_of(entry, f"{where}[{number}]")
    else:
        plain = value if isinstance(value, bool | int | float | list | tuple) else str(value)
        yield f"{where} = {json.dumps(plain)}"
