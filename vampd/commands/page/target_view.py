"""A target over all nights: what was taken of it, and how good it was."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from vampd.commands.page.charts import charts, flux_ratios, total_time_text
from vampd.errors import OperatorError
from vampd.ledger.reading import Reader
from vampd.views.exposures import Shot, of_target, targets
from vampd.views.summaries import nights


def target_context(ledger: Reader, target: str) -> dict[str, Any]:
    """Everything that the page of a target shows. OperatorError: no output is of it."""
    shots = of_target(ledger, target)
    if not shots:
        msg = f"{target}: no output is of such a target"
        raise OperatorError(msg)
    by_id = {night.id: night for night in nights(ledger)}
    ordered = sorted(shots, key=lambda shot: (by_id[shot.exposure.night].date, shot.exposure.night))
    series = [
        {"night": by_id[number], **_summed(list(own))}
        for number, own in groupby(ordered, key=lambda shot: shot.exposure.night)
    ]
    return {
        "target": target,
        "series": series[::-1],
        "nights": by_id,
        "charts": charts(shots),
        "title": target,
    }


def targets_context(ledger: Reader) -> dict[str, Any]:
    """Everything that the page of all targets shows: those that were looked at last come first."""
    by_id = {night.id: night for night in nights(ledger)}
    rows: list[dict[str, Any]] = [
        {
            "target": target,
            "nights": len(cubes),
            "cubes": sum(cubes.values()),
            "last": max((by_id[night] for night in cubes), key=lambda night: night.date),
        }
        for target, cubes in targets(ledger).items()
    ]
    rows.sort(key=lambda row: row["target"])
    rows.sort(key=lambda row: row["last"].date, reverse=True)
    return {"rows": rows, "title": "targets"}


def _summed(shots: Sequence[Shot]) -> dict[str, Any]:
    widths = [each for shot in shots if (each := shot.exposure.fwhm_pixels) is not None]
    ratios = [each.value for each in flux_ratios(shots)]
    return {
        "outputs": len(shots),
        "frames": sum(shot.exposure.frames for shot in shots),
        "time": total_time_text(shots),
        "filters": sorted({" ".join(shot.settings.filters) for shot in shots} - {""}),
        "exposures_s": sorted({each for shot in shots if (each := shot.settings.exposure_s)}),
        "fwhm_pixels": statistics.median(widths) if widths else None,
        "flux_ratio": statistics.median(ratios) if ratios else None,
        "first_us": shots[0].exposure.first_us,
    }
