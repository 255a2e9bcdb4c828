"""Decide every output of a night from timing and headers; never a pixel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vampd.errors import InputError
from vampd.ledger import files, outputs, tasks
from vampd.ledger.blobs import unpack_times
from vampd.ledger.connection import Ledger, Row
from vampd.records import Plan, RawCube, Report
from vampd.science.cubes import CubeLimits, plan_night
from vampd.stages import sidecar_jobs
from vampd.states import Stage


def prepare(ledger: Ledger, night: Row, limits: CubeLimits) -> dict[str, Any]:
    """Everything the plan needs, as plain values."""
    return {
        "limits": {
            "max_seconds": limits.max_seconds,
            "max_gap_seconds": limits.max_gap_seconds,
            "max_bytes": limits.max_bytes,
        },
        "cubes": [dict(row) for row in files.cubes_of(ledger, night["id"])],
        "taken_names": [
            row["name"]
            for row in outputs.outputs_of(ledger, night["id"])
            if row["batch"] < night["batch"]
        ],
    }


def work(job: Mapping[str, Any]) -> Plan:
    """Plan the night. The plan is a value, and goes back as it is."""
    cubes = [_raw_cube(row) for row in job["cubes"]]
    return plan_night(cubes, CubeLimits(**job["limits"]), taken_names=job["taken_names"])


def record(ledger: Ledger, task: Row, plan: Plan) -> None:
    """Write the plan and the build tasks that follow from it."""
    night = task["night"]
    with ledger.transaction():
        outputs.forget_plan(ledger, night, "planned anew")
        outputs.store_plan(ledger, night, plan)
        outputs.add_reports(ledger, night, Stage.SYNC, _reports_of_timing(ledger, night))
        for output in outputs.outputs_of_batch(ledger, night):
            tasks.add_task(ledger, night, Stage.BUILD, outputs.unit_of(output))
        tasks.add_task(ledger, night, Stage.BUILD, sidecar_jobs.UNIT)


def _raw_cube(row: Mapping[str, Any]) -> RawCube:
    acquired_us = unpack_times(row["acquired"])
    if len(acquired_us) != row["frames"]:
        msg = f"{row['path']}: {len(acquired_us)} times for {row['frames']} frames"
        raise InputError(msg, path=row["path"])
    return RawCube(
        raw_file=row["raw_file"],
        path=row["path"],
        camera=row["camera"],
        width=row["width"],
        height=row["height"],
        cards=json.loads(row["cards"]),
        acquired_us=acquired_us,
        rejected={int(frame): why for frame, why in json.loads(row["rejected"]).items()},
        has_acquisition=bool(row["has_acquisition"]),
    )


def _reports_of_timing(ledger: Ledger, night: int) -> list[Report]:
    return [
        Report(raw_file=row["raw_file"], text=f"{row['path']}: {text}")
        for row in files.cubes_of(ledger, night)
        for text in json.loads(row["reports"])
    ]
