"""Readings that go wrong count for one file of one night."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from tests.support.fake_ledger import a_night, identity, opened
from vampd.causes import Cause
from vampd.ledger import files
from vampd.schedule.suspects import Suspects
from vampd.states import FileCode, FileState

PATH = "vcam1/vcam1_05:10:00.000000000.fits"


def test_a_file_of_the_same_name_in_another_night_is_no_suspect(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as ledger:
        bad, good = (a_night(ledger, date).id for date in ("20251105", "20251106"))
        for night in (bad, good):
            files.add_file(
                ledger,
                night,
                PATH,
                role="cube",
                camera=1,
                stem="vcam1_05:10:00.000000000",
                who=identity(),
                state=FileState.WHOLE,
                cause=None,
            )
        suspects = Suspects(ledger)
        fails = Cause(FileCode.READING_FAILS, {"error": "?"})

        for _ in range(3):
            suspects.count(bad, PATH, fails)
        suspects.count(good, PATH, fails)

        states = [files.file_of(ledger, night, PATH).state for night in (bad, good)]
    assert states == [FileState.QUARANTINED, FileState.WHOLE]
    assert suspects.of(good) == {PATH}
