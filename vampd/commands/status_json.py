"""`vampd status --json`: all that the screen shows, and more, for programs. Schema 1."""

from __future__ import annotations

from typing import Any

from vampd import __version__
from vampd.commands import live_words, logger_words
from vampd.commands.screen import record_json, time_json
from vampd.commands.status_broken import Broken, broken, code_of
from vampd.commands.status_picture import Picture
from vampd.ledger.local_copies import Side
from vampd.states import NightStatus
from vampd.views import advice, causes
from vampd.views.activity import Progress
from vampd.views.oddities import Oddity
from vampd.views.summaries import Summary, is_at_rest

#: What is told of a condition, and of others, in this order: see `record_json`.
CONDITION = ("name", "severity", "text", "since_us")
_ROOT = ("path", "kind", "present", "answers", "known", "free_bytes", "total_bytes")
_DISK = ("path", "free_bytes", "total_bytes", "spare_bytes", "night_bytes", "nights_left")
_PROGRESS = (
    *("stage", "units", "units_done", "units_running", "total_bytes", "done_bytes"),
    *("bytes_per_second", "seconds_left", "since_us"),
)
_NIGHT_END = ("last_change_us", "closed_at=closed_us", "closed_by", "safe_since=safe_us")


def picture_json(picture: Picture) -> dict[str, Any]:
    """The whole picture. What is not known is null; keys are never left out."""
    return {
        "version": __version__,
        "host": picture.host,
        "now": time_json(picture.now_us),
        "at": time_json(picture.at_us),
        "daemon": _daemon(picture),
        "builders": _builders(picture),
        "roots": [record_json(root, *_ROOT) for root in picture.roots],
        "disks": [record_json(disk, *_DISK) for disk in picture.disks],
        "oldest_proofs": {side: time_json(picture.oldest_proofs.get(side)) for side in Side},
        "far_side": record_json(picture.far, "verified_us", "failing_since_us", "error"),
        "mail": picture.mail,
        "queue": record_json(picture.queue),
        "running": [_progress(progress) for progress in picture.running],
        "needs_somebody": needing(picture),
        "matters": [_matter(each) for each in broken(picture)],
        "told": [record_json(each, *CONDITION) for each in picture.told],
        "code": code_of(picture, list(broken(picture))),
        "beside_nights": [record_json(each) for each in picture.beside],
        "nights": _nights(picture),
        "left_out": picture.left_out,
    }


def needing(picture: Picture) -> list[str]:
    """What does not go on without a person, in words: `daemon`, `root PATH`, `archive 20251106`."""
    found = [] if picture.daemon_runs or picture.at_us is not None else ["daemon"]
    found += [f"root {root.path}" for root in picture.roots if not root.present]
    return found + [
        str(summary.night)
        for summary in picture.summaries
        if summary.night.status in advice.TOLD and advice.needs_somebody(summary)
    ]


def _matter(each: Broken) -> dict[str, Any]:
    return {
        **record_json(each, "severity", "title", "what", "safe", "next=next_step", "look"),
        "nights": [{"kind": night.kind, "date": night.date} for night in each.nights],
    }


def _daemon(picture: Picture) -> dict[str, Any]:
    daemon, running = picture.daemon, picture.daemon_runs
    return {
        "running": running,
        "pid": daemon.pid if daemon is not None and running else None,
        "lock": picture.lock,
        "since": time_json(daemon.started_us) if daemon is not None else None,
        "stopped": time_json(daemon.stopped_us) if daemon is not None else None,
        "heard": time_json(daemon.heard_us) if daemon is not None else None,
        "pauses": picture.pauses,
    }


def _builders(picture: Picture) -> dict[str, Any] | None:
    roster = picture.builders
    if roster is None:
        return None
    return {
        "scheduler": roster.scheduler,
        "away": roster.away,
        "since": time_json(roster.since_us),
        "builders": [
            {
                "host": each.host,
                "address": each.address,
                "pid": each.pid,
                "state": each.state,
                "why": each.why or None,
                "since": time_json(each.since_us),
            }
            for each in roster.builders
        ],
    }


def _progress(progress: Progress) -> dict[str, Any]:
    return {
        "kind": progress.night.kind,
        "date": progress.night.date,
        **record_json(progress, *_PROGRESS),
    }


def _nights(picture: Picture) -> list[dict[str, Any]]:
    both = advice.both_kinds(picture.summaries)
    return [
        summary_json(summary, both_kinds=summary.night.date in both)
        for summary in picture.summaries
    ]


def summary_json(summary: Summary, *, both_kinds: bool = False) -> dict[str, Any]:
    """A night in short."""
    night = summary.night
    return {
        **record_json(night, "kind", "date", "folder", "status"),
        "at_rest": is_at_rest(night),
        "since": time_json(night.changed_us),
        "stages": {stage: state.state for stage, state in summary.stages.items()},
        "progress": {
            stage: {"done": state.done, "total": state.total, "running": state.running}
            for stage, state in summary.stages.items()
        },
        "cause": advice.cause_of(summary),
        "rule": causes.rule_of(summary)[0],
        "next": _next(summary, both_kinds=both_kinds),
        "hold": night.hold,
        "raw_files": summary.raw_files,
        "raw_bytes": summary.amounts.raw,
        **record_json(summary, "quarantined", "quarantined_seen", "late", "outputs"),
        "output_bytes": summary.amounts.outputs,
        **record_json(summary, "built", "verified", "elsewhere"),
        "logger": logger_words.tolls_json(summary.tolls),
        "odd": [
            *logger_words.toll_texts(summary.tolls),
            *(each.text for each in summary.oddities if each.is_told),
        ],
        "oddities": [oddity_json(each) for each in summary.oddities],
        "batches": summary.batches,
        "live": live_words.lag_json(summary.lag),
        **record_json(night, *_NIGHT_END),
    }


def oddity_json(each: Oddity) -> dict[str, Any]:
    """One thing that is odd of a night, for programs."""
    return record_json(each, "sort", "place", "text", "found_us", "accepted")


def _next(summary: Summary, *, both_kinds: bool) -> str | None:
    told = summary.night.status in advice.TOLD or summary.night.status is NightStatus.COLLECTING
    return advice.next_step(summary, both_kinds=both_kinds) if told else None
