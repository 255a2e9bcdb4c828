"""One scenario of the campaign between two hosts, so that the campaign itself stays whole."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.sshd import why_no_sshd


@pytest.mark.skipif(why_no_sshd() is not None, reason=str(why_no_sshd()))
def test_a_daemon_killed_while_digests_are_computed_on_another_host_loses_nothing() -> None:
    scenario = ["--nights", "0", "--only", "killed-in-verify", "--way", "helper"]
    command = [sys.executable, "-m", "tests.campaigns.delivery", *scenario]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n1 endings, 0 wrong, " in done.stdout
