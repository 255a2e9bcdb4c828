"""What the pages show: the ledger, gathered for templates. Nothing here changes anything."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vampd import __version__
from vampd.commands import plots
from vampd.commands.page.night_view import night_context
from vampd.commands.page.nights_view import nights_context
from vampd.commands.page.templates import render
from vampd.commands.page.wall import wall_context
from vampd.commands.status_json import picture_json
from vampd.commands.status_picture import Picture, Wish, take
from vampd.errors import OperatorError
from vampd.io.clock import SystemClock
from vampd.ledger.reading import Reader, has_ledger, reading
from vampd.ledger.records import Night
from vampd.settings.sections import Config
from vampd.views.history import last_event
from vampd.views.metrics import metrics_text
from vampd.views.summaries import last_daemon, nights

_FRESH_US = 1_000_000  # however many browsers ask, disks and ledger are asked once a second


class Views:
    """The pages' content, read afresh for each request."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._picture: Picture | None = None

    def nights(self, *, fragment: bool) -> str:
        """The grid of all nights."""
        context = {**nights_context(self.taken()), **self.frame()}
        return render("_nights.html" if fragment else "nights.html", context)

    def night(self, kind: str, date: str, *, fragment: bool) -> str:
        """One night. OperatorError: there is none such."""
        with self.found(kind, date) as (ledger, night):
            context = self._context(ledger, night)
            context["wall"] = wall_context(ledger, night, {})
        context |= {"title": f"{kind} {date}", "plots": plots.PLOTS, **self.frame()}
        return render("_night.html" if fragment else "night.html", context)

    def plot(self, kind: str, date: str, name: str, *, dark: bool) -> bytes:
        """One plot of a night, as PNG. OperatorError: there is none such."""
        if name not in plots.PLOTS:
            msg = f"{name}: no such plot; there are {', '.join(plots.PLOTS)}"
            raise OperatorError(msg)
        with self.found(kind, date) as (ledger, night):
            return plots.plot_png(ledger, night, name, dark=dark)

    def status_json(self) -> dict[str, Any]:
        """What `vampd status --json` says."""
        return picture_json(self.taken())

    def night_json(self, kind: str, date: str) -> dict[str, Any]:
        """One night for programs. OperatorError: there is none such."""
        with self.found(kind, date) as (ledger, night):
            found: dict[str, Any] = self._context(ledger, night)["json"]
            return found

    def metrics(self) -> str:
        """For Prometheus."""
        with reading(self._config.state_dir) as ledger:
            return metrics_text(
                ledger,
                SystemClock().now_us(),
                version=__version__,
                configured=self._config.mail.is_configured,
            )

    def health(self) -> tuple[bool, str]:
        """Whether the daemon lives, and the sentence that says so."""
        heard_us = self.pulse()["heard_us"]
        if heard_us is None:
            return False, "no daemon ever ran here"
        silent_seconds = (SystemClock().now_us() - heard_us) / 1e6
        well = silent_seconds <= self._config.page.silent_seconds
        return well, f"the daemon was last heard {silent_seconds:.0f} s ago"

    def pulse(self) -> dict[str, Any]:
        """What browsers are told every two seconds: a change of `token` means, ask again."""
        now_us = SystemClock().now_us()
        if not has_ledger(self._config.state_dir):
            return {"now_us": now_us, "heard_us": None, "token": 0}
        with reading(self._config.state_dir) as ledger:
            daemon = last_daemon(ledger)
            return {
                "now_us": now_us,
                "heard_us": None if daemon is None else daemon.heard_us,
                "token": last_event(ledger),
            }

    def _context(self, ledger: Reader, night: Night) -> dict[str, Any]:
        return night_context(ledger, night, self._config, now_us=SystemClock().now_us())

    def frame(self) -> dict[str, Any]:
        """What every page has around its content."""
        pulse = self.pulse()
        return {
            "version": __version__,
            "pulse": pulse,
            "silent_seconds": self._config.page.silent_seconds,
        }

    def taken(self) -> Picture:
        """What `vampd status` shows of all nights, at most a second old."""
        with self._lock:
            now_us = SystemClock().now_us()
            if self._picture is None or not 0 <= now_us - self._picture.now_us < _FRESH_US:
                self._picture = take(self._config, Wish(everything=True), now_us=now_us)
            return self._picture

    @contextmanager
    def found(self, kind: str, date: str) -> Iterator[tuple[Reader, Night]]:
        """The ledger, and that night of it. OperatorError: there is none such."""
        with reading(self._config.state_dir) as ledger:
            for night in nights(ledger):
                if (night.kind.value, night.date) == (kind, date):
                    yield ledger, night
                    return
        msg = f"{kind} {date}: the ledger knows no such night"
        raise OperatorError(msg)
