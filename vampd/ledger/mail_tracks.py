"""Where the mail to the archive team stands, for every batch of every night.

Reading only, by a plain connection: that of `reading`, or the daemon's own `ledger.connection`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

from vampd.ledger.connection import Row
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.ledger.rows import fetch_all
from vampd.states import Kind, MailState, NightStatus

_NEEDS_NO_MAIL = frozenset({NightStatus.EMPTY, NightStatus.ABANDONED})

_Key = tuple[int, int]  # night, batch


class Track(StrEnum):
    """How far the mail of one batch of a night is."""

    NONE = "none"  #: no mail belongs to it: engineering, empty, abandoned
    NOT_CONFIGURED = "not configured"  #: nobody is to be told; it blocks nothing
    NOT_YET = "not yet"  #: not every file is verified at the far end
    READY = "ready"  #: everything is verified; nobody asked for the mail yet
    SENDING = "sending"  #: asked for, and the server has not taken it for everybody yet
    FAILED = "failed"  #: a person must act, then send it again
    SENT = "sent"  #: the server took it for all recipients; the archive has not answered
    CHANGED = "changed"  #: the manifest is another one now than the archive was told
    ACKNOWLEDGED = "acknowledged"  #: the archive said that it has the files


class MailTrack(Struct, frozen=True, kw_only=True):
    """The mail of one batch of a night. Times are microseconds since the epoch, UTC."""

    night: int
    batch: int
    state: Track
    manifest: str | None = None  #: its path in the night's folder, once it is listed or mailed
    manifest_sha256: str | None = None  #: of the manifest that is listed now
    size_bytes: int = 0  #: of the manifest
    is_verified: bool = False  #: every file of it, and of the batches before, at the far end
    hold: str | None = None  #: why the night is held
    ready_us: int | None = None  #: when its files were verified
    mail: int | None = None  #: the number of the mail that speaks of it
    subject: str | None = None
    message_id: str | None = None
    attempts: int = 0
    in_doubt: bool = False  #: an attempt ended without the server's word: it may have arrived
    error: str | None = None
    failing_since_us: int | None = None
    due_us: int = 0
    composed_us: int | None = None
    accepted: tuple[str, ...] = ()  #: recipients for whom the server took it
    refused: tuple[str, ...] = ()  #: recipients whom the server refused for good
    sent_us: int | None = None
    acked_us: int | None = None
    acked_by: str | None = None
    note: str | None = None

    @property
    def was_mailed(self) -> bool:
        """Whether anybody was told, or may have been."""
        return bool(self.accepted) or self.in_doubt


def tracks(reader: Reader, *, configured: bool) -> dict[int, MailTrack]:
    """The mail of every night, by the night's number: of its first batch that is not acknowledged.

    *configured*: whether there is anybody to be told (`config.mail.is_configured`).
    """
    found: dict[int, MailTrack] = {}
    for track in batch_tracks(reader, configured=configured):
        before = found.get(track.night)
        if before is None or before.state is Track.ACKNOWLEDGED:
            found[track.night] = track
    return found


def night_track(reader: Reader, night: int, *, configured: bool) -> MailTrack:
    """The mail of one night: of its first batch that is not acknowledged, else of its last."""
    every = batch_tracks(reader, configured=configured, night=night)
    pending = [track for track in every if track.state is not Track.ACKNOWLEDGED]
    return (pending or every)[0 if pending else -1]


def acknowledged_batch(reader: Reader, night: int) -> int:
    """Up to which batch the archive has acknowledged the night as it is now; 0: not at all.

    A batch whose manifest changed since, or that was never listed, does not count. Of one that
    was planned and has no output there is nothing to acknowledge.
    """
    done = {
        track.batch
        for track in batch_tracks(reader, configured=True, night=night)
        if track.state is Track.ACKNOWLEDGED
    }
    done.update(row["batch"] for row in reader.execute(_WITHOUT_OUTPUT, (night,)))
    batch = 0
    while batch + 1 in done:
        batch += 1
    return batch


def is_told(reader: Reader, night: int) -> bool:
    """Whether the archive was told of a night, or is going to be, or said that it has it."""
    query = (
        "select 1 from mail_night where night = ?1 and withdrawn_us is null"
        " union all select 1 from ack where night = ?1 and revoked_us is null limit 1"
    )
    return reader.execute(query, (night,)).fetchone() is not None


def any_unmailed(reader: Reader) -> bool:
    """Whether any manifest was verified at the far end, and has no mail and no acknowledgement."""
    return reader.execute(_UNMAILED).fetchone() is not None


def batch_tracks(reader: Reader, *, configured: bool, night: int | None = None) -> list[MailTrack]:
    """The mail of every batch that has a manifest or a mail; of the others' batch 1.

    By date, then batch. *night*: of that night alone.
    """
    rows = fetch_all(
        Night,
        reader,
        "select * from night where :night is null or id = :night order by date, kind",
        {"night": night},
    )
    sources = _Sources.read(reader, night)
    batches: dict[int, list[int]] = {}
    for number, batch in sorted({*sources.listed, *sources.mailed, *sources.acked}):
        batches.setdefault(number, []).append(batch)
    return [
        _track(row, (row.id, batch), sources, configured=configured)
        for row in rows
        for batch in batches.get(row.id, [1])
    ]


class _Sources(Struct, frozen=True, kw_only=True):
    """Rows of the ledger, by night and batch."""

    listed: Mapping[_Key, Row]
    mailed: Mapping[_Key, Row]
    acked: Mapping[_Key, Row]
    recipients: Mapping[int, list[Row]]  #: by mail
    first_unverified: Mapping[int, int]  #: by night: the first batch of which a file is unverified

    @classmethod
    def read(cls, reader: Reader, night: int | None) -> _Sources:
        """Five queries, for all nights or for one."""
        asked = {"night": night}
        recipients: dict[int, list[Row]] = {}
        for row in reader.execute(_RECIPIENTS, asked):
            recipients.setdefault(row["mail"], []).append(row)
        return cls(
            listed=_by_key(reader.execute(_LISTED, asked)),
            mailed=_by_key(reader.execute(_MAILED, asked)),
            acked=_by_key(reader.execute(_ACKED, asked)),
            recipients=recipients,
            first_unverified=dict(reader.execute(_UNVERIFIED, asked).fetchall()),
        )


_LISTED = """
    select listed.night, listed.batch, listed.path, listed.sha256, listed.size_bytes,
        task.finished_us as ready_us
    from night
    join deliverable as listed on listed.night = night.id
        and listed.path >= 'manifest_VMP_' and listed.path < 'manifest_VMP`' -- "`" comes after "_"
    left join task on task.night = night.id and task.batch = listed.batch
        and task.stage = 'verify' and task.unit = '' and task.state = 'done'
    where night.kind = 'archive' and (:night is null or night.id = :night)
