"""`metrics` says the ledger's numbers as Prometheus reads them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.ledger_site import Site
from vampd.states import Kind, Stage

# Prometheus' text format: one metric, its labels, its value.
_SAMPLE = re.compile(
    r'([a-z_:][a-z0-9_:]*)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?[0-9.e+-]+)'
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    return site


def samples(text: str) -> dict[str, float]:
    """Every sample, by its name and labels; each must be announced by HELP and TYPE."""
    found: dict[str, float] = {}
    announced: list[str] = []
    for line in text.splitlines():
        if line.startswith("# "):
            announced.append(line.split()[2])
            continue
        match = _SAMPLE.fullmatch(line)
        assert match is not None, line
        assert announced[-2:] == [match[1], match[1]], line
        key = line.rpartition(" ")[0]
        assert key not in found, line
        found[key] = float(match[3])
    assert text.endswith("\n")
    return found


def test_an_empty_ledger_has_numbers_too(site: Site) -> None:
    found = samples(site.said("admin", "metrics"))

    assert found['vampd_nights{kind="archive",status="failed"}'] == 0
    assert found['vampd_info{version="0.1.0"}'] == 1


def test_nights_work_disks_and_the_daemon_are_counted(site: Site) -> None:
    site.daemon()
    night = site.night("20251105", "failed")
    site.night("20251105", "safe", kind=Kind.ENGINEERING)
    site.cube(night, "vcam1_05:00:00.000000000")
    site.task(night, Stage.TRANSFER, "failed", error="no", failing_since_us=1_000_000)
    site.insert(
        "disk",
        path='/a "b"\\c',
        present=1,
        free_bytes=7_500_000_000_000,
        total_bytes=9,
        looked_us=1,
    )

    found = samples(site.said("admin", "metrics"))

    assert found['vampd_nights{kind="archive",status="failed"}'] == 1
    assert found['vampd_nights{kind="engineering",status="safe"}'] == 1
    assert found['vampd_raw_cubes{state="whole"}'] == 1
    assert found['vampd_raw_cube_bytes{state="whole"}'] == 1000
    assert found['vampd_tasks{stage="transfer",state="failed"}'] == 1
    assert found['vampd_disk_free_bytes{path="/a \\"b\\"\\\\c"}'] == 7_500_000_000_000
    assert found["vampd_oldest_failing_seconds"] > 1e9
    assert found["vampd_daemon_stopped"] == 1
    assert found['vampd_mails{state="not configured"}'] == 1


def test_the_file_is_replaced_as_a_whole(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "collector" / "vampd.prom"
    target.parent.mkdir()
    target.write_text("old")

    site.said("admin", "metrics", "--textfile", target)

    assert samples(target.read_text())
    assert [path.name for path in target.parent.iterdir()] == ["vampd.prom"]
    assert target.stat().st_mode & 0o777 == 0o644
