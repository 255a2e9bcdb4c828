"""What the operators were told, what they are to be told; and the last look at the disks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import asdict

from vampd.ledger.connection import Ledger
from vampd.ledger.rows import Record, fetch_all, fetch_one
from vampd.states import MailState, Severity


class Disk(Record, frozen=True, kw_only=True):
    """A disk as it was at the last look."""

    path: str
    present: int  #: 1: it is there, and the one that it was
    free_bytes: int | None
    total_bytes: int | None
    looked_us: int


class Letter(Record, frozen=True, kw_only=True):
    """A mail with alerts."""

    state: MailState
    composed_us: int | None


class Alert(Record, frozen=True, kw_only=True):
    """Something that operators are told."""

    id: int
    name: str
    severity: Severity
    night: int | None
    text: str
    began_us: int
    told_us: int | None
    over_us: int | None
    over_told_us: int | None


class Condition(Struct, frozen=True, kw_only=True):
    """One thing that operators should know."""

    name: str  #: the same as long as it is the same thing, e.g. "failed:17"
    severity: Severity
    text: str  #: what, and what to type; one line
    night: int | None = None
    since_us: int | None = None
    rule: str | None = None  #: of a night: under which it is explained
    same: str | None = None  #: equal for those that are told as one: the same is to be done
    next_step: str | None = None  #: what to do, where it is told apart from *text*
    rank: int = 1  #: 0: data are at risk, or nothing goes on; the higher the less it matters


class FoundDisk(Struct, frozen=True, kw_only=True):
    """What a look at a disk found; nothing where it did not answer, or is another."""

    path: str
    present: bool = False
    free_bytes: int | None = None
    total_bytes: int | None = None


def note_disks(ledger: Ledger, disks: Iterable[FoundDisk]) -> None:
    """Keep what a look at the disks found, in place of the last one."""
    with ledger.transaction():
        ledger.execute("delete from disk")
        for disk in disks:
            ledger.insert("disk", **asdict(disk), looked_us=ledger.now_us())


def looked_us(ledger: Ledger) -> int:
    """When the disks were looked at last; 0: never."""
    found: int | None = ledger.value("select min(looked_us) from disk")
    return found or 0


def note_conditions(ledger: Ledger, found: Sequence[Condition]) -> None:
    """Open an alert for each condition that is new; those that are not so any more are over."""
    now_us = ledger.now_us()
    names = {each.name for each in found}
    with ledger.transaction():
        for row in ledger.rows("select id, name from alert where over_us is null"):
            if row["name"] not in names:
                ledger.update("alert", row["id"], over_us=now_us)
        # What nobody was told about need not be told to be over.
        ledger.execute("delete from alert where over_us is not null and told_us is null")
        for each in found:
            ledger.execute(
                "insert into alert (name, severity, night, text, began_us)"
                " values (:name, :severity, :night, :text, :began_us)"
                " on conflict (name) where over_us is null"
                " do update set severity = :severity, text = :text",
                {
                    "name": each.name,
                    "severity": each.severity,
                    "night": each.night,
                    "text": each.text,
                    "began_us": each.since_us or now_us,
                },
            )


def untold(ledger: Ledger, again_us: int | None) -> list[Alert]:
    """Alerts to be told: new ones, those told before *again_us* that still are, those over."""
    return fetch_all(
        Alert,
        ledger,
        "select * from alert where over_told_us is null"
        " and (told_us is null or over_us is not null or told_us <= :again_us)"
        " order by severity, began_us, id",
        {"again_us": -1 if again_us is None else again_us},
    )


def open_alerts(ledger: Ledger) -> list[Alert]:
    """All alerts that are not over, the critical ones first."""
    return fetch_all(
        Alert, ledger, "select * from alert where over_us is null order by severity, began_us, id"
    )


def note_told(ledger: Ledger) -> None:
    """All that is open, and all that is over, is told in a mail that is kept now."""
    now_us = ledger.now_us()
    ledger.execute("update alert set told_us = ? where over_us is null", [now_us])
    ledger.execute(
        "update alert set over_told_us = ? where over_us is not null and over_told_us is null",
        [now_us],
    )


def last_letter(ledger: Ledger) -> Letter | None:
    """The last mail with alerts: its state, and when it was composed; None: never any."""
    return fetch_one(
        Letter,
        ledger,
        "select state, composed_us from mail where is_alert = 1 order by id desc limit 1",
    )
