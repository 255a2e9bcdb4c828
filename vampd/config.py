"""The settings: one frozen dataclass per section of the TOML file, and the rules between them.

The shipped file (`vampd config show --default`) explains every key.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Literal

from vampd.errors import ConfigError
from vampd.io.place import Place
from vampd.settings import (
    absolute_path,
    by,
    choice,
    flag,
    number,
    read_section,
    table,
    tables,
    whole,
    words,
)
from vampd.states import Kind

DEFAULT_PATH = Path("/etc/vampd/vampd.toml")
PATH_VARIABLE = "VAMPD_CONFIG"

# The last number of an eight-digit counter.
_LAST_FRAME_NUMBER = 99_999_999

# sun_path holds 108 bytes, the last of them NUL (unix(7)).
_SOCKET_PATH_BYTES = 107

# Any date will do where a rule holds for all of them.
_ANY_NIGHT = "20000101"

_NIGHT_NAME = re.compile(r"[0-9]{8}")


def _place(value: object) -> Place:
    try:
        return Place.parse(value if isinstance(value, str) else "")
    except ConfigError:
        msg = f"must be an absolute folder or host:/folder, without '..', not {value!r}"
        raise ValueError(msg) from None


def _night_template(value: object) -> str:
    if not isinstance(value, str) or value.count("{night}") < 1:
        msg = f"must contain {{night}}, which becomes the date, not {value!r}"
        raise ValueError(msg)
    if re.search(r"[{}]", value.replace("{night}", "")):
        msg = f"may have no braces but those of {{night}}, not {value!r}"
        raise ValueError(msg)
    _place(value.replace("{night}", _ANY_NIGHT))
    return value


@dataclass(frozen=True, kw_only=True, slots=True)
class Root:
    """A folder whose eight-digit sub-folders are nights."""

    kind: Kind = field(metadata=choice(*Kind))
    path: Path = field(metadata=absolute_path())


@dataclass(frozen=True, kw_only=True, slots=True)
class Night:
    """When a file is whole, and when a night is over."""

    settle_seconds: float = field(default=30.0, metadata=number(at_least=0))
    quiet_minutes: float = field(default=30.0, metadata=number(at_least=0))
    grace_minutes: float = field(default=60.0, metadata=number(at_least=0))
    scan_seconds: float = field(default=60.0, metadata=number(above=0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """How changes are noticed between two scans."""

    events: bool = field(default=True, metadata=flag())


@dataclass(frozen=True, kw_only=True, slots=True)
class Workers:
    """The processes that do the work, beside the cameras' own."""

    processes: int = field(default=2, metadata=whole(at_least=1, at_most=64))
    nice: int = field(default=19, metadata=whole(at_least=0, at_most=19))


