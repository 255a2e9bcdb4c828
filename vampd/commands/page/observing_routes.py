"""The addresses of the observers' pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from vampd.commands.page.observing import Observing
from vampd.commands.page.templates import part

_NIGHT = "/night/{kind}/{date}"


def observing_routes(observing: Observing) -> list[Route]:
    """Each page, the pictures, and the way from a frame ID to its cube."""

    def html(make: Callable[..., str]) -> Callable[[Request], Any]:
        async def respond(request: Request) -> Response:
            text = await run_in_threadpool(
                make,
                fragment=request.headers.get("x-fragment") == "1",
                asked=dict(request.query_params),
                **request.path_params,
            )
            return HTMLResponse(text, headers={"cache-control": "no-store"})

        return respond

    async def picture(request: Request) -> Response:
        found = await run_in_threadpool(observing.picture, **request.path_params)
        tag = f'"{found.version}"'
        # An address with the version of the picture means the same for ever; else it is asked.
        lasts = request.query_params.get("v") == found.version
        kept = "max-age=31536000, immutable" if lasts else "no-cache"
        headers = {"cache-control": f"private, {kept}", "etag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(found.content, media_type="image/png", headers=headers)

    async def frame_id(request: Request) -> Response:
        night, name = await run_in_threadpool(observing.place_of_id, **request.path_params)
        return RedirectResponse(f"/night/{night.kind}/{night.date}/cube/{part(name)}", 302)

    return [
        Route(f"{_NIGHT}/pictures", html(observing.pictures)),
        Route(f"{_NIGHT}/exposures", html(observing.exposures)),
        Route(f"{_NIGHT}/measures", html(observing.measures)),
        Route("/calendar", html(observing.calendar)),
        Route("/target", html(observing.targets)),
        Route("/target/{name:path}", html(observing.target)),
        Route(f"{_NIGHT}/cube/{{name}}", html(observing.cube)),
        Route(f"{_NIGHT}/cube/{{name}}/{{what}}.{{size:int}}.png", picture),
        Route("/id/{frame_id}", frame_id),
    ]
