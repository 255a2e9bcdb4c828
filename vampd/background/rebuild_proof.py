"""Proves, night by night, that raw files can be rebuilt from what was delivered.

A night of terabytes takes hours: it is proved in pieces, each recorded when it is done, so
that a restart costs one of them.
"""

from __future__ import annotations

import logging

from vampd.back_off import pause_us
from vampd.causes import Cause
from vampd.io.root import on_its_disk
from vampd.ledger import nights, proofs
from vampd.ledger.connection import Ledger
from vampd.ledger.proofs import RebuildProof
from vampd.ledger.records import Deliverable, Night
from vampd.ledger.rows import fetch_all
from vampd.schedule.background_job import BackgroundJob
from vampd.schedule.executor import Outcome
from vampd.schedule.work import Seat
from vampd.settings.sections import Config
from vampd.stages.rebuild import Proof, ProofJob, prove
from vampd.states import ErrorClass, HoldCode

log = logging.getLogger(__name__)

_PIECE_BYTES = 40_000_000_000  # some minutes of a worker; the sidecar is digested for each
_MOST_FAILURES = 5  # attempts in succession that ended without a word about the files
_SHOWN = 5  # files that a message names
_PASSING = frozenset({ErrorClass.TRANSIENT, ErrorClass.RESOURCE})


def due(ledger: Ledger, config: Config) -> ProofJob | None:
    """The next piece of the night that is safe for longest; None while there is none."""
    sidecar = proofs.sidecar_to_prove(ledger) if config.reclaim.prove else None
    if sidecar is None:
        return None
    night = nights.get_night(ledger, sidecar.night)
    files = proofs.files_to_rebuild(ledger, night.id, sidecar.batch, _PIECE_BYTES)
    outputs = fetch_all(
        Deliverable,
        ledger,
        "select * from deliverable where night = ? and batch = ?",
        [night.id, sidecar.batch],
    )
    return ProofJob(
        night=night.id,
        batch=sidecar.batch,
        place=nights.place_of(ledger, night),
        sidecar=sidecar.path,
        sha256=sidecar.sha256,
        files={row.path: row.sha256 or "unknown" for row in files},  # which no file has
        outputs={row.path: row.sha256 for row in outputs},
    )


def work(job: ProofJob) -> Proof:
    """Rebuild them, while their disk is there: the worker's part."""
    with on_its_disk(job.place):
        return prove(job)


def record(ledger: Ledger, config: Config, job: ProofJob, outcome: Outcome[Proof]) -> None:
    """Keep what came back; a file that did not come back holds its night."""
    if not proofs.is_listed(ledger, job.night, job.sidecar, job.sha256):
        return  # the night was restored meanwhile
    proof = proofs.begin(ledger, job.night, job.batch, job.sha256)
    night = nights.get_night(ledger, job.night)
    if proof.sidecar_sha256 != job.sha256:
        return  # the night was made anew meanwhile
    if outcome.result is not None:
        _record_result(ledger, night, proof, job, outcome.result)
    elif outcome.error_class is ErrorClass.INTEGRITY:
        _record_problem(ledger, night, proof, outcome.error or "")
    else:
        _put_off(ledger, config, proof, outcome)


def _record_result(
    ledger: Ledger,
    night: Night,
    proof: RebuildProof,
    job: ProofJob,
    result: Proof,
) -> None:
    if result.problems:
        more = len(result.problems) - _SHOWN
        lines = [*result.problems[:_SHOWN], *([f"and {more} more"] if more > 0 else [])]
        _record_problem(ledger, night, proof, "; ".join(lines))
    elif result.unknown:
        # A quarantined file that could not be read when the sidecar was made: no fault of it.
        text = f"not in the sidecar: {', '.join(result.unknown[:_SHOWN])}"
        proofs.record_problem(ledger, proof, text)
    elif not job.files:
        proofs.record_problem(
            ledger, proof, "no raw file is here any more: nothing to compare with"
        )
    else:
        proofs.record_rebuilt(ledger, proof, result.rebuilt)
        if proofs.rebuild_proved(ledger, night.id):
            text = "%s: every raw file can be rebuilt bit for bit from what was delivered"
            log.info(text, nights.label(night), extra={"NIGHT": night.date})


def _record_problem(ledger: Ledger, night: Night, proof: RebuildProof, problem: str) -> None:
    proofs.record_problem(ledger, proof, problem)
    why = Cause(HoldCode.NOT_REBUILDABLE, {"problem": problem})
    nights.hold(ledger, night.id, why)
    log.error("%s held: %s", nights.label(night), why, extra={"NIGHT": night.date})


def _put_off(ledger: Ledger, config: Config, proof: RebuildProof, outcome: Outcome[Proof]) -> None:
    error = outcome.error or "it ended without a word"
    log.warning("a proof is put off: %s", error)
    if proof.failures + 1 >= _MOST_FAILURES and outcome.error_class not in _PASSING:
        proofs.record_problem(ledger, proof, error)
        return
    rest_us = pause_us(
        config.retry.first_seconds, config.retry.longest_seconds, failures=proof.failures
    )
    proofs.put_off(ledger, proof, error, due_us=ledger.now_us() + rest_us)


JOB = BackgroundJob(name="proofs", seat=Seat.HERE, due=due, work=work, result=Proof, record=record)
