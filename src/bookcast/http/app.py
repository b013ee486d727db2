"""The HTTP application: routes, errors, Origin and CORS, the live page."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from bookcast.auth.gate import Gate
from bookcast.errors import InvalidInput
from bookcast.http import asyncapi, client_script, openapi, problem
from bookcast.http.read_query import PATHS
from bookcast.http.reads import Reads
from bookcast.http.routes import Routes, knock_of
from bookcast.limits import Refusals

PAGE: Final = Path(__file__).parent.parent / "web"
"""The folder of the built page. In a checkout it is missing until the page is built."""


PROBES: Final = frozenset({"/livez", "/readyz"})
"""Paths that a monitor requests by the node's address, not by its name. They reveal no secret."""


class Guard:
    """Refuses requests for unknown host names, and requests of foreign pages."""

    def __init__(self, app: ASGIApp, gate: Gate, refusals: Refusals) -> None:
        self._app = app
        self._gate = gate
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with the refusal."""
        if scope["type"] == "http" and scope["path"] not in PROBES:
            try:
                self._gate.check_page(knock_of(Request(scope)))
            except InvalidInput as refusal:
                self._refusals.note(refusal)
                answer = problem.of(refusal)
                answer.headers["Vary"] = "Origin"
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


class Cors:
    """Adds headers that say which pages may read a response: all that :class:`Guard` allows.

    With credentials (cookies, a proxy's login) only pages that are listed by name may.
    """

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._gate = gate
        self._for_known, self._for_others = (
            CORSMiddleware(
                app,
                allow_origin_regex=".*",
                allow_methods=["GET", "POST", "DELETE"],
                allow_headers=["*"],  # which repeats the requested headers
                allow_credentials=with_credentials,
                allow_private_network=True,
            )
            for with_credentials in (True, False)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer a preflight request."""
        known = scope["type"] == "http" and self._gate.knows_page(knock_of(Request(scope)))
        answer = self._for_known if known else self._for_others
        await answer(scope, receive, send)


class _Assets(StaticFiles):
    """Files whose names contain a hash of their content, so that browsers may keep them forever."""

    def file_response(self, *args: Any, **options: Any) -> Response:
        """Serve a file that may be kept forever."""
        response = super().file_response(*args, **options)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


async def _favicon(_request: Request) -> Response:
    icon = PAGE / "favicon.svg"
    return FileResponse(icon) if icon.is_file() else Response(status_code=204)


async def _page(_request: Request) -> Response:
    index = PAGE / "index.html"
    if not index.is_file():
        return problem.response(
            "page_not_built",
            "This checkout has no built page yet: run 'make setup'. Everything else works",
        )
    return FileResponse(
        index,
        headers={
            # The assets' names change with their content; the page's name doesn't.
            "Cache-Control": "no-cache",
            # Some browsers don't count a WebSocket to the same host as 'self'.
            "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
            "img-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; frame-ancestors 'self'",
        },
    )


def build(routes: Routes, reads: Reads, gate: Gate, refusals: Refusals) -> Starlette:
    """Return the ASGI application."""
    table: list[BaseRoute] = [
        Route("/broadcast/{channel}", routes.broadcast, methods=["POST"]),
        Route("/broadcast", routes.broadcast_batch, methods=["POST"]),
        Route("/health", routes.health),
        Route("/stats", routes.stats),
        Route("/livez", routes.livez, methods=["GET", "OPTIONS"]),
        Route("/readyz", routes.readyz, methods=["GET", "OPTIONS"]),
        Route("/metrics", routes.metrics),
        *(Route(f"/{path}/{{symbol:path}}", reads.of(channel)) for path, channel in PATHS.items()),
        Route("/topics/{channel}/{symbol:path}", routes.remove_topic, methods=["DELETE"]),
        Route("/symbols", routes.symbols),
        Route("/openapi.json", openapi.endpoint),
        Route("/asyncapi.json", asyncapi.endpoint),
        Route("/ws", routes.websocket_without_upgrade),
        Route("/ws/{client_id:path}", routes.websocket_without_upgrade),
        Route("/", _page),
        Route("/favicon.svg", _favicon),
        client_script.route(),
    ]
    if (PAGE / "assets").is_dir():
        table.append(Mount("/assets", _Assets(directory=PAGE / "assets")))

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, InvalidInput)
        refusals.note(error)
        return await problem.on_invalid_input(request, error)

    application = Starlette(
        routes=table,
        middleware=[
            Middleware(Guard, gate=gate, refusals=refusals),
            Middleware(Cors, gate=gate),
        ],
        exception_handlers={
            InvalidInput: refused,
            HTTPException: problem.on_http_exception,
            Exception: problem.on_fault,
        },
    )
    # A redirect would name http:// even behind a proxy with TLS. Trailing slashes are gone already.
    application.router.redirect_slashes = False
    return application
