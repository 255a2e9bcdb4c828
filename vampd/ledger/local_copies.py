"""Files that lie here and are read through again: which are due, and what was found of each.

A file that was not read since its night closed counts as read then. Of nights at rest only: of all
others the stages know more.
"""

from __future__ import annotations

from enum import StrEnum

from vampd.ledger.connection import Ledger
from vampd.ledger.records import Night
from vampd.ledger.rows import Record, Source, fetch_all, fetch_one
from vampd.time_units import DAY_US

_AT_REST = "night.status in ('safe', 'reclaimed')"
_OLDEST = "coalesce(scrubbed.oldest_us, night.closed_us, 0)"
_SINCE = "coalesce(scrubbed.since_us, scrubbed.oldest_us, night.closed_us, 0)"

# What is listed and was not given back; of raw files, what is there and was digested.
_FILES = """
    select path, size_bytes, sha256, 0 as is_raw from deliverable
    where night = :night and not exists (select 1 from trash where trash.night = :night
        and trash.path = deliverable.path and state not in ('listed', 'returned')
        and not (state = 'unlinked' and made_anew))
    union all
    select path, size_bytes, sha256, 1 as is_raw from raw_file
    where night = :night and role != 'other' and state in ('whole', 'quarantined')
        and sha256 is not null
"""

#: A file of vampd's own that is damaged is tried again so soon: its far copy may be reached then.
_AGAIN_US = DAY_US

_READ = f"""
    select file.*, case
        when verdict = 'damaged' and not is_raw
            then min(local_copy.read_us, local_copy.read_us - :age_us + {_AGAIN_US})
        else coalesce(local_copy.read_us, night.closed_us, 0) end as since_us,
        coalesce(local_copy.read_us, night.closed_us, 0) as proved_us
    from ({_FILES}) as file join night on night.id = :night
    left join local_copy on local_copy.night = :night and local_copy.path = file.path
        and local_copy.sha256 = file.sha256
"""  # noqa: S608 - constants


class Verdict(StrEnum):
    """What was found of a file that lies here."""

    RIGHT = "right"  #: its bytes have the digest that is on record
    MENDED = "mended"  #: they had not; what is right over there was published in their place
    DAMAGED = "damaged"  #: they have not, or cannot be read; nothing was touched
    MISSING = "missing"  #: there is no such file


class Side(StrEnum):
    """Where copies lie, each read at a pace of its own."""

    HERE = "here"
    FAR = "far"


class LocalFile(Record, frozen=True, kw_only=True):
    """A file that lies here, and the digest that is on record."""

    path: str
    size_bytes: int
    sha256: str
    is_raw: bool  #: the cameras' own: it is read, and never written


class WrongCopy(Record, frozen=True, kw_only=True):
    """A file that lies here, and is not right."""

    night: int
    path: str
    sha256: str  #: that was to be found
    verdict: Verdict
    is_raw: bool
    changed_us: int
    why: str | None


def is_quiet(ledger: Ledger, quiet_us: int) -> bool:
    """Whether no camera wrote for *quiet_us*, and no cube is built."""
    return not ledger.value(
        "select exists (select 1 from night where closed_us is null and last_change_us > ?)"
        " or exists (select 1 from task where state = 'running' and stage = 'build')",
        [ledger.now_us() - quiet_us],
    )


def may_read(ledger: Ledger, side: Side) -> bool:
    """Whether the pace allows to read more. A date that was ahead stops nothing for long."""
    now_us = ledger.now_us()
    due_us = ledger.value("select due_us from scrub_pace where side = ?", [side]) or 0
    return bool(due_us <= now_us or due_us > now_us + DAY_US)


def note_read(ledger: Ledger, side: Side, size_bytes: int, bytes_per_day: float) -> None:
    """So much was read: nothing more is, before that fits *bytes_per_day*; a day at most."""
    rest_us = min(round(size_bytes / bytes_per_day * DAY_US), DAY_US)
    ledger.execute(
        "insert into scrub_pace (side, due_us) values (:side, :due_us)"
        " on conflict (side) do update set due_us = :due_us",
        {"side": side, "due_us": ledger.now_us() + rest_us},
    )


def oldest_night(ledger: Ledger, age_us: int) -> Night | None:
    """The night with the file that was read longest ago, if *age_us* ago; none that rests.

    None rests for longer than a day: that was so by a date that was ahead.
    """
    now_us = ledger.now_us()
    return fetch_one(
        Night,
        ledger,
        "select night.* from night left join scrubbed on scrubbed.night = night.id"  # noqa: S608
        f" where {_AT_REST} and {_SINCE} < :before_us"
        " and (again_us is null or again_us not between :now_us + 1 and :latest_us)"
        f" order by {_SINCE}, night.id limit 1",
        {"before_us": now_us - age_us, "now_us": now_us, "latest_us": now_us + _AGAIN_US},
    )


