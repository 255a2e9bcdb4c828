"""What a glance at the outputs said: a row for each that was looked at when it was built."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import asdict

from vampd.ledger.connection import Ledger
from vampd.science.quick_look import Measures

_COLUMNS = "frames, median_adu, noise_adu, peak_adu, saturated_pixels, flux_adu, fwhm_pixels"


def record_quick_looks(ledger: Ledger, night: int, looks: Iterable[tuple[int, Measures]]) -> None:
    """Keep the measures of outputs, in place of older ones."""
    for output, measures in looks:
        ledger.execute(
            f"insert or replace into quick_look (output, night, made_us, {_COLUMNS})"  # noqa: S608
            " values (:output, :night, :made_us, :frames, :median_adu, :noise_adu, :peak_adu,"
            " :saturated_pixels, :flux_adu, :fwhm_pixels)",
            {"output": output, "night": night, "made_us": ledger.now_us(), **asdict(measures)},
        )
