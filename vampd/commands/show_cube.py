"""`vampd show DATE --cube NAME`: what a glance at a cube's frames says, and its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from vampd.commands.screen import Screen, count_text, paragraph, time_json, time_text
from vampd.commands.terminal_pictures import can_show, show
from vampd.commands.tracer import Trace, Tracer
from vampd.errors import OperatorError
from vampd.io.beneath import Beneath, is_file, night_folder, read_start
from vampd.layout import LARGE_PICTURE
from vampd.ledger.reading import Reader
from vampd.ledger.records import Night
from vampd.settings.sections import Config
from vampd.views.quick_looks import PICTURES, LookedAt, looked_at

_MOST_PICTURE_BYTES = 8 << 20  # a larger one is none of ours


def quick_looks(
    ledger: Reader, config: Config, every: Sequence[Night], chosen: Sequence[Night], name: str
) -> list[LookedAt]:
    """The quick looks at an output, or at all outputs that have frames of a raw cube.

    UsageError: *name* is no name of a file. OperatorError: the ledger knows none such, or none of
    its outputs was looked at.
    """
    trace = Tracer(ledger, config, every).trace(name, chosen)
    found = [looked_at(ledger, output) for output in _outputs(trace)]
    looks = [look for look in found if look is not None]
    if not looks:
        msg = (
            f"{name}: there is no quick look at it: it is not built yet, was built by an older"
            " vampd, or quick_look.enabled was off"
        )
        raise OperatorError(msg)
    return looks


def _outputs(trace: Trace) -> list[int]:
    if trace.output is not None:
        return [trace.output.id]
    return list(dict.fromkeys(run.output for run in trace.runs if run.output is not None))


def show_looks(looks: Sequence[LookedAt], screen: Screen) -> None:
    """Say the measures; show the mean frames where the terminal can, else name the files."""
    shows = can_show()
    for look in looks:
        for line in _lines(look, screen):
            click.echo(line)
        if shows and (pictures := _pictures(look)):
            show(read_start(pictures[0], _MOST_PICTURE_BYTES))


def _lines(look: LookedAt, screen: Screen) -> list[str]:
    state = f", state {look.flc_state}" if look.flc_state else ""
    pair = "synchronised" if look.synchronised else "alone"
    width = "no source" if look.fwhm_pixels is None else f"{look.fwhm_pixels:.1f} pixels"
    said = [
        ("taken", time_text(look.first_us)),
        ("frames", f"{count_text(look.frames, 'frame')} of camera {look.camera}{state}, {pair}"),
        ("median", f"{look.median_adu:.1f} ADU, scatter {look.noise_adu:.1f} ADU (mean frame)"),
        (
            "peak",
            f"{look.peak_adu:.0f} ADU; {count_text(look.saturated_pixels, 'pixel')} saturated",
        ),
        ("width", f"{width} (FWHM of the brightest source)"),
        ("flux", f"{look.flux_adu:.4g} ADU above the median"),
    ]
    if look.flux_ratio is not None:
        said.append(("cameras", f"camera 2 has {look.flux_ratio:.3f} times the flux of camera 1"))
    said += [("picture", str(path)) for path in _pictures(look)]
    lines = [paragraph(f"  {label:<9}", text, screen.width) for label, text in said]
    return [screen.title(f"{look.file_name} ({look.name})"), *lines]


def _pictures(look: LookedAt) -> list[Beneath]:
    night = night_folder(look.folder)
    pictures = [night / look.picture(what, LARGE_PICTURE) for what in PICTURES]
    return [picture for picture in pictures if is_file(picture)]


def look_json(look: LookedAt) -> dict[str, Any]:
    """A quick look, for programs."""
    return {
        "output": look.name,
        "file": look.file_name,
        "camera": look.camera,
        "synchronised": look.synchronised,
        "flc_state": look.flc_state,
        "taken": time_json(look.first_us),
        "frames": look.frames,
        "median_adu": look.median_adu,
        "noise_adu": look.noise_adu,
        "peak_adu": look.peak_adu,
        "saturated_pixels": look.saturated_pixels,
        "flux_adu": look.flux_adu,
        "fwhm_pixels": look.fwhm_pixels,
        "flux_ratio": look.flux_ratio,
        "made": time_json(look.made_us),
        "pictures": [str(path) for path in _pictures(look)],
    }
