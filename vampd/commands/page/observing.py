"""What observers look at: pictures, cubes, exposures, measures, targets, the calendar."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

from vampd.commands.page import exposure_table
from vampd.commands.page.charts import charts
from vampd.commands.page.cube_pictures import CubePicture, cube_picture
from vampd.commands.page.cube_view import cube_context
from vampd.commands.page.paging import Asked
from vampd.commands.page.target_view import target_context, targets_context
from vampd.commands.page.templates import render
from vampd.commands.page.views import Views
from vampd.commands.page.wall import wall_context
from vampd.commands.page.year import SIGNS, year_of
from vampd.commands.status_json import picture_json
from vampd.errors import OperatorError
from vampd.io.clock import SystemClock
from vampd.ledger.frame_ids import frame_id_number
from vampd.ledger.reading import Reader, reading, reading_headers
from vampd.ledger.records import Night
from vampd.settings.sections import Config
from vampd.views import tracing
from vampd.views.exposures import Shot, exposures
from vampd.views.history import last_event
from vampd.views.summaries import nights


class Observing:
    """The observers' pages, read afresh for each request."""

    def __init__(self, config: Config, views: Views) -> None:
        self._config = config
        self._views = views
        self._lock = threading.Lock()
        self._kept: tuple[int, int, list[Shot]] | None = None  # of which night, after which event

    def pictures(self, kind: str, date: str, *, fragment: bool, asked: Asked) -> str:
        """A page of a night's wall. OperatorError: there is no such night."""
        with self._views.found(kind, date) as (ledger, night):
            context = {
                "night": night,
                "wall": wall_context(ledger, night, asked, is_whole=True),
                "title": f"pictures of {kind} {date}",
            }
        return self._page("pictures", context, fragment=fragment)

    def exposures(self, kind: str, date: str, *, fragment: bool, asked: Asked) -> str:
        """A page of a night's exposures. OperatorError: there is no such night."""
        with self._views.found(kind, date) as (ledger, night):
            shots = self._shots(ledger, night)
        context = {
            "night": night,
            "table": exposure_table.table(shots, asked),
            "names": list(exposure_table.COLUMNS),
            "title": f"exposures of {kind} {date}",
        }
        return self._page("exposures", context, fragment=fragment)

    def measures(self, kind: str, date: str, *, fragment: bool, asked: Asked) -> str:
        """What was measured of a night, against time. OperatorError: there is no such night."""
        del asked
        with self._views.found(kind, date) as (ledger, night):
            shots = self._shots(ledger, night)
        context = {
            "night": night,
            "nights": {night.id: night},
            "charts": charts(shots),
            "title": f"measures of {kind} {date}",
        }
        return self._page("measures", context, fragment=fragment)

    def target(self, name: str, *, fragment: bool, asked: Asked) -> str:
        """A target over the nights. OperatorError: no output is of it."""
        del asked
        with reading(self._config.state_dir) as ledger:
            context = target_context(ledger, name)
        return self._page("target", context, fragment=fragment)

    def targets(self, *, fragment: bool, asked: Asked) -> str:
        """All targets."""
        del asked
        with reading(self._config.state_dir) as ledger:
            context = targets_context(ledger)
        return self._page("targets", context, fragment=fragment)

    def calendar(self, *, fragment: bool, asked: Asked) -> str:
        """A year of nights."""
        every = picture_json(self._views.taken())["nights"]
        today = datetime.fromtimestamp(SystemClock().now_us() / 1e6, UTC).date()
        year = year_of(every, asked.get("year", ""), today=today)
        context = {"year": year, "signs": SIGNS, "title": f"{year.year}"}
        return self._page("calendar", context, fragment=fragment)

    def cube(self, kind: str, date: str, name: str, *, fragment: bool, asked: Asked) -> str:
        """One output. OperatorError: there is none such."""
        del asked
        with self._views.found(kind, date) as (ledger, night):
            context = cube_context(ledger, self._config, night, name, self._cards)
        return self._page("cube", context, fragment=fragment)

    def picture(self, kind: str, date: str, name: str, what: str, size: int) -> CubePicture:
        """One picture of an output. OperatorError: there is none such."""
        with self._views.found(kind, date) as (ledger, night):
            return cube_picture(ledger, night, name, what, size)

    def place_of_id(self, frame_id: str) -> tuple[Night, str]:
        """The night and the name of the output that bears a frame ID. OperatorError: none does."""
        number = frame_id_number(frame_id)
        with reading(self._config.state_dir) as ledger:
            row = None if number is None else tracing.frame_id(ledger, number)
            output = None if row is None else tracing.output_of_frame_id(ledger, row)
            for night in nights(ledger) if output is not None else ():
                if output is not None and night.id == output.night:
                    return night, output.name
        msg = f"{frame_id}: no output bears that frame ID"
        raise OperatorError(msg)

    def _shots(self, ledger: Reader, night: Night) -> list[Shot]:
        """All exposures of a night; read again only when something happened."""
        happened = last_event(ledger)
        with self._lock:
            known = self._kept
        if known is None or known[:2] != (night.id, happened):
            known = (night.id, happened, exposures(ledger, night.id))
            with self._lock:
                self._kept = known
        return known[2]

    def _cards(self, night: Night, path: str) -> list[tuple[str, Any]]:
        """The header of a file, as far as it was read."""
        try:
            with reading_headers(self._config.state_dir) as book:
                return _header(book, night, path)
        except OperatorError:  # no header was read yet
            return []

    def _page(self, name: str, context: dict[str, Any], *, fragment: bool) -> str:
        template = f"_{name}.html" if fragment else f"{name}.html"
        return render(template, {**context, **self._views.frame()})


def _header(book: Reader, night: Night, path: str) -> list[tuple[str, Any]]:
    row = book.execute(
        "select * from header where night_date = ? and night_kind = ? and file_path = ?",
        (night.date, night.kind.value, path),
    ).fetchone()
    if row is None:
        return []
    return [(name, row[name]) for name in row.keys() if name.isupper() and row[name] is not None]  # noqa: SIM118
