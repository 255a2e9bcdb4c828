"""The ledger in numbers, as text that Prometheus reads (exposition format 0.0.4).

Reading only, and quick: counts come from the tallies, and the disks from the daemon's last look.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from vampd.ledger.alerts import Disk
from vampd.ledger.local_copies import oldest_proofs, wrong_copies
from vampd.ledger.mail_tracks import Track, batch_tracks
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.ledger.rows import fetch_all
from vampd.states import Kind, NightStatus, Severity, UnseenSort
from vampd.time_units import SECOND_US
from vampd.views.live import lags
from vampd.views.summaries import last_daemon

Labels = Mapping[str, str]


class Metric(Struct, frozen=True, kw_only=True):
    """One family of numbers; each sample is told by its labels."""

    name: str
    help: str
    samples: tuple[tuple[Labels, float], ...]


def metrics_text(reader: Reader, now_us: int, *, version: str, configured: bool = True) -> str:
    """All metrics at the moment *now_us*, each with its HELP and TYPE.

    *configured*: whether the archive team is told by mail (`config.mail.is_configured`).
    """
    found = [
        Metric(
            name="vampd_info", help="The version that answers.", samples=_one(1, version=version)
        ),
        *_daemon(reader),
        *_nights(reader),
        *_tallies(reader),
        *_live(reader),
        *_proofs(reader),
        *_troubles(reader, now_us),
        *_not_taken(reader),
        *_disks(reader),
        *_mails(reader, now_us, configured=configured),
    ]
    return "".join(_text(metric) for metric in found)


def _daemon(reader: Reader) -> Iterator[Metric]:
    daemon = last_daemon(reader)
    if daemon is None:
        return
    times = {
        "heard": ("When the daemon last said that it lives.", daemon.heard_us),
        "started": ("When the daemon was started.", daemon.started_us),
    }
    for name, (text, us) in times.items():
        yield Metric(
            name=f"vampd_daemon_{name}_timestamp_seconds", help=text, samples=_one(us / SECOND_US)
        )
    yield Metric(
        name="vampd_daemon_stopped",
        help="1 where the daemon was stopped in order.",
        samples=_one(daemon.stopped_us is not None),
    )
    yield Metric(
        name="vampd_daemon_pauses",
        help="1 while it begins nothing, for others wait for disk or memory.",
        samples=_one(daemon.pauses is not None),
    )


def _nights(reader: Reader) -> Iterator[Metric]:
    rows = reader.execute("select kind, status, count(*) from night group by kind, status")
    counts = {(kind, status): count for kind, status, count in rows}
    yield Metric(
        name="vampd_nights",
        help="Nights by kind and status.",
        samples=tuple(
            ({"kind": kind, "status": status}, counts.get((kind, status), 0))
            for kind in Kind
            for status in NightStatus
        ),
    )
    safe = reader.execute(
        "select kind, max(safe_us) from night where safe_us is not null group by kind"
    )
    yield Metric(
        name="vampd_last_safe_timestamp_seconds",
        help="When a night became safe last.",
        samples=tuple(({"kind": kind}, us / SECOND_US) for kind, us in safe),
    )


class _Tally(Struct, frozen=True, kw_only=True):
    """How many there are of one sort, in all nights."""

    subject: str
    part: str
    state: str
    items: int
    size_bytes: int


def _tallies(reader: Reader) -> Iterator[Metric]:
    rows = fetch_all(
        _Tally,
        reader,
        "select subject, part, state, sum(items) as items, sum(size_bytes) as size_bytes"
        " from tally group by subject, part, state",
    )
    cubes = [row for row in rows if row.subject == "raw_file" and row.part == "cube"]
    outputs = [row for row in rows if row.subject == "output"]
    for name, text, chosen in (
        ("raw_cube", "Raw cubes", cubes),
        ("output", "Output files", outputs),
    ):
        for unit, column in (("s", "items"), ("_bytes", "size_bytes")):
            yield Metric(
                name=f"vampd_{name}{unit}",
                help=f"{text}{' in bytes' if unit != 's' else ''}, of all nights, by state.",
                samples=tuple(({"state": row.state}, getattr(row, column)) for row in chosen),
            )
    yield Metric(
        name="vampd_tasks",
        help="Units of work of all nights, by stage and state.",
        samples=tuple(
            ({"stage": row.part, "state": row.state}, row.items)
            for row in rows
            if row.subject == "task"
        ),
    )


def _live(reader: Reader) -> Iterator[Metric]:
    nights = fetch_all(
        Night,
        reader,
        "select * from night where closed_us is null"
        " and status in ('collecting', 'held') and exists (select 1 from live where night = id)",
    )
    found = lags(reader, [night.id for night in nights])
    samples = [
        ({"kind": night.kind, "night": night.date, "what": what}, us / SECOND_US)
        for night in nights
        for what, us in (
            ("newest", found[night.id].newest_us),
            ("watermark", found[night.id].through_us),
            ("planned", found[night.id].planned_us),
            ("built", found[night.id].built_us),
            ("verified", found[night.id].verified_us),
        )
        if us is not None
    ]
    yield Metric(
        name="vampd_live_through_timestamp_seconds",
        help="Up to which time of acquisition a night that goes on is known, planned, built, safe.",
        samples=tuple(samples),
    )


def _proofs(reader: Reader) -> Iterator[Metric]:
    yield Metric(
        name="vampd_oldest_proof_timestamp_seconds",
        help="When the copy that was read through longest ago was read, here and at the far end.",
        samples=tuple(
            ({"side": side}, us / SECOND_US) for side, us in oldest_proofs(reader).items()
        ),
    )
    yield Metric(
        name="vampd_wrong_local_files",
        help="Files here that were not what is on record when they were read last.",
        samples=_one(len(wrong_copies(reader))),
    )


def _troubles(reader: Reader, now_us: int) -> Iterator[Metric]:
    (since_us,) = reader.execute(
        "select min(failing_since_us) from task where error is not null and state != 'done'"
    ).fetchone()
    yield Metric(
        name="vampd_oldest_failing_seconds",
        help="For how long the unit of work has been failing that fails for longest; 0: none.",
        samples=_one((now_us - since_us) / SECOND_US if since_us else 0),
    )
    rows = reader.execute("select severity, count(*) from alert where over_us is null group by 1")
    counts = dict(rows.fetchall())
    yield Metric(
        name="vampd_alerts",
        help="What operators should know, by severity.",
        samples=tuple(({"severity": word}, counts.get(word, 0)) for word in Severity),
    )


def _not_taken(reader: Reader) -> Iterator[Metric]:
    rows = reader.execute(
        "select sort, count(*), sum(entries) from unseen"
        " where is_data and not accepted group by sort"
    )
    counts = {sort: amounts for sort, *amounts in rows}
    for place, (name, what) in enumerate((("places", "Places"), ("entries", "Files"))):
        yield Metric(
            name=f"vampd_not_taken_{name}",
            help=f"{what} that could be the cameras' data, and that nobody takes, by why.",
            samples=tuple(
                ({"sort": sort}, counts[sort][place] if sort in counts else 0)
                for sort in UnseenSort
                if sort is not UnseenSort.FOREIGN
            ),
        )


def _disks(reader: Reader) -> Iterator[Metric]:
    rows = fetch_all(Disk, reader, "select * from disk order by path")
    yield Metric(
        name="vampd_disk_present",
        help="1 where the disk is there, and the one that it was.",
        samples=tuple(({"path": row.path}, row.present) for row in rows),
    )
    for column, name, text in (
        ("free_bytes", "free", "Bytes that may still be written"),
        ("total_bytes", "size", "Bytes in all"),
    ):
        yield Metric(
            name=f"vampd_disk_{name}_bytes",
            help=f"{text}, at the daemon's last look.",
            samples=tuple(
                ({"path": row.path}, size)
                for row in rows
                if (size := getattr(row, column)) is not None
            ),
        )


def _mails(reader: Reader, now_us: int, *, configured: bool) -> Iterator[Metric]:
    every = batch_tracks(reader, configured=configured)
    yield Metric(
        name="vampd_mails",
        help="Batches of nights, by how far their mail to the archive team is.",
        samples=tuple(
            ({"state": state}, sum(track.state is state for track in every)) for state in Track
        ),
    )
    sent = [track.sent_us for track in every if track.state is Track.SENT and track.sent_us]
    yield Metric(
        name="vampd_oldest_unacknowledged_seconds",
        help="For how long the archive has not answered the oldest unanswered mail; 0: none.",
        samples=_one((now_us - min(sent)) / SECOND_US if sent else 0),
    )


def _one(value: float, **labels: str) -> tuple[tuple[Labels, float], ...]:
    return ((labels, value),)


def _text(metric: Metric) -> str:
    lines = [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} gauge"]
    lines += [
        f"{metric.name}{_labels(labels)} {_number(value)}" for labels, value in metric.samples
    ]
    return "".join(f"{line}\n" for line in lines) if metric.samples else ""


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(_pairs(labels.items())) + "}"


def _pairs(labels: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Backslash, quote and newline are escaped, as the format asks."""
    for name, value in labels:
        text = str(value).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        yield f'{name}="{text}"'


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
