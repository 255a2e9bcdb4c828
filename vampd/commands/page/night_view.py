"""One night, gathered for its page, its report, and programs."""

from __future__ import annotations

from collections import Counter
from typing import Any

from msgspec.structs import asdict

from vampd.commands import log, logger_words, stage_times
from vampd.commands.explain import Explained, explained, text_of
from vampd.commands.live_words import lag_json
from vampd.commands.screen import time_json
from vampd.commands.status_json import summary_json
from vampd.io.lock import holder
from vampd.ledger import logger_faults
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.settings.sections import Config
from vampd.states import FileState
from vampd.views import advice, details, quality
from vampd.views.history import events
from vampd.views.summaries import Summary, nights

_MOST_EVENTS = 2000
_HIDDEN = frozenset({FileState.GONE, FileState.IGNORED})


def _live(summary: Summary) -> dict[str, Any] | None:
    """How far a night is that goes on, or what its close came to; in between nothing is so."""
    lag = summary.lag
    if lag is None or (summary.night.closed_us is not None and lag.is_open):
        return None
    return lag_json(lag)


def _next_step(why: Explained) -> str | None:
    is_told = why.cause.command is not None or advice.needs_somebody(why.summary)
    return why.cause.next_step if is_told else None


def night_context(ledger: Reader, night: Night, config: Config, *, now_us: int) -> dict[str, Any]:
    """Everything that the page of *night* shows; `json` holds what programs are told."""
    every = nights(ledger)
    why = explained(
        ledger,
        night,
        every,
        daemon_runs=holder(config.state_dir) is not None,
        now_us=now_us,
        has_mail=config.mail.is_configured,
    )
    summary = why.summary
    tasks = details.tasks(ledger, night)
    times = list(stage_times.stage_times(night.kind, summary.batches, tasks))
    raw = [row for row in details.raw_files(ledger, night) if row.state not in _HIDDEN]
    outputs = details.outputs(ledger, night)
    deliverables = details.deliverables(ledger, night)
    slices = quality.slices(ledger, night)
    happened = events(ledger, nights=[night], newest=_MOST_EVENTS)
    faults = logger_faults.faults_of(ledger, night.id)
    twins = sum(other.date == night.date for other in every) > 1
    return {
        "night": night,
        "now_us": now_us,
        "summary": summary,
        "live": _live(summary),
        "explanation": text_of(why, now_us=now_us),
        "next_step": _next_step(why),
        "stages": [(each, stage_times.facts(each, now_us=now_us)) for each in times],
        "errors": [row for row in tasks if row.error],
        "raw": raw,
        "bad": [row for row in raw if row.state in {FileState.QUARANTINED, FileState.LATE}],
        "outputs": outputs,
        "verdicts": Counter(row.verdict or "not yet known" for row in deliverables),
        "reports": details.reports(ledger, night),
        "slices": slices,
        "quality": quality.kept(ledger, night),
        "findings": quality.findings(ledger, night),
        "faults": [logger_words.fault_text(fault) for fault in faults],
        "events": [
            (told.event.at_us, log.sentence(told, why=told.last.why))
            for told in log.together(happened)
        ],
        "json": {
            **summary_json(summary, both_kinds=twins),
            "explanation": text_of(why, now_us=now_us),
            "stages_in_time": [stage_times.times_json(each) for each in times],
            "quality": [asdict(each) for each in quality.kept(ledger, night)],
            "outside_limits": quality.findings(ledger, night),
            "logger_faults": [logger_words.fault_json(fault) for fault in faults],
            "now": time_json(now_us),
        },
    }
