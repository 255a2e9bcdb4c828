"""What a glance at the outputs said: a row for each that was looked at when it was built."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from vampd.ledger.connection import Ledger
from vampd.ledger.rows import Record, Source, fetch_all
from vampd.science.quick_look import Measures

_COLUMNS = "frames, median_adu, noise_adu, peak_adu, saturated_pixels, flux_adu, fwhm_pixels"


@dataclass(frozen=True, kw_only=True, slots=True)
class QuickLook(Record):
    """The measures of an output's frames; see `vampd.science.quick_look.Measures`."""

    output: int
    night: int
    frames: int
    median_adu: float
    noise_adu: float
    peak_adu: float
    saturated_pixels: int
    flux_adu: float
    fwhm_pixels: float | None
    made_us: int


def record_quick_looks(ledger: Ledger, night: int, looks: Iterable[tuple[int, Measures]]) -> None:
    """Keep the measures of outputs, in place of older ones."""
    for output, measures in looks:
        ledger.execute(
            f"insert or replace into quick_look (output, night, made_us, {_COLUMNS})"  # noqa: S608
            " values (:output, :night, :made_us, :frames, :median_adu, :noise_adu, :peak_adu,"
            " :saturated_pixels, :flux_adu, :fwhm_pixels)",
            {"output": output, "night": night, "made_us": ledger.now_us(), **asdict(measures)},
        )


def quick_looks_of(source: Source, night: int) -> dict[int, QuickLook]:
    """The quick looks of a night, by output."""
    looks = fetch_all(QuickLook, source, "select * from quick_look where night = ?", [night])
    return {look.output: look for look in looks}