"""

_WITHOUT_OUTPUT = """
    select distinct batch from segment where night = ?1
        and batch not in (select batch from output where night = ?1)
"""

_UNMAILED = """
    select 1 from night
    join deliverable as listed on listed.night = night.id
        and listed.path >= 'manifest_VMP_' and listed.path < 'manifest_VMP`'
    where night.kind = 'archive' and listed.verified_us is not null
        and not exists (
            select 1 from mail_night where mail_night.night = night.id
                and mail_night.batch = listed.batch and withdrawn_us is null
        )
        and not exists (
            select 1 from ack where ack.night = night.id
                and ack.batch = listed.batch and revoked_us is null
        )
    limit 1
"""

_MAILED = """
    select mail_night.night, batch, mail, manifest, manifest_sha256, state, subject, message_id,
        attempts, in_doubt, error, failing_since_us, due_us, composed_us, sent_us
    from mail_night join mail on mail.id = mail_night.mail
    where withdrawn_us is null and (:night is null or night = :night)
"""

_RECIPIENTS = """
    select * from mail_recipient
    where mail in (select mail from mail_night where :night is null or night = :night)
    order by address
"""

_ACKED = """
    select * from ack where revoked_us is null and (:night is null or night = :night)
"""

_UNVERIFIED = """
    select night, min(batch) from deliverable
    where verified_us is null and (:night is null or night = :night) group by night
"""


def _by_key(rows: Iterable[Row]) -> dict[_Key, Row]:
    return {(row["night"], row["batch"]): row for row in rows}


def _track(night: Night, key: _Key, sources: _Sources, *, configured: bool) -> MailTrack:
    listed, mailed, acked = (
        rows.get(key) for rows in (sources.listed, sources.mailed, sources.acked)
    )
    people = sources.recipients.get(mailed["mail"], []) if mailed is not None else []
    unverified = sources.first_unverified.get(key[0])
    is_verified = listed is not None and (unverified is None or unverified > key[1])
    state = Track.NOT_YET
    if acked is not None:
        state = _differs(listed, acked) or Track.ACKNOWLEDGED
    elif mailed is not None:
        state = _differs(listed, mailed) or _SAYS[MailState(mailed["state"])]
    elif night.kind != Kind.ARCHIVE or night.status in _NEEDS_NO_MAIL:
        state = Track.NONE
    elif not configured:
        state = Track.NOT_CONFIGURED
    elif is_verified and not night.hold:
        state = Track.READY
    return MailTrack(
        night=key[0],
        batch=key[1],
        state=state,
        is_verified=is_verified,
        hold=night.hold,
        accepted=tuple(row["address"] for row in people if row["accepted_us"] is not None),
        refused=tuple(row["address"] for row in people if row["refused_us"] is not None),
        **_columns(listed, mailed, acked),
    )


def _differs(listed: Row | None, told: Row) -> Track | None:
    """A manifest that is another one now; after a restore none is listed for a while."""
    if listed is None or listed["sha256"] == told["manifest_sha256"]:
        return None
    return Track.CHANGED


def _columns(listed: Row | None, mailed: Row | None, acked: Row | None) -> dict[str, Any]:
    """What the rows say of a batch, under the names of `MailTrack`."""
    found: dict[str, Any] = {}
    if mailed is not None:
        found = {name: mailed[name] for name in _OF_MAIL}
        found["in_doubt"] = bool(mailed["in_doubt"])
    if listed is not None:
        found |= {
            "manifest": listed["path"],
            "manifest_sha256": listed["sha256"],
            "size_bytes": listed["size_bytes"],
            "ready_us": listed["ready_us"],
        }
    if acked is not None:
        found |= {name: acked[name] for name in ("acked_us", "acked_by", "note")}
    return found


_SAYS = {
    MailState.WANTED: Track.SENDING,
    MailState.COMPOSED: Track.SENDING,
    MailState.SENT: Track.SENT,
    MailState.FAILED: Track.FAILED,
}

_OF_MAIL = (
    "manifest",
    "mail",
    "subject",
    "message_id",
    "attempts",
    "error",
    "failing_since_us",
    "due_us",
    "composed_us",
    "sent_us",
)
