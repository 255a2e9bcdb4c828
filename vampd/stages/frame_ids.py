"""Give the outputs of an archive night their frame IDs, oldest night first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vampd.errors import OperatorError
from vampd.io.publish import create_folder
from vampd.ledger import deliveries, numbers, outputs
from vampd.ledger.connection import Ledger, Row
from vampd.stages.build import OUTPUT_FOLDER
from vampd.stages.manifest import write_name_changes


def prepare(ledger: Ledger, night: Row, first: int | None) -> dict[str, Any]:
    """Reserve and bind the IDs, durably, before anything bears them.

    OperatorError: the configuration does not say where the numbers begin.
    """
    if first is None:
        msg = "frame_ids.first is not set: nobody knows where the numbers begin"
        raise OperatorError(msg)
    planned = outputs.outputs_of_batch(ledger, night["id"])
    with ledger.transaction():
        keys = [row["content_key"] for row in planned]
        bound = numbers.bind(ledger, night["id"], keys, first=first)
        outputs.bind_frame_ids(ledger, bound, night["id"])
    changes = [
        {"name": row["name"], "frame_id": numbers.frame_id_text(bound[row["content_key"]])}
        for row in planned
    ]
    return {"folder": night["folder"], "changes": changes, "batch": night["batch"]}


def work(job: Mapping[str, Any]) -> dict[str, Any]:
    """Write `name_changes.txt`."""
    create_folder(Path(job["folder"]) / OUTPUT_FOLDER)
    return dict(
        write_name_changes(
            {"folder": job["folder"], "changes": job["changes"], "batch": job["batch"]}
        )
    )


def record(ledger: Ledger, task: Row, listed: Mapping[str, Any]) -> None:
    """List `name_changes.txt` for the other machine."""
    deliveries.list_file(
        ledger, task["night"], listed["path"], listed["size_bytes"], listed["sha256"]
    )
