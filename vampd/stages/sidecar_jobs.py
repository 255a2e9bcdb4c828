"""The sidecar, seen from the ledger: which raw files it holds, and where their frames went."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from vampd.layout import sidecar_path
from vampd.ledger import deliveries, files, outputs
from vampd.ledger.connection import Ledger, Row
from vampd.ledger.records import Night
from vampd.records import FileIdentity, Report
from vampd.settings.sections import Disk
from vampd.states import FileState, Stage

#: The unit of the stage build that makes it; others are named after their cube and camera.
UNIT = "sidecar"

_STORED = {"cube": "cube", "timing": "text"}


def prepare(ledger: Ledger, night: Night, scratch: str, disk: Disk) -> dict[str, Any]:
    """The job of a night's batch, as `sidecar.work` takes it."""
    rows = ledger.rows(
        "select * from raw_file where night = ? and batch = ? and role != 'other'"
        " and state in ('whole', 'quarantined') and id not in (select raw_file from given_up)"
        " order by path",
        [night["id"], night["batch"]],
    )
    ranges = _ranges(ledger, night)
    sizes = ledger.rows(
        "select raw_file, 2 * width * height as frame_bytes from cube join raw_file"
        " on raw_file.id = cube.raw_file where night = ? and batch = ?",
        [night["id"], night["batch"]],
    )
    frame_bytes = {row["raw_file"]: row["frame_bytes"] for row in sizes}
    listed = ledger.value(
        "select sha256 from deliverable where night = ? and path = ?",
        [night["id"], sidecar_path(night["batch"])],
    )
    return {
        "unit": UNIT,
        "night": night["folder"],
        "scratch": scratch,
        "kind": night["kind"],
        "date": night["date"],
        "batch": night["batch"],
        "listed": listed,
        "quarantined_bytes": disk.quarantined_gb * 1e9,
        "keep_free_bytes": disk.keep_free_gb * 1e9,
        "files": [
            {**_file(row, ranges), "frame_bytes": frame_bytes.get(row["id"], 0)} for row in rows
        ],
    }


def record(ledger: Ledger, night: Night, result: Mapping[str, Any]) -> None:
    """List the sidecar for the other machine; keep the digests of the files in it."""
    made = result["sidecar"]
    deliveries.list_file(ledger, night["id"], made["path"], made["size_bytes"], made["sha256"])
    for file in result["digests"]:
        who = FileIdentity(
            inode=file["inode"], size_bytes=file["size_bytes"], modified_ns=file["modified_ns"]
        )
        files.record_digest(ledger, night["id"], file["path"], file["sha256"], who)
    reports = [Report(raw_file=None, text=text) for text in result["reports"]]
    outputs.add_reports(ledger, night["id"], Stage.BUILD, reports)


def _file(row: Row, ranges: Mapping[int, Mapping[str, list[list[Any]]]]) -> dict[str, Any]:
    names = ("path", "state", "inode", "size_bytes", "modified_ns", "sha256")
    file: dict[str, Any] = {name: row[name] for name in names}
    if row["state"] == FileState.QUARANTINED:
        return {**file, "stored": "whole"}
    file["stored"] = _STORED[row["role"]]
    return {**file, **ranges[row["id"]]} if row["role"] == "cube" else file


def _ranges(ledger: Ledger, night: Night) -> Mapping[int, dict[str, list[list[Any]]]]:
    """By raw cube: its "segments" in outputs, and those "kept" because they are in none."""
    found: dict[int, dict[str, list[list[Any]]]] = defaultdict(lambda: {"segments": [], "kept": []})
    of_batch = outputs.outputs_of_batch(ledger, night["id"], night["batch"])
    names = {row["id"]: outputs.file_name(row) for row in of_batch}
    for row in ledger.rows(
        "select raw_file, output, position, first, step, count from segment"
        " where night = ? and batch = ? order by raw_file, first, step",
        [night["id"], night["batch"]],
    ):
        extent = [row["first"], row["step"], row["count"]]
        if row["output"] is None:
            found[row["raw_file"]]["kept"].append(extent)
        else:
            place = [names[row["output"]], row["position"]]
            found[row["raw_file"]]["segments"].append([*place, *extent])
    return found
