"""What the cameras' logger did to a night, in words; one wording for every view."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vampd.commands.screen import record_json
from vampd.ledger.logger_faults import Fault, Toll
from vampd.states import LoggerFault


def toll_text(fault: LoggerFault, toll: Toll) -> str:
    """One sort of fault of a whole night."""
    return toll.text(fault)


def toll_texts(tolls: Mapping[LoggerFault, Toll]) -> Iterator[str]:
    """All sorts of a night, in the order of their enum."""
    for fault in LoggerFault:
        if fault in tolls:
            yield toll_text(fault, tolls[fault])


def fault_text(fault: Fault) -> str:
    """One finding."""
    toll = Toll(cubes=fault.cubes, frames=fault.frames, found_us=0)
    return f"camera {fault.camera}: {toll_text(fault.fault, toll)}: {fault.text}"


def tolls_json(tolls: Mapping[LoggerFault, Toll]) -> dict[str, dict[str, int]]:
    """Every sort of fault, those that did not happen included."""
    return {
        fault: record_json(toll, "cubes", "frames")
        for fault in LoggerFault
        for toll in (tolls.get(fault, Toll(cubes=0, frames=0, found_us=0)),)
    }


def fault_json(fault: Fault) -> dict[str, Any]:
    """One finding, for programs."""
    return record_json(fault, "fault", "camera", "cubes", "frames", "text")
