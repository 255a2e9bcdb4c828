"""A far disk that is not mounted, seen from the whole: nothing lands on what is there instead."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.daemon_site import DATE, DaemonSite, add_night, make_site


@pytest.fixture
def site(tmp_path: Path) -> DaemonSite:
    site = make_site(tmp_path)
    add_night(site, "small")
    return site


def status_of(site: DaemonSite) -> dict[str, str]:
    done = site.call("explain", DATE, "--kind", "archive", "--json")
    [night] = json.loads(done.stdout)["nights"]
    return {"status": night["status"], "rule": night["rule"]}


def test_a_night_waits_for_its_far_disk_and_writes_nothing_where_that_is_missing(
    site: DaemonSite,
) -> None:
    far = site.far("archive").parent
    claimed = site.call("admin", "doctor", "--claim", str(far), "-y")
    assert claimed.returncode == 0, claimed.stderr
    far.rename(far.with_name("disk"))
    far.mkdir()

    site.run()

    assert list(far.iterdir()) == []
    assert status_of(site) == {"status": "waiting", "rule": "far disk"}
    far.rmdir()
    far.with_name("disk").rename(far)
    site.call("retry", DATE, "--kind", "archive")
    site.run()
    assert status_of(site)["status"] == "safe"


def test_what_counted_as_safe_does_not_on_another_disk(site: DaemonSite) -> None:
    site.run()
    assert status_of(site)["status"] == "safe"
    far = site.far("archive").parent
    marker = far / ".vampd-destination"
    assert marker.is_file()
    marker.write_text(marker.read_text().replace(marker.read_text().split()[1][:8], "00000000"))

    checked = site.call("data", "verify", DATE, "--kind", "archive")

    assert checked.returncode == 1
    assert "is another" in " ".join(checked.stdout.split())