def oldest_files(
    ledger: Ledger, night: int, age_us: int, *, most_files: int, most_bytes: int
) -> list[LocalFile]:
    """Files of a night that were read *age_us* ago or longer, the longest first; not too many."""
    rows = fetch_all(
        LocalFile,
        ledger,
        f"{_READ} where since_us < :before_us order by since_us, file.path limit :most",
        {
            "night": night,
            "age_us": age_us,
            "before_us": ledger.now_us() - age_us,
            "most": most_files,
        },
    )
    chosen: list[LocalFile] = []
    size_bytes = 0
    for row in rows:
        size_bytes += row.size_bytes
        if chosen and size_bytes > most_bytes:
            break
        chosen.append(row)
    return chosen


def is_listed(source: Source, night: int, file: LocalFile | WrongCopy) -> bool:
    """Whether this digest is still the one on record for the file."""
    found = source.execute(
        f"select 1 from ({_FILES}) where path = :path and sha256 = :sha256",  # noqa: S608 - constants
        {"night": night, "path": file.path, "sha256": file.sha256},
    )
    return found.fetchone() is not None


def may_mend(source: Source, night: int, file: LocalFile) -> bool:
    """Whether that is so, and no stage works on the night."""
    query = f"select exists (select 1 from night where id = ? and {_AT_REST})"  # noqa: S608
    return is_listed(source, night, file) and bool(source.execute(query, [night]).fetchone()[0])


def record(ledger: Ledger, night: int, file: LocalFile, verdict: Verdict, why: str) -> None:
    """Keep what was found of a file, just now."""
    ledger.execute(
        "insert into local_copy (night, path, sha256, verdict, read_us, changed_us, changed_by,"
        " why) values (:night, :path, :sha256, :verdict, :changed_us, :changed_us, :changed_by,"
        " :why)"
        " on conflict (night, path) do update set sha256 = :sha256, verdict = :verdict,"
        " read_us = :changed_us, changed_us = :changed_us, changed_by = :changed_by, why = :why",
        {
            "night": night,
            "path": file.path,
            "sha256": file.sha256,
            "verdict": verdict,
            **ledger.stamp(why),
        },
    )


def note_oldest(ledger: Ledger, night: int, age_us: int) -> None:
    """Keep when the file of a night that was read longest ago was read; none: nothing lies here."""
    query = f"select min(proved_us), min(since_us) from ({_READ})"  # noqa: S608 - constants
    ((oldest_us, since_us),) = ledger.rows(query, {"night": night, "age_us": age_us})
    now_us = ledger.now_us()
    ledger.execute(
        "insert into scrubbed (night, oldest_us, since_us) values (:night, :oldest_us, :since_us)"
        " on conflict (night) do update set oldest_us = :oldest_us, since_us = :since_us",
        {
            "night": night,
            "oldest_us": now_us if oldest_us is None else oldest_us,
            "since_us": now_us if since_us is None else since_us,
        },
    )


def rest(ledger: Ledger, night: int) -> None:
    """Files of a night could not be read: for a day others have their turn."""
    ledger.execute(
        "insert into scrubbed (night, oldest_us, again_us)"
        " select id, coalesce(closed_us, 0), :again_us from night where id = :night"
        " on conflict (night) do update set again_us = :again_us",
        {"night": night, "again_us": ledger.now_us() + _AGAIN_US},
    )


def oldest_proofs(source: Source) -> dict[Side, int]:
    """When the copy that was read longest ago was read, here and over there; of nights at rest."""
    here, far = source.execute(
        f"select min({_OLDEST}), min(night.verified_us) from night"  # noqa: S608 - constants
        f" left join scrubbed on scrubbed.night = night.id where {_AT_REST}"
    ).fetchone()
    found = {Side.HERE: here, Side.FAR: far}
    return {side: us for side, us in found.items() if us is not None}


def wrong_copies(source: Source) -> list[WrongCopy]:
    """Files that lie here and were not right when they were read last, and are still on record."""
    rows = fetch_all(
        WrongCopy,
        source,
        "select local_copy.*, exists (select 1 from raw_file"
        " where raw_file.night = local_copy.night and raw_file.path = local_copy.path) as is_raw"
        " from local_copy where verdict in ('damaged', 'missing') order by night, path",
    )
    return [row for row in rows if is_listed(source, row.night, row)]
