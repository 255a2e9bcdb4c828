"""The page's unit: it is the daemon's own program and user."""

from __future__ import annotations

import re

from vampd.shipped import unit_file

UNIT = (unit_file().parent / "vampd-page.service").read_text()


def test_the_page_is_the_daemons_own_program_and_user() -> None:
    daemon = unit_file().read_text()

    program = re.search(r"^ExecStart=(\S+ admin) run$", daemon, re.MULTILINE)
    assert program is not None
    assert f"ExecStart={program[1]} page\n" in UNIT
    for key in ("User", "Group", "StateDirectory"):
        line = re.search(rf"^{key}=.*$", daemon, re.MULTILINE)
        assert line is not None
        assert line[0] in UNIT
