"""The settings: one frozen dataclass per section of the TOML file.

The shipped file (`vampd admin config show --default`) explains every key; `vampd.settings.load`
reads it, and holds the rules between sections.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vampd.remote.bandwidth import Window
from vampd.remote.location import Location
from vampd.settings import texts
from vampd.settings.fields import (
    absolute_path,
    by,
    choice,
    flag,
    number,
    table,
    tables,
    text,
    whole,
    words,
    words_of,
)
from vampd.states import Kind

# The last number of an eight-digit counter.
_LAST_FRAME_NUMBER = 99_999_999

_SUBJECT = "VAMPIRES {nights}: {files} for the archive"
_TEXT = (
    "The files of {nights} are complete: {files} of {size} in all, {frame_ids}.\n"
    "They lie on {data_host}, at the paths that the attached {manifest} lists\n"
    "(SHA-256 {digest}).\n\n"
    "{list}\n\n"
    "Please answer this mail when they are in the archive; they are kept until then.\n"
)

# Plain addresses: whatever RFC 5322 would also allow is a typing error more often than not.
_ADDRESS = r"[A-Za-z0-9._%+=-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*"
_ADDRESS_OR_NOTHING = rf"({_ADDRESS})?"
_PATH_OR_NOTHING = r"(/[ -~]*)?"
_GROUP_OR_NOTHING = r"([A-Za-z_][A-Za-z0-9_.-]*)?"  # groupadd(8) allows less

# Where the service's unit has its state directory, and where the folder of its sockets: the one is
# the service's user's alone, the other is for everybody to enter.
_SERVICE_STATE = Path("/var/lib/vampd")
_SERVICE_SOCKET = Path("/run/vampd/vampd.sock")
READING = "-read"


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
    pause_above_io_percent: float = field(default=20.0, metadata=number(at_least=0))
    pause_above_memory_percent: float = field(default=10.0, metadata=number(at_least=0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Live:
    """Whether a night is worked on while its cameras write, and how long is waited for a file."""

    enabled: bool = field(default=True, metadata=flag())
    allowance_seconds: float = field(default=10.0, metadata=number(at_least=0))
    silence_seconds: float = field(default=180.0, metadata=number(at_least=0))
    frame_ids: Literal["at_once", "at_close"] = field(
        default="at_once", metadata=choice("at_once", "at_close")
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Cubes:
    """Where synchronised frames are cut into cubes."""

    max_seconds: float = field(default=10.0, metadata=number(above=0))
    max_gap_seconds: float = field(default=3.0, metadata=number(above=0))
    max_bytes: int = field(default=2_000_000_000, metadata=whole(at_least=1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """Outside of which limits a night is reported; *hold* names those for which it is held."""

    least_synchronised_percent: float = field(default=90.0, metadata=number(at_least=0))
    most_dubious_percent: float = field(default=5.0, metadata=number(at_least=0))
    most_drift_us: float = field(default=200.0, metadata=number(at_least=0))
    most_state_difference_percent: float = field(default=1.0, metadata=number(at_least=0))
    most_rejected_percent: float = field(default=5.0, metadata=number(at_least=0))
    hold: tuple[str, ...] = field(
        default=(), metadata=words_of("synchronised", "dubious", "drift", "states", "rejected")
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Compress:
    """How cubes are compressed, and how much of them others must read before they count."""

    tiles: Literal["frame", "row"] = field(default="frame", metadata=choice("frame", "row"))
    verify: Literal["sample", "all"] = field(default="sample", metadata=choice("sample", "all"))


@dataclass(frozen=True, kw_only=True, slots=True)
class QuickLook:
    """Whether pictures and measures of each cube are made while it is built."""

    enabled: bool = field(default=True, metadata=flag())


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameIds:
    """Who deals the numbers of archive nights. *first* has no default: a wrong one clashes."""

    issuer: Literal["local", "command", "gen2"] = field(
        default="local", metadata=choice("local", "command", "gen2")
    )
    first: int | None = field(default=None, metadata=whole(at_least=1, at_most=_LAST_FRAME_NUMBER))
    deadline_seconds: float = field(default=60.0, metadata=number(above=0))
    command: tuple[str, ...] = field(default=(), metadata=words())
    gen2_route: Literal["frames", "instrument"] = field(
        default="frames", metadata=choice("frames", "instrument")
    )
    gen2_name_service: str | None = field(default=None, metadata=by(texts.host_and_port))
    gen2_file: Path = field(default=Path("/tmp/frames_VMPA.txt"), metadata=absolute_path())  # noqa: S108 - the instrument's


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """Where the nights of one kind go, and where they count as safe."""

    destination: Location = field(metadata=by(texts.place))
    verify_at: str | None = field(default=None, metadata=by(texts.night_template))
    verify_after_hours: float = field(default=24.0, metadata=number(at_least=0))
    reverify_days: float = field(default=0.0, metadata=number(at_least=0))
    far_helper: str = field(default="", metadata=by(texts.program_there))
    bandwidth_kib_per_second: int = field(default=0, metadata=whole(at_least=0, at_most=10**9))
    list_digests: bool = field(default=False, metadata=flag())
    bandwidth_by_time: tuple[Window, ...] = field(default=(), metadata=by(texts.bandwidth_windows))
    when: Literal["live", "night"] = field(default="live", metadata=choice("live", "night"))
    order: Literal["oldest", "newest"] = field(
        default="oldest", metadata=choice("oldest", "newest")
    )

    def sent_to(self, night: str) -> Location:
        """The folder to which the night's files are sent. *night* is YYYYMMDD."""
        return self.destination.child(night)

    def safe_base(self) -> Location | None:
        """The folder below which nights count as safe; None: they do where they are sent to."""
        if self.verify_at is None:
            return None
        above = self.verify_at.partition("{night}")[0]
        place = Location.parse(above[: above.rindex("/")] or "/")
        return place if place.host else Location(path=place.path, host=self.destination.host)

    def safe_at(self, night: str) -> Location:
        """The folder where the night's files count as safe. *night* is YYYYMMDD.

        A `verify_at` without a host is a folder of the destination's machine, for whoever
        moves the files on does so there.
        """
        if self.verify_at is None:
            return self.sent_to(night)
        place = Location.parse(self.verify_at.replace("{night}", night))
        return place if place.host else Location(path=place.path, host=self.destination.host)


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
    quarantined_gb: float = field(default=20.0, metadata=number(at_least=0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Reclaim:
    """When space is given back. Days count from when the night was safe."""

    enabled: bool = field(default=False, metadata=flag())
    outputs_after_days: float = field(default=1.0, metadata=number(at_least=0))
    raw_after_days: float = field(default=30.0, metadata=number(at_least=0))
    trash_days: float = field(default=1.0, metadata=number(at_least=0))
    every_hours: float = field(default=24.0, metadata=number(above=0))
    max_gb_per_run: float = field(default=20_000.0, metadata=number(above=0))
    max_nights_per_run: int = field(default=5, metadata=whole(at_least=1))
    prove: bool = field(default=True, metadata=flag())


@dataclass(frozen=True, kw_only=True, slots=True)
class Scrub:
    """When files that lie here are read through again, and how much of that a day."""

    enabled: bool = field(default=True, metadata=flag())
    after_days: float = field(default=30.0, metadata=number(at_least=0))
    gb_per_day: float = field(default=2000.0, metadata=number(above=0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What an archive night's manifest says of each file."""

    digests: bool = field(default=False, metadata=flag())


@dataclass(frozen=True, kw_only=True, slots=True)
class Mail:
    """The server that takes mails, and the mail to the archive team."""

    host: str = field(default="", metadata=text())
    port: int = field(default=25, metadata=whole(at_least=1, at_most=65535))
    security: Literal["plain", "starttls", "tls"] = field(
        default="plain", metadata=choice("plain", "starttls", "tls")
    )
    user: str = field(default="", metadata=text())
    password_file: str = field(default="", metadata=text(_PATH_OR_NOTHING, "an absolute path"))
    ca_file: str = field(default="", metadata=text(_PATH_OR_NOTHING, "an absolute path"))
    answer_seconds: float = field(default=300.0, metadata=number(above=0))
    deadline_seconds: float = field(default=900.0, metadata=number(above=0))
    sender: str = field(default="", metadata=text(_ADDRESS_OR_NOTHING, "a mail address"))
    recipients: tuple[str, ...] = field(default=(), metadata=words(_ADDRESS, "mail addresses"))
    copies: tuple[str, ...] = field(default=(), metadata=words(_ADDRESS, "mail addresses"))
    reply_to: str = field(default="", metadata=text(_ADDRESS_OR_NOTHING, "a mail address"))
    mode: Literal["ask", "auto"] = field(default="ask", metadata=choice("ask", "auto"))
    together_hours: float = field(default=1.0, metadata=number(at_least=0))
    within_days: float = field(default=7.0, metadata=number(above=0))
    largest_mb: float = field(default=8.0, metadata=number(above=0))
    ack_days: float = field(default=7.0, metadata=number(above=0))
    data_host: str = field(default="", metadata=text())
    subject: str = field(default=_SUBJECT, metadata=by(texts.mail_line))
    text: str = field(default=_TEXT, metadata=by(texts.mail_text))

    @property
    def is_configured(self) -> bool:
        """Whether the archive team is to be told."""
        return bool(self.host and self.recipients)


@dataclass(frozen=True, kw_only=True, slots=True)
class Alerts:
    """What the operators are told by mail, and when; `vampd check` judges by the same limits."""

    recipients: tuple[str, ...] = field(default=(), metadata=words(_ADDRESS, "mail addresses"))
    every_minutes: float = field(default=30.0, metadata=number(at_least=0))
    again_hours: float = field(default=24.0, metadata=number(at_least=0))
    look_seconds: float = field(default=60.0, metadata=number(above=0))
    stalled_hours: float = field(default=12.0, metadata=number(above=0))
    disk_free_gb: float = field(default=200.0, metadata=number(at_least=0))
    silent_minutes: float = field(default=10.0, metadata=number(above=0))
    lag_minutes: float = field(default=30.0, metadata=number(at_least=0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Hooks:
    """Commands of the site's own, as lists of words."""

    after_safe: tuple[tuple[str, ...], ...] = field(default=(), metadata=by(texts.commands))
    deadline_minutes: float = field(default=60.0, metadata=number(above=0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Where `vampd admin page` listens, and by which other names it may be asked for."""

    listen: str = field(default="127.0.0.1:8765", metadata=by(texts.host_and_port))
    hosts: tuple[str, ...] = field(default=(), metadata=words())
    silent_seconds: float = field(default=60.0, metadata=number(above=0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Control:
    """Where the commands reach the running daemon."""

    socket: Path | None = field(default=None, metadata=absolute_path())
    group: str = field(default="", metadata=text(_GROUP_OR_NOTHING, "a group's name"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Everything that can be set. Made by `load`, which checks the rules between sections."""

    state_dir: Path = field(default=_SERVICE_STATE, metadata=absolute_path())
    roots: tuple[Root, ...] = field(default=(), metadata=tables(Root))
    night: Night = field(default=Night(), metadata=table(Night))
    watch: Watch = field(default=Watch(), metadata=table(Watch))
    workers: Workers = field(default=Workers(), metadata=table(Workers))
    live: Live = field(default=Live(), metadata=table(Live))
    cubes: Cubes = field(default=Cubes(), metadata=table(Cubes))
    quality: Quality = field(default=Quality(), metadata=table(Quality))
    compress: Compress = field(default=Compress(), metadata=table(Compress))
    quick_look: QuickLook = field(default=QuickLook(), metadata=table(QuickLook))
    frame_ids: FrameIds = field(default=FrameIds(), metadata=table(FrameIds))
    delivery: Deliveries = field(default=Deliveries(), metadata=table(Deliveries))
    ssh: Ssh = field(default=Ssh(), metadata=table(Ssh))
    retry: Retry = field(default=Retry(), metadata=table(Retry))
    disk: Disk = field(default=Disk(), metadata=table(Disk))
    manifest: Manifest = field(default=Manifest(), metadata=table(Manifest))
    mail: Mail = field(default=Mail(), metadata=table(Mail))
    alerts: Alerts = field(default=Alerts(), metadata=table(Alerts))
    reclaim: Reclaim = field(default=Reclaim(), metadata=table(Reclaim))
    scrub: Scrub = field(default=Scrub(), metadata=table(Scrub))
    hooks: Hooks = field(default=Hooks(), metadata=table(Hooks))
    page: Page = field(default=Page(), metadata=table(Page))
    control: Control = field(default=Control(), metadata=table(Control))

    @property
    def socket(self) -> Path:
        """Where the commands reach the running daemon."""
        if self.control.socket is None and self.state_dir == _SERVICE_STATE:
            return _SERVICE_SOCKET
        return self.control.socket or self.state_dir / "vampd.sock"

    @property
    def reading_socket(self) -> Path:
        """Where users who may not open the ledger read it, beside the other one."""
        return self.socket.with_name(f"{self.socket.stem}{READING}{self.socket.suffix}")

    def root_of(self, kind: Kind) -> Root | None:
        """The root of nights of *kind*, if there is one."""
        return next((root for root in self.roots if root.kind is kind), None)
