"""Every background job, in the order in which they are asked whether they are due."""

from __future__ import annotations

from vampd.background import (
    copies,
    header_table,
    hooks,
    ledger_copies,
    night_records,
    rebuild_proof,
    scrub,
)
from vampd.background.mail import alerts
from vampd.background.mail import job as mail_job
from vampd.background.reclaim import job as reclaim_job
from vampd.schedule.background_job import AnyBackgroundJob

BACKGROUND_JOBS: tuple[AnyBackgroundJob, ...] = (
    mail_job.JOB,
    alerts.JOB,
    hooks.JOB,
    rebuild_proof.JOB,
    night_records.JOB,
    header_table.JOB,
    reclaim_job.JOB,
    copies.JOB,
    scrub.JOB,
    ledger_copies.MAKE,
    ledger_copies.SEND,
)
