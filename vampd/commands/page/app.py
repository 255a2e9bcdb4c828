"""The web application: addresses, headers of safety, and what is sent while somebody looks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vampd.commands.page.observing import Observing
from vampd.commands.page.observing_routes import observing_routes
from vampd.commands.page.views import Views
from vampd.errors import OperatorError, UsageError, VampdError
from vampd.plain_json import plain_json
from vampd.settings.sections import Config

_ASSETS = Path(__file__).parent / "assets"
_EVERY_SECONDS = 2.0
_MOST_LISTENERS = 100  # each costs a task and a socket; more than these are no people

# Nothing but our own files: what a header string holds can neither run nor be fetched.
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}

#: Names by which a browser on this machine asks for us.
_LOCAL = ("127.0.0.1", "localhost", "[::1]")


def make_app(config: Config, host: str) -> Starlette:
    """The application that listens at *host*. Names by which others ask are in `page.hosts`."""
    return Starlette(
        routes=_routes(config),
        middleware=[
            Middleware(_Headers),
            # Another site's page in an observer's browser must not read ours under its own name.
            Middleware(
                TrustedHostMiddleware,
                allowed_hosts=[*_LOCAL, host, *config.page.hosts],
                www_redirect=False,
            ),
        ],
        exception_handlers={VampdError: _told, HTTPException: _refused},
    )


def _routes(config: Config) -> list[Route | Mount]:
    views = Views(config)
    return [*observing_routes(Observing(config, views)), *_views_routes(views)]


def _views_routes(views: Views) -> list[Route | Mount]:
    listeners = _Listeners(views)

    def html(make: Callable[..., str]) -> Callable[[Request], Any]:
        async def respond(request: Request) -> Response:
            fragment = request.headers.get("x-fragment") == "1"
            text = await run_in_threadpool(make, fragment=fragment, **request.path_params)
            return HTMLResponse(text, headers={"cache-control": "no-store"})

        return respond

    def answer(make: Callable[..., Any]) -> Callable[[Request], Any]:
        async def respond(request: Request) -> Response:
            found = await run_in_threadpool(make, **request.path_params)
            return Response(
                plain_json({"schema": 1, **found}),
                media_type="application/json",
                headers={"cache-control": "no-store"},
            )

        return respond

    async def metrics(_: Request) -> Response:
        text = await run_in_threadpool(views.metrics)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    async def health(_: Request) -> Response:
        well, text = await run_in_threadpool(views.health)
        return PlainTextResponse(f"{text}\n", status_code=200 if well else 503)

    def plot(*, dark: bool) -> Callable[[Request], Any]:
        async def respond(request: Request) -> Response:
            png = await run_in_threadpool(views.plot, dark=dark, **request.path_params)
            return Response(png, media_type="image/png", headers={"cache-control": "max-age=60"})

        return respond

    return [
        Route("/", html(views.nights)),
        Route("/night/{kind}/{date}", html(views.night)),
        Route("/night/{kind}/{date}/{name}.dark.png", plot(dark=True)),
        Route("/night/{kind}/{date}/{name}.png", plot(dark=False)),
        Route("/api/v1/status", answer(views.status_json)),
        Route("/api/v1/night/{kind}/{date}", answer(views.night_json)),
        Route("/events", listeners.respond),
        Route("/metrics", metrics),
        Route("/healthz", health),
        Mount("/assets", StaticFiles(directory=_ASSETS)),
    ]


class _Listeners:
    """Browsers that are told when something changed."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._count = 0

    async def respond(self, _: Request) -> Response:
        """Server-sent events, until the browser goes (WHATWG, HTML, 9.2)."""
        if self._count >= _MOST_LISTENERS:
            raise HTTPException(503, "too many listen already")
        return StreamingResponse(
            self._events(),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    async def _events(self) -> AsyncIterator[str]:
        self._count += 1
        try:
            while True:
                pulse = await run_in_threadpool(self._views.pulse)
                yield f"data: {json.dumps(pulse)}\n\n"
                await asyncio.sleep(_EVERY_SECONDS)
        finally:
            self._count -= 1


class _Headers:
    """Adds the headers of safety to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers)


async def _told(_: Request, error: Exception) -> Response:
    """An error of ours, in its own words; of what is asked for, or of what we lack."""
    status = 404 if isinstance(error, OperatorError | UsageError) else 503
    return PlainTextResponse(f"{error}\n", status_code=status)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return PlainTextResponse(f"{error.detail}\n", status_code=error.status_code)
