"""A verification answers for the files that it asked about, as they were then."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.support.fake_ledger import FakeClock, a_night, a_task, claimed, opened, settings
from vampd.ledger import deliveries, nights, tasks
from vampd.schedule import retries
from vampd.stages.verify import CheckResult, VerifiedFile, VerifyResult
from vampd.states import Stage, TaskState

_OLD, _NEW = "a" * 64, "b" * 64


@pytest.mark.parametrize("path", ["vgen2/VMPA00000001.fits.fz", "vgen2/VMPA00000002.fits.fz"])
def test_what_is_listed_after_the_question_was_asked_is_verified_before_its_night_is_safe(
    tmp_path: Path, path: str
) -> None:
    config = settings(tmp_path)
    with closing(opened(tmp_path / "state", FakeClock())) as ledger:
        night = a_night(ledger)
        deliveries.list_file(ledger, night.id, "vgen2/VMPA00000001.fits.fz", 7, _OLD)
        task = claimed(ledger, a_task(ledger, night.id, Stage.VERIFY))
        deliveries.list_file(ledger, night.id, path, 7, _NEW)
        verdict: VerifiedFile = VerifiedFile(
            path="vgen2/VMPA00000001.fits.fz",
            verdict="verified",
            sha256=_OLD,
            why=None,
            lies_at_destination=True,
        )
        copies: VerifyResult = VerifyResult(
            results=[verdict],
            seconds=1.0,
            verify_at="/far/20251106",
            destination="/far/20251106",
            patience_hours=0.0,
            marked=[],
        )

        retries.after_success(ledger, task, CheckResult(copies=copies), config)

        assert tasks.get_task(ledger, task.id).state == TaskState.PENDING
        assert nights.get_night(ledger, night.id).verified_us is None
