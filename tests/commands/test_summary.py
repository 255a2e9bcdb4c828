"""A night is summed up minute by minute, and held where its quality is outside its limits."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from tests.support.daemon_site import DATE, DaemonSite, add_night, make_site
from vampd.ledger.reading import reading
from vampd.simulation.truth import Truth
from vampd.views.frame_times import flc_intervals, pair_offsets, target_spans
from vampd.views.summaries import nights

_STRICT = """
[quality]
least_synchronised_percent = 99.9
hold = ["synchronised"]
"""


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[DaemonSite, Truth]:
    """A safe archive night, and its truth."""
    site = make_site(tmp_path_factory.mktemp("summary"))
    truth = add_night(site, "small")
    site.run()
    return site, truth


def _totals(site: DaemonSite) -> Counter[str]:
    [summed] = site.json("data", "summary", DATE)["nights"]
    totals: Counter[str] = Counter()
    for minute in summed["minutes"]:
        for fates in minute["cameras"].values():
            totals.update(fates)
    return totals


def _outputs(site: DaemonSite, **wanted: Any) -> int:
    [listed] = site.json("data", "files", DATE)["nights"]
    return sum(
        row["frames"]
        for row in listed["outputs"]
        if all(row[name] == value for name, value in wanted.items())
    )


def test_every_frame_of_the_night_is_in_its_summary(night: tuple[DaemonSite, Truth]) -> None:
    site, truth = night
    usable = [file for file in truth.files if not file.quarantined]

    totals = _totals(site)

    assert totals["synchronised"] + totals["solo"] + totals["rejected"] == sum(
        len(file.frames) for file in usable
    )
    assert totals["a"] == _outputs(site, flc_state="A")
    assert totals["b"] == _outputs(site, flc_state="B")
    assert totals["dubious"] == _outputs(site, flc_state="D")


def test_frames_that_a_camera_lost_are_counted(night: tuple[DaemonSite, Truth]) -> None:
    site, truth = night
    lost = sum(
        int(file.frames[-1] - file.frames[0] + 1 - len(file.frames))
        for file in truth.files
        if not file.quarantined and len(file.frames)
    )

    assert lost > 0
    assert _totals(site)["lost"] == lost


def test_what_is_outside_its_limits_is_told(night: tuple[DaemonSite, Truth]) -> None:
    site, _ = night

    [summed] = site.json("data", "summary", DATE)["nights"]
    said = site.call("data", "summary", DATE).stdout

    [kept] = summed["quality"]
    assert kept["synchronised"] <= kept["expected"]
    assert f"{kept['synchronised']} of {kept['expected']} frames" in said
    for text in summed["outside_limits"]:
        assert text in said


def test_every_plot_shows_something(night: tuple[DaemonSite, Truth], tmp_path: Path) -> None:
    site, _ = night

    done = site.call("data", "summary", DATE, "--plots", str(tmp_path / "plots"))

    assert done.returncode == 0, done.stderr
    plots = sorted((tmp_path / "plots").glob("*.png"))
    assert [path.name.rpartition("_")[2] for path in plots] == [
        "frames.png",
        "intervals.png",
        "offset.png",
    ]
    for path in plots:
        pixels = matplotlib.image.imread(path)
        coloured = np.ptp(pixels[..., :3], axis=-1) > 0.2
        assert coloured.sum() > 200, f"{path.name} is empty"
        assert pixels[0, 0, :3].min() == 1.0


def test_plots_for_the_night_are_dark(night: tuple[DaemonSite, Truth], tmp_path: Path) -> None:
    site, _ = night

    site.call("data", "summary", DATE, "--plots", str(tmp_path), "--dark")

    for path in tmp_path.glob("*.png"):
        assert matplotlib.image.imread(path)[0, 0, :3].max() < 0.2


def test_frames_of_a_are_followed_by_short_intervals_and_those_of_b_by_long_ones(
    night: tuple[DaemonSite, Truth],
) -> None:
    with reading(night[0].folder / "state") as ledger:
        [found] = [each for each in nights(ledger) if each.date == DATE]
        intervals = flc_intervals(ledger, found)
        offsets = pair_offsets(ledger, found)
        spans = target_spans(ledger, found)

    assert np.median(intervals["A"]) < 0 < np.median(intervals["B"])
    assert {"A", "B"} <= set(offsets.states.tolist())
    assert (np.diff(offsets.times_us) >= 0).all()
    assert all(one.target != other.target for one, other in pairwise(spans))


def test_a_night_outside_a_limit_that_holds_waits_for_somebody(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    site.config.write_text(site.config.read_text() + _STRICT)
    add_night(site, "small")

    site.run(status=1)
    [held] = site.json("status")["nights"]
    released = site.call("release", DATE)
    site.run()

    assert held["status"] == "held"
    assert "frames that could have a partner" in held["cause"]
    assert released.returncode == 0, released.stderr
    assert site.status() == "safe"
