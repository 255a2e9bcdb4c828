"""Every stage has one shape, and what goes to workers and comes back can go to any host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

import pytest
from msgspec import Struct
from msgspec.structs import fields

import vampd
from vampd.schedule.stage_table import STAGES
from vampd.stages import build, frame_ids, manifest, sync, transfer, verify
from vampd.stages.handler import StageHandler
from vampd.states import Stage

_MODULES: dict[Stage, ModuleType] = {
    Stage.SYNC: sync,
    Stage.FRAME_IDS: frame_ids,
    Stage.BUILD: build,
    Stage.MANIFEST: manifest,
    Stage.TRANSFER: transfer,
    Stage.VERIFY: verify,
}


def kinds(hint: type) -> Iterator[type]:
    """The types of a union."""
    yield from get_args(hint) or (hint,)


def is_frozen(kind: type) -> bool:
    return issubclass(kind, Struct) and kind.__struct_config__.frozen


def test_every_stage_is_in_the_table_in_its_order() -> None:
    assert list(STAGES) == list(Stage)


@pytest.mark.parametrize("stage", Stage)
def test_jobs_and_results_are_frozen_records_and_a_job_names_its_attempt(stage: Stage) -> None:
    handler: StageHandler[Any, Any] = _MODULES[stage].STAGE

    jobs = [*kinds(get_type_hints(handler.prepare)["return"])]
    results = [*kinds(get_type_hints(handler.work)["return"])]

    assert STAGES[stage] is handler
    assert all(is_frozen(kind) for kind in (*jobs, *results))
    assert all("attempt" in {field.name for field in fields(job)} for job in jobs)
    assert {*kinds(get_type_hints(handler.work)["job"])} == {*jobs}


#: The arguments of an order come through a socket, and each is looked at.
_FROM_OUTSIDE = frozenset({"receive/orders.py"})


def test_jobs_results_and_who_handles_them_are_typed() -> None:
    folder = Path(vampd.__file__).parent
    found = [
        f"{path.name}: {line.strip()}"
        for package in ("stages", "schedule", "background", "receive")
        for path in (folder / package).rglob("*.py")
        if path.relative_to(folder).as_posix() not in _FROM_OUTSIDE
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"\bAny\b", line)
    ]

    assert found == []
