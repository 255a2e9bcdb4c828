"""Whatever happens in between: never two different mails about the same files, and never none."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.schedule.test_mail import Scene
from tests.support.fake_ledger import FakeClock, opened, settings
from tests.support.mail_life import Life
from tests.support.mail_server import post_office

STEPS = 60


@pytest.mark.parametrize("seed", range(10))
def test_chance_makes_no_second_mail_and_loses_none(tmp_path: Path, seed: int) -> None:
    clock = FakeClock()
    settings(tmp_path)
    with post_office() as office, closing(opened(tmp_path / "state", clock)) as ledger:
        Life(Scene(tmp_path, ledger, clock, office), seed).go(STEPS)
