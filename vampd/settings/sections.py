"""The settings: one frozen Struct per section of the TOML file.

The shipped file (`vampd admin config show --default`) explains every key; `vampd.settings.load`
reads it, and holds the rules between sections.
"""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Struct

from vampd.io.mail_values import SmtpServer
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
_SCHEDULER_OR_NOTHING = r"((tcp|tls)://[A-Za-z0-9.:_\[\]-]+:[0-9]+)?"
_PATH_OR_NOTHING = r"(/[ -~]*)?"
_GROUP_OR_NOTHING = r"([A-Za-z_][A-Za-z0-9_.-]*)?"  # groupadd(8) allows less

# Where the service's unit has its state directory, and where the folder of its sockets: the one is
# the service's user's alone, the other is for everybody to enter.
_SERVICE_STATE = Path("/var/lib/vampd")
_SERVICE_SOCKET = Path("/run/vampd/vampd.sock")
READING = "-read"


class Root(Struct, frozen=True, kw_only=True):
    """A folder whose eight-digit sub-folders are nights."""

    kind: Annotated[Kind, choice(*Kind)]
    path: Annotated[Path, absolute_path()]


class Night(Struct, frozen=True, kw_only=True):
    """When a file is whole, and when a night is over."""

    settle_seconds: Annotated[float, number(at_least=0)] = 30.0
    quiet_minutes: Annotated[float, number(at_least=0)] = 30.0
    grace_minutes: Annotated[float, number(at_least=0)] = 60.0
    scan_seconds: Annotated[float, number(above=0)] = 60.0


class Watch(Struct, frozen=True, kw_only=True):
    """How changes are noticed between two scans."""

    events: Annotated[bool, flag()] = True


class Workers(Struct, frozen=True, kw_only=True):
    """The processes that do the work, beside the cameras' own."""

    executor: Annotated[Literal["local", "dask"], choice("local", "dask")] = "local"
    dask_scheduler: Annotated[
        str, text(_SCHEDULER_OR_NOTHING, "tcp://HOST:PORT or tls://HOST:PORT")
    ] = ""
    give_up_minutes: Annotated[float, number(above=0)] = 120.0
    processes: Annotated[int, whole(at_least=1, at_most=64)] = 2
    nice: Annotated[int, whole(at_least=0, at_most=19)] = 19
    pause_above_io_percent: Annotated[float, number(at_least=0)] = 20.0
    pause_above_memory_percent: Annotated[float, number(at_least=0)] = 10.0
    stopped_minutes: Annotated[float, number(at_least=0)] = 30.0


class Live(Struct, frozen=True, kw_only=True):
    """Whether a night is worked on while its cameras write, and how long is waited for a file."""

    enabled: Annotated[bool, flag()] = True
    allowance_seconds: Annotated[float, number(at_least=0)] = 10.0
    silence_seconds: Annotated[float, number(at_least=0)] = 180.0
    frame_ids: Annotated[Literal["at_once", "at_close"], choice("at_once", "at_close")] = "at_once"


class Cubes(Struct, frozen=True, kw_only=True):
    """Where synchronised frames are cut into cubes."""

    max_seconds: Annotated[float, number(above=0)] = 10.0
    max_gap_seconds: Annotated[float, number(above=0)] = 3.0
    max_bytes: Annotated[int, whole(at_least=1)] = 2_000_000_000


class Quality(Struct, frozen=True, kw_only=True):
    """Outside of which limits a night is reported; *hold* names those for which it is held."""

    least_synchronised_percent: Annotated[float, number(at_least=0)] = 90.0
    most_dubious_percent: Annotated[float, number(at_least=0)] = 5.0
    most_drift_us: Annotated[float, number(at_least=0)] = 200.0
    most_state_difference_percent: Annotated[float, number(at_least=0)] = 1.0
    most_rejected_percent: Annotated[float, number(at_least=0)] = 5.0
    hold: Annotated[
        tuple[str, ...], words_of("synchronised", "dubious", "drift", "states", "rejected")
    ] = ()


class Compress(Struct, frozen=True, kw_only=True):
    """How cubes are compressed, and how much of them others must read before they count."""

    tiles: Annotated[Literal["frame", "row"], choice("frame", "row")] = "frame"
    verify: Annotated[Literal["sample", "all"], choice("sample", "all")] = "sample"


class QuickLook(Struct, frozen=True, kw_only=True):
    """Whether pictures and measures of each cube are made while it is built."""

    enabled: Annotated[bool, flag()] = True


class FrameIds(Struct, frozen=True, kw_only=True):
    """Who deals the numbers of archive nights. *first* has no default: a wrong one clashes."""

    issuer: Annotated[Literal["local", "command", "gen2"], choice("local", "command", "gen2")] = (
        "local"
    )
    first: Annotated[int | None, whole(at_least=1, at_most=_LAST_FRAME_NUMBER)] = None
    deadline_seconds: Annotated[float, number(above=0)] = 60.0
    command: Annotated[tuple[str, ...], words()] = ()
    gen2_route: Annotated[Literal["frames", "instrument"], choice("frames", "instrument")] = (
        "frames"
    )
    gen2_name_service: Annotated[str | None, by(texts.host_and_port)] = None
    gen2_file: Annotated[Path, absolute_path()] = Path("/tmp/frames_VMPA.txt")  # noqa: S108 - the instrument's


