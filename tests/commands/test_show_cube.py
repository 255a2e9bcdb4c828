"""`vampd show DATE --cube NAME`: measures of the frames that are there, and pictures that open."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest

from tests.support.finished_nights import Carried, Output


def date_of(carried: Carried) -> list[str]:
    return [carried.site.night(carried.kind).name, "--kind", carried.kind]


def looks(carried: Carried, name: str) -> list[dict[str, Any]]:
    answer = carried.site.json("show", *date_of(carried), "--cube", name, "--json")
    found: list[dict[str, Any]] = answer["quick_looks"]
    return found


def test_outputs_were_measured_as_their_frames_are(carried: Carried) -> None:
    for output in carried.outputs[:: len(carried.outputs) // 4]:
        (look,) = looks(carried, output.path.name)

        mean = output.frames.mean(axis=0)
        assert look["frames"] == len(output.frames)
        assert look["peak_adu"] == output.frames.max()
        assert look["median_adu"] == pytest.approx(float(np.median(mean[::2, ::2])), rel=1e-5)
        assert (look["camera"], look["output"]) == (output.camera, output.name.split(".fits")[0])


def test_pictures_lie_where_they_are_said_to_be(carried: Carried) -> None:
    (look,) = looks(carried, carried.outputs[0].path.name)

    assert look["pictures"]
    for path in map(Path, look["pictures"]):
        assert (
            imagecodecs.png_decode(path.read_bytes()).shape == carried.outputs[0].frames.shape[1:]
        )


def test_the_cameras_are_compared_where_both_saw_the_same(carried: Carried) -> None:
    pairs: dict[tuple[str, object], list[Output]] = {}
    for output in carried.outputs:
        if output.is_synchronised:
            pairs.setdefault((output.cube, output.header["U_FLC"]), []).append(output)
    of_one, of_two = next(
        sorted(pair, key=lambda output: output.camera)
        for pair in pairs.values()
        if len(pair) == 2 and all(flux(output) > 0 for output in pair)
    )

    found = [looks(carried, output.path.name)[0]["flux_ratio"] for output in (of_one, of_two)]

    assert found == pytest.approx([flux(of_two) / flux(of_one)] * 2, rel=1e-3)


def flux(output: Output) -> float:
    """What of the mean frame is above its median."""
    mean = output.frames.mean(axis=0)
    return float((mean - np.median(mean[::2, ::2])).sum())


def test_a_raw_cube_shows_all_outputs_that_have_frames_of_it(carried: Carried) -> None:
    file = next(file for file in carried.truth.files if file.camera == 1 and len(file.frames) > 9)
    triggers = {(file.camera, file.scene, int(trigger)) for trigger in file.frames}
    expected = {
        output.name.split(".fits")[0] for output in carried.outputs if triggers & set(output.who)
    }

    assert {look["output"] for look in looks(carried, file.path)} == expected


def test_a_terminal_that_shows_pictures_gets_one(carried: Carried) -> None:
    words = carried.site.words("show", *date_of(carried), "--cube", carried.outputs[0].path.name)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        words, stdout=theirs, stdin=theirs, env={**os.environ, "KITTY_WINDOW_ID": "1"}
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            some = os.read(ours, 1 << 16)
        except OSError:  # its end, as Linux says it
            break
        if not some:
            break
        said += some
    os.close(ours)

    assert process.wait(timeout=30) == 0
    assert b"\x1b_Ga=T,f=100,m=" in said
    assert said.rstrip().endswith(b"\x1b\\")


def test_elsewhere_the_files_are_named(carried: Carried) -> None:
    done = carried.site.call("show", *date_of(carried), "--cube", carried.outputs[0].path.name)

    assert done.returncode == 0, done.stderr
    assert ".vampd/quicklook/" in done.stdout.replace("\n", "").replace(" ", "")
    assert "\x1b_G" not in done.stdout


def test_an_unknown_cube_is_refused_in_words(carried: Carried) -> None:
    done = carried.site.call("show", *date_of(carried), "--cube", "vcam1_00:00:00.000000000")

    assert done.returncode == 1
    assert "the ledger knows no such file" in done.stderr
