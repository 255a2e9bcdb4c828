"""What goes on and how fast; what nights weigh: the figures by which people plan their night."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.ledger_site import NOW_US, Site
from vampd.commands.status_picture import Wish, take
from vampd.ledger.reading import reading
from vampd.settings.load import load
from vampd.states import Kind, Stage
from vampd.views.activity import Progress, bytes_of_nights, far_verified_us, progress, queue
from vampd.views.summaries import nights, summarise

_SECOND_US = 1_000_000
_CUBE = "vcam1_05:10:00.000000000"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(folder=tmp_path / "site")
    site.make_ledger()
    return site


def at_work(site: Site) -> list[Progress]:
    with reading(site.state) as ledger:
        return progress(ledger, summarise(ledger, nights(ledger)), now_us=NOW_US)


def a_build(site: Site, *, began_s: float, built_s: list[float | None]) -> None:
    """A night of outputs of 8000 pixel bytes; *built_s*: so long ago, or not yet."""
    night = site.night("20251106", "running")
    site.stages(night, Kind.ARCHIVE, Stage.BUILD)
    cube = site.cube(night, _CUBE, frames=100)
    for ordinal, ago_s in enumerate(built_s):
        done = ago_s is not None
        began_us = NOW_US - round(began_s * _SECOND_US)
        unit, state = f"{ordinal}.1", "done" if done else "pending"
        site.task(night, Stage.BUILD, state, unit, started_us=began_us if done else None)
        site.output(
            night,
            ordinal,
            f"vcam1_{ordinal}",
            [(cube, 0, 1, 100)],
            state="built" if done else "planned",
            frames=100,
            width=10,
            height=4,
            changed_us=NOW_US - round((ago_s or 0) * _SECOND_US),
        )


def test_a_build_is_as_fast_as_its_last_minutes(site: Site) -> None:
    a_build(site, began_s=3600, built_s=[3000, 3000, 3000, 300, 60, None])

    (build,) = at_work(site)

    assert build.bytes_per_second == pytest.approx(2 * 8000 / 600)
    assert (build.total_bytes, build.done_bytes) == (6 * 8000, 5 * 8000)
    assert build.seconds_left == pytest.approx(300)


def test_a_build_that_began_just_now_is_measured_since_then(site: Site) -> None:
    a_build(site, began_s=20, built_s=[10, None])

    (build,) = at_work(site)

    assert build.bytes_per_second == pytest.approx(8000 / 20)
    assert build.seconds_left == pytest.approx(20)


def test_without_anything_done_nobody_knows_how_long_it_takes(site: Site) -> None:
    a_build(site, began_s=20, built_s=[None, None])
    site.execute("update task set state = 'running', started_us = ? where unit = '0.1'", NOW_US)

    (build,) = at_work(site)

    assert (build.units, build.units_done, build.units_running) == (2, 0, 1)
    assert build.bytes_per_second is None
    assert build.seconds_left is None


def test_the_queue_is_that_of_nights_that_are_worked_on(site: Site) -> None:
    for date, status in (("20251104", "held"), ("20251105", "abandoned"), ("20251106", "running")):
        night = site.night(date, status)
        site.task(night, Stage.SYNC, "running")
        site.task(night, Stage.MANIFEST, "pending")
        site.task(night, Stage.VERIFY, "done")

    with reading(site.state) as ledger:
        found = queue(summarise(ledger, nights(ledger)))

    assert (found.running, found.pending) == (1, 1)


def test_the_far_side_was_verified_when_a_night_last_was(site: Site) -> None:
    assert _verified(site) is None
    night = site.night("20251106", "safe")
    site.task(night, Stage.VERIFY, "done", finished_us=NOW_US)
    site.task(night, Stage.TRANSFER, "done", finished_us=NOW_US + 1)

    assert _verified(site) == NOW_US


def _verified(site: Site) -> int | None:
    with reading(site.state) as ledger:
        return far_verified_us(ledger)


def test_a_night_weighs_its_raw_files_and_outputs_of_both_kinds(site: Site) -> None:
    """Nights that still collect are not whole, and say nothing of the next one."""
    for kind, date, status in (
        (Kind.ARCHIVE, "20251104", "safe"),
        (Kind.ENGINEERING, "20251104", "safe"),
        (Kind.ARCHIVE, "20251105", "failed"),
        (Kind.ARCHIVE, "20251106", "collecting"),
    ):
        night = site.night(date, status, kind=kind)
        cube = site.cube(night, _CUBE, frames=10)
        site.output(night, 0, "a", [(cube, 0, 1, 10)], state="built", size_bytes=500)
        site.cube(night, "vcam1_05:11:00.000000000", state="gone")

    with reading(site.state) as ledger:
        roots = {str(site.folder / kind) for kind in Kind}
        both = bytes_of_nights(ledger, nights(ledger), roots)
        one = bytes_of_nights(ledger, nights(ledger), {str(site.folder / Kind.ARCHIVE)})

    assert both == [2 * 2500, 2500]
    assert one == [2500, 2500]


def test_a_disk_that_bears_both_roots_is_one_and_says_for_how_many_nights_it_lasts(
    site: Site,
) -> None:
    for kind in Kind:
        site.root(kind)
        site.cube(site.night("20251105", "safe", kind=kind), _CUBE, frames=10)

    picture = take(load(site.config), Wish(), now_us=NOW_US)

    (disk,) = picture.disks
    assert disk.night_bytes == 2 * 2000
    assert disk.nights_left == pytest.approx(disk.spare_bytes / 4000)
    assert disk.path in {site.folder / kind for kind in Kind}