class Delivery(Struct, frozen=True, kw_only=True):
    """Where the nights of one kind go, and where they count as safe."""

    destination: Annotated[Location, by(texts.place)]
    verify_at: Annotated[str | None, by(texts.night_template)] = None
    verify_after_hours: Annotated[float, number(at_least=0)] = 24.0
    reverify_days: Annotated[float, number(at_least=0)] = 0.0
    far_helper: Annotated[str, by(texts.program_there)] = ""
    bandwidth_kib_per_second: Annotated[int, whole(at_least=0, at_most=10**9)] = 0
    list_digests: Annotated[bool, flag()] = False
    bandwidth_by_time: Annotated[tuple[Window, ...], by(texts.bandwidth_windows)] = ()
    when: Annotated[Literal["live", "night"], choice("live", "night")] = "live"
    order: Annotated[Literal["oldest", "newest"], choice("oldest", "newest")] = "oldest"

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


class Deliveries(Struct, frozen=True, kw_only=True):
    """A delivery for each kind of night that has a root."""

    archive: Annotated[Delivery | None, table(Delivery)] = None
    engineering: Annotated[Delivery | None, table(Delivery)] = None

    def of(self, kind: Kind) -> Delivery | None:
        """The delivery of nights of *kind*; never None when *kind* has a root."""
        return self.archive if kind is Kind.ARCHIVE else self.engineering


class Ssh(Struct, frozen=True, kw_only=True):
    """How the far machine is reached."""

    options: Annotated[tuple[str, ...], words()] = ()
    connect_timeout_seconds: Annotated[int, whole(at_least=1, at_most=3600)] = 15


class Retry(Struct, frozen=True, kw_only=True):
    """How long to wait before work that failed for a passing cause is tried again."""

    first_seconds: Annotated[float, number(above=0)] = 30.0
    longest_seconds: Annotated[float, number(above=0)] = 3600.0


class Disk(Struct, frozen=True, kw_only=True):
    """Space that the cameras must keep."""

    keep_free_gb: Annotated[float, number(at_least=0)] = 0.0
    quarantined_gb: Annotated[float, number(at_least=0)] = 20.0


class Reclaim(Struct, frozen=True, kw_only=True):
    """When space is given back. Days count from when the night was safe."""

    enabled: Annotated[bool, flag()] = False
    outputs_after_days: Annotated[float, number(at_least=0)] = 1.0
    raw_after_days: Annotated[float, number(at_least=0)] = 30.0
    trash_days: Annotated[float, number(at_least=0)] = 1.0
    every_hours: Annotated[float, number(above=0)] = 24.0
    max_gb_per_run: Annotated[float, number(above=0)] = 20_000.0
    max_nights_per_run: Annotated[int, whole(at_least=1)] = 5
    prove: Annotated[bool, flag()] = True


class Scrub(Struct, frozen=True, kw_only=True):
    """When files that lie here are read through again, and how much of that a day."""

    enabled: Annotated[bool, flag()] = True
    after_days: Annotated[float, number(at_least=0)] = 30.0
    gb_per_day: Annotated[float, number(above=0)] = 2000.0


class LedgerCopies(Struct, frozen=True, kw_only=True):
    """When the ledger is copied, where to, and how many copies are kept here and there."""

    enabled: Annotated[bool, flag()] = True
    every_hours: Annotated[float, number(above=0)] = 24.0
    folder: Annotated[str, text(_PATH_OR_NOTHING, "an absolute path")] = ""
    keep: Annotated[int, whole(at_least=2, at_most=1000)] = 7
    deliver: Annotated[bool, flag()] = True
    keep_delivered: Annotated[int, whole(at_least=2, at_most=1000)] = 3


class Manifest(Struct, frozen=True, kw_only=True):
    """What an archive night's manifest says of each file."""

    digests: Annotated[bool, flag()] = False


class MailServer(Struct, frozen=True, kw_only=True):
    """The server that takes mails."""

    host: Annotated[str, text()] = ""
    port: Annotated[int, whole(at_least=1, at_most=65535)] = 25
    security: Annotated[Literal["plain", "starttls", "tls"], choice("plain", "starttls", "tls")] = (
        "plain"
    )
    user: Annotated[str, text()] = ""
    password_file: Annotated[str, text(_PATH_OR_NOTHING, "an absolute path")] = ""
    ca_file: Annotated[str, text(_PATH_OR_NOTHING, "an absolute path")] = ""
    answer_seconds: Annotated[float, number(above=0)] = 300.0
    deadline_seconds: Annotated[float, number(above=0)] = 900.0
    sender: Annotated[str, text(_ADDRESS_OR_NOTHING, "a mail address")] = ""

    @property
    def server(self) -> SmtpServer:
        """How it is reached."""
        return SmtpServer(**{each: getattr(self, each) for each in SmtpServer.__struct_fields__})