@dataclass(frozen=True, kw_only=True, slots=True)
class Cubes:
    """Where synchronised frames are cut into cubes."""

    max_seconds: float = field(default=10.0, metadata=number(above=0))
    max_gap_seconds: float = field(default=3.0, metadata=number(above=0))
    max_bytes: int = field(default=2_000_000_000, metadata=whole(at_least=1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Compress:
    """How cubes are compressed."""

    tiles: Literal["frame", "row"] = field(default="frame", metadata=choice("frame", "row"))


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameIds:
    """Who deals the numbers of archive nights. *first* has no default: a wrong one clashes."""

    issuer: Literal["local"] = field(default="local", metadata=choice("local"))
    first: int | None = field(default=None, metadata=whole(at_least=1, at_most=_LAST_FRAME_NUMBER))


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """Where the nights of one kind go, and where they count as safe."""

    destination: Place = field(metadata=by(_place))
    verify_at: str | None = field(default=None, metadata=by(_night_template))
    verify_after_hours: float = field(default=24.0, metadata=number(at_least=0))

    def sent_to(self, night: str) -> Place:
        """The folder to which the night's files are sent. *night* is YYYYMMDD."""
        return self.destination.child(night)

    def safe_at(self, night: str) -> Place:
        """The folder where the night's files count as safe. *night* is YYYYMMDD.

        A `verify_at` without a host is a folder of the destination's machine, for whoever
        moves the files on does so there.
        """
        if self.verify_at is None:
            return self.sent_to(night)
        place = Place.parse(self.verify_at.replace("{night}", night))
        return place if place.host else Place(path=place.path, host=self.destination.host)


@dataclass(frozen=True, kw_only=True, slots=True)
class Deliveries:
    """A delivery for each kind of night that has a root."""

    archive: Delivery | None = field(default=None, metadata=table(Delivery))
    engineering: Delivery | None = field(default=None, metadata=table(Delivery))

    def of(self, kind: Kind) -> Delivery | None:
        """The delivery of nights of *kind*; never None when *kind* has a root."""
        return self.archive if kind is Kind.ARCHIVE else self.engineering


@dataclass(frozen=True, kw_only=True, slots=True)
class Ssh:
    """How the far machine is reached."""

    options: tuple[str, ...] = field(default=(), metadata=words())
    connect_timeout_seconds: int = field(default=15, metadata=whole(at_least=1, at_most=3600))


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """How long to wait before work that failed for a passing cause is tried again."""

    first_seconds: float = field(default=30.0, metadata=number(above=0))
    longest_seconds: float = field(default=3600.0, metadata=number(above=0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Disk:
    """Space that the cameras must keep."""

    keep_free_gb: float = field(default=0.0, metadata=number(at_least=0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Control:
    """Where the commands reach the running daemon."""

    socket: Path | None = field(default=None, metadata=absolute_path())


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Everything that can be set. Made by `load`, which checks the rules between sections."""

    state_dir: Path = field(default=Path("/var/lib/vampd"), metadata=absolute_path())
    roots: tuple[Root, ...] = field(default=(), metadata=tables(Root))
    night: Night = field(default=Night(), metadata=table(Night))
    watch: Watch = field(default=Watch(), metadata=table(Watch))
    workers: Workers = field(default=Workers(), metadata=table(Workers))
    cubes: Cubes = field(default=Cubes(), metadata=table(Cubes))
    compress: Compress = field(default=Compress(), metadata=table(Compress))
    frame_ids: FrameIds = field(default=FrameIds(), metadata=table(FrameIds))
    delivery: Deliveries = field(default=Deliveries(), metadata=table(Deliveries))
    ssh: Ssh = field(default=Ssh(), metadata=table(Ssh))
    retry: Retry = field(default=Retry(), metadata=table(Retry))
    disk: Disk = field(default=Disk(), metadata=table(Disk))
    control: Control = field(default=Control(), metadata=table(Control))

    @property
    def socket(self) -> Path:
        """Where the commands reach the running daemon."""
        return self.control.socket or self.state_dir / "vampd.sock"

    def root_of(self, kind: Kind) -> Root | None:
        """The root of nights of *kind*, if there is one."""
        return next((root for root in self.roots if root.kind is kind), None)


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
        return None, [f"cannot be read: {error.strerror}"]
    except ValueError as error:  # of TOML or of UTF-8
        return None, [f"is not TOML: {error}"]
    problems: list[str] = []
    config = read_section(Config, tables_of_file, "", problems)
    if config is not None:
        problems += _disagreements(config, problems)
    return config, problems


def flatten(value: object, where: str = "") -> Iterator[tuple[str, object]]:
    """Every setting as its dotted key and a value that both JSON and TOML can hold.

    What is not set, and has no default, is left out.
    """
    if is_dataclass(value) and not isinstance(value, Place):
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
    if length > _SOCKET_PATH_BYTES:
        yield (
            f"control.socket is {config.socket}, {length} bytes long, "
            f"but a socket's path has at most {_SOCKET_PATH_BYTES}: set it to a shorter one"
        )


def _archive_has_numbers(config: Config) -> Iterator[str]:
    if config.root_of(Kind.ARCHIVE) and config.frame_ids.first is None:
        yield (
            "frame_ids.first is missing: set it to a number above "
            "every VMPA number that was ever used"
        )


def _deliveries_fit(config: Config) -> Iterator[str]:
    for kind in Kind:
        delivery = config.delivery.of(kind)
        if config.root_of(kind) and delivery is None:
            yield f"delivery.{kind} is missing, but there is a root of kind {kind}"
        if delivery is not None:
            yield from _copies_are_apart(kind, delivery, config)
    archive, engineering = config.delivery.archive, config.delivery.engineering
    if archive is None or engineering is None:
        return
    if archive.destination == engineering.destination:
        yield (
            f"delivery.engineering.destination is that of delivery.archive, {archive.destination}, "
            "so nights of one date would mix"
        )
    elif archive.safe_at(_ANY_NIGHT) == engineering.safe_at(_ANY_NIGHT):
        yield (
            "delivery.engineering.verify_at is the same folder as that of delivery.archive, "
            "so nights of one date would mix"
        )


def _copies_are_apart(kind: Kind, delivery: Delivery, config: Config) -> Iterator[str]:
    sent, safe = delivery.sent_to(_ANY_NIGHT), delivery.safe_at(_ANY_NIGHT)
    for place, key in {safe: "verify_at", sent: "destination"}.items():
        if place.host is None and (night := _night_around(Path(place.path), config)):
            yield (
                f"delivery.{kind}.{key} puts the copies of {_ANY_NIGHT} into {night}, "
                "a night of a root: a copy must lie elsewhere"
            )


def _retries_grow(config: Config) -> Iterator[str]:
    if config.retry.longest_seconds < config.retry.first_seconds:
        yield (
            f"retry.longest_seconds must not be less than retry.first_seconds "
            f"({config.retry.first_seconds:g}), and is {config.retry.longest_seconds:g}"
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
)


def _disagreements(config: Config, problems: list[str]) -> list[str]:
    """Check the rules between sections, each where no section that it compares has a problem."""
    return [
        disagreement
        for sections, rule in _RULES
        if not any(problem.startswith(sections) for problem in problems)
        for disagreement in rule(config)
    ]
