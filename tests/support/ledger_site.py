"""Ledgers in any state, made by SQL alone: what the reading commands are shown."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from msgspec import Struct, field

from tests.support.fake_ledger import new_ledger
from vampd.causes import Cause
from vampd.cli import group
from vampd.io.clock import SystemClock
from vampd.io.disk import claim_root
from vampd.ledger.connection import ledger_path
from vampd.states import STAGES_OF, Kind, Stage

#: 2025-11-06 16:00:00 UT
NOW_US = int(datetime(2025, 11, 6, 16, tzinfo=UTC).timestamp()) * 1_000_000

_HOUR_US = 3_600_000_000


class Site(Struct, kw_only=True):
    """Settings, two roots, a far folder and a ledger below one folder."""

    folder: Path
    tables: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("archive", "engineering", "far", "state"):
            (self.folder / name).mkdir(parents=True)
        self.config.write_text(
            f"""
state_dir = "{self.state}"
[[roots]]
kind = "archive"
path = "{self.folder}/archive"
[[roots]]
kind = "engineering"
path = "{self.folder}/engineering"
[frame_ids]
first = 425189
[delivery.archive]
destination = "{self.folder}/far/archive"
[delivery.engineering]
destination = "{self.folder}/far/engineering"
""",
            encoding="utf-8",
        )

    @property
    def config(self) -> Path:
        return self.folder / "vampd.toml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def ledger(self) -> Path:
        return ledger_path(self.state)

    def make_ledger(self) -> None:
        new_ledger(self.state, SystemClock()).close()

    def insert(self, table: str, **values: object) -> int:
        """Insert one row; returns its number."""
        with closing(sqlite3.connect(self.ledger)) as ledger, ledger:
            ledger.execute("pragma foreign_keys = on")
            names, marks = ", ".join(values), ", ".join("?" * len(values))
            query = f"insert into {table} ({names}) values ({marks})"
            return ledger.execute(query, tuple(values.values())).lastrowid or 0

    def execute(self, query: str, *values: object) -> None:
        with closing(sqlite3.connect(self.ledger)) as ledger, ledger:
            ledger.execute(query, values)

    def daemon(self, *, stopped: bool = True, pid: int = 4711) -> None:
        self.insert(
            "daemon",
            started_us=NOW_US - 5 * _HOUR_US,
            pid=pid,
            version="0.1.0",
            heard_us=NOW_US - _HOUR_US,
            stopped_us=NOW_US - _HOUR_US if stopped else None,
        )

    def root(self, kind: Kind) -> Path:
        """The root of *kind*, with its marker and the ledger's record of it."""
        path = self.folder / kind
        (path / "here").touch()
        self.insert("root", path=str(path), marker=claim_root(path), claimed_us=NOW_US)
        return path

    def night(
        self, date: str, status: str, *, kind: Kind = Kind.ARCHIVE, cause: Cause | str | None = None
    ) -> int:
        folder = self.folder / kind / date
        folder.mkdir()
        closed = None if status == "collecting" else NOW_US - 3 * _HOUR_US
        return self.insert(
            "night",
            kind=kind,
            date=date,
            folder=str(folder),
            status=status,
            cause=None if cause is None else str(cause),
            cause_code=cause.code if isinstance(cause, Cause) else None,
            cause_words=json.dumps(cause.words) if isinstance(cause, Cause) else None,
            seen_us=NOW_US - 12 * _HOUR_US,
            last_change_us=NOW_US - 4 * _HOUR_US,
            closed_us=closed,
            closed_by=None if closed is None else "daemon",
            safe_us=NOW_US - _HOUR_US if status == "safe" else None,
            changed_us=NOW_US,
            changed_by="daemon",
        )

    def task(self, night: int, stage: Stage, state: str, unit: str = "", **values: object) -> int:
        return self.insert(
            "task",
            night=night,
            stage=stage,
            unit=unit,
            state=state,
            changed_us=NOW_US,
            changed_by="daemon",
            **values,
        )

    def stages(self, night: int, kind: Kind, upto: Stage | None) -> None:
        """Done tasks for the stages before *upto*, pending ones after; None: all are done."""
        state = "done"
        for stage in STAGES_OF[kind]:
            if stage is upto:
                state = "pending"
            if stage is not Stage.BUILD:
                self.task(night, stage, state)
            elif state == "done":
                self.task(night, stage, state, "1.1")

    def cube(
        self,
        night: int,
        name: str,
        *,
        frames: int | None = None,
        state: str = "whole",
        **values: object,
    ) -> int:
        """A raw cube with its timing file, and with what they say when *frames* is known."""
        numbers = [
            self.insert(
                "raw_file",
                night=night,
                path=f"{name[:5]}/{name}{ending}",
                role=role,
                camera=int(name[4]),
                stem=name,
                inode=1,
                size_bytes=1000,
                modified_ns=NOW_US * 1000,
                state=state,
                seen_us=NOW_US,
                changed_us=NOW_US,
                changed_by="daemon",
                **values,
            )
            for role, ending in (("timing", ".txt"), ("cube", ".fits"))
        ]
        if frames is not None:
            self.insert(
                "cube",
                raw_file=numbers[1],
                timing=numbers[0],
                frames=frames,
                width=32,
                height=24,
                cards="{}",
                has_acquisition=1,
                rejected="{}",
                reports="[]",
                acquired=b"",
            )
        return numbers[1]

    def output(
        self,
        night: int,
        ordinal: int,
        name: str,
        segments: list[tuple[int, int, int, int]],
        *,
        state: str = "planned",
        **values: object,
    ) -> int:
        """An output of the *segments* (raw file, first, step, count), in their order."""
        number = self.insert(
            "output",
            **{
                "night": night,
                "ordinal": ordinal,
                "cube": ordinal,
                "camera": 1,
                "synchronised": 0,
                "flc_state": "",
                "name": name,
                "frames": sum(segment[3] for segment in segments),
                "width": 32,
                "height": 24,
                "first_us": NOW_US,
                "last_us": NOW_US + 1_000_000,
                "header_file": segments[0][0],
                "content_key": f"key-{ordinal}",
                "state": state,
                "changed_us": NOW_US,
                "changed_by": "daemon",
            }
            | values,
        )
        position = 0
        for raw_file, first, step, count in segments:
            self.insert(
                "segment",
                night=night,
                output=number,
                position=position,
                raw_file=raw_file,
                first=first,
                step=step,
                count=count,
            )
            position += count
        return number

    def reject(self, night: int, raw_file: int, first: int, count: int, reason: str) -> None:
        self.insert(
            "segment",
            night=night,
            raw_file=raw_file,
            first=first,
            step=1,
            count=count,
            reason=reason,
        )

    def run(self, *arguments: object) -> Result:
        """Run a command of ours; an error stays an exception, for its class is the answer."""
        return CliRunner().invoke(group, ["--config", str(self.config), *map(str, arguments)])

    def said(self, *arguments: object) -> str:
        """What a command that must succeed prints."""
        result = self.run(*arguments)
        if result.exception is not None:
            raise result.exception
        return result.output

    def answer(self, *arguments: object) -> dict[str, Any]:
        """What a command answers in JSON, whatever its exit code."""
        result = self.run(*arguments, "--json")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        plain: dict[str, Any] = json.loads(result.stdout)
        assert plain["schema"] == 1
        return plain