class Mail(MailServer, frozen=True, kw_only=True):
    """The server that takes mails, and the mail to the archive team."""

    recipients: Annotated[tuple[str, ...], words(_ADDRESS, "mail addresses")] = ()
    copies: Annotated[tuple[str, ...], words(_ADDRESS, "mail addresses")] = ()
    reply_to: Annotated[str, text(_ADDRESS_OR_NOTHING, "a mail address")] = ""
    mode: Annotated[Literal["ask", "auto"], choice("ask", "auto")] = "ask"
    together_hours: Annotated[float, number(at_least=0)] = 1.0
    within_days: Annotated[float, number(above=0)] = 7.0
    largest_mb: Annotated[float, number(above=0)] = 8.0
    ack_days: Annotated[float, number(above=0)] = 7.0
    data_host: Annotated[str, text()] = ""
    subject: Annotated[str, by(texts.mail_line)] = _SUBJECT
    text: Annotated[str, by(texts.mail_text)] = _TEXT

    @property
    def is_configured(self) -> bool:
        """Whether the archive team is to be told."""
        return bool(self.host and self.recipients)


class Alerts(Struct, frozen=True, kw_only=True):
    """What the operators are told by mail, and when; `vampd check` judges by the same limits."""

    recipients: Annotated[tuple[str, ...], words(_ADDRESS, "mail addresses")] = ()
    every_minutes: Annotated[float, number(at_least=0)] = 30.0
    again_hours: Annotated[float, number(at_least=0)] = 24.0
    look_seconds: Annotated[float, number(above=0)] = 60.0
    stalled_hours: Annotated[float, number(above=0)] = 12.0
    disk_free_gb: Annotated[float, number(at_least=0)] = 200.0
    silent_minutes: Annotated[float, number(above=0)] = 10.0
    lag_minutes: Annotated[float, number(at_least=0)] = 30.0


class Hooks(Struct, frozen=True, kw_only=True):
    """Commands of the site's own, as lists of words."""

    after_safe: Annotated[tuple[tuple[str, ...], ...], by(texts.commands)] = ()
    deadline_minutes: Annotated[float, number(above=0)] = 60.0


class Page(Struct, frozen=True, kw_only=True):
    """Where `vampd admin page` listens, and by which other names it may be asked for."""

    listen: Annotated[str, by(texts.host_and_port)] = "127.0.0.1:8765"
    hosts: Annotated[tuple[str, ...], words()] = ()
    silent_seconds: Annotated[float, number(above=0)] = 60.0


class Control(Struct, frozen=True, kw_only=True):
    """Where the commands reach the running daemon."""

    socket: Annotated[Path | None, absolute_path()] = None
    group: Annotated[str, text(_GROUP_OR_NOTHING, "a group's name")] = ""


class Config(Struct, frozen=True, kw_only=True):
    """Everything that can be set. Made by `load`, which checks the rules between sections."""

    state_dir: Annotated[Path, absolute_path()] = _SERVICE_STATE
    roots: Annotated[tuple[Root, ...], tables(Root)] = ()
    night: Annotated[Night, table(Night)] = Night()
    watch: Annotated[Watch, table(Watch)] = Watch()
    workers: Annotated[Workers, table(Workers)] = Workers()
    live: Annotated[Live, table(Live)] = Live()
    cubes: Annotated[Cubes, table(Cubes)] = Cubes()
    quality: Annotated[Quality, table(Quality)] = Quality()
    compress: Annotated[Compress, table(Compress)] = Compress()
    quick_look: Annotated[QuickLook, table(QuickLook)] = QuickLook()
    frame_ids: Annotated[FrameIds, table(FrameIds)] = FrameIds()
    delivery: Annotated[Deliveries, table(Deliveries)] = Deliveries()
    ssh: Annotated[Ssh, table(Ssh)] = Ssh()
    retry: Annotated[Retry, table(Retry)] = Retry()
    disk: Annotated[Disk, table(Disk)] = Disk()
    manifest: Annotated[Manifest, table(Manifest)] = Manifest()
    mail: Annotated[Mail, table(Mail)] = Mail()
    alerts: Annotated[Alerts, table(Alerts)] = Alerts()
    reclaim: Annotated[Reclaim, table(Reclaim)] = Reclaim()
    scrub: Annotated[Scrub, table(Scrub)] = Scrub()
    ledger_copies: Annotated[LedgerCopies, table(LedgerCopies)] = LedgerCopies()
    hooks: Annotated[Hooks, table(Hooks)] = Hooks()
    page: Annotated[Page, table(Page)] = Page()
    control: Annotated[Control, table(Control)] = Control()

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

    @property
    def copies_folder(self) -> Path:
        """Where copies of the ledger lie."""
        return Path(self.ledger_copies.folder or self.state_dir / "ledger-copies")

    def root_of(self, kind: Kind) -> Root | None:
        """The root of nights of *kind*, if there is one."""
        return next((root for root in self.roots if root.kind is kind), None)
