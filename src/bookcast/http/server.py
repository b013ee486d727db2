"""uvicorn, shaped to our needs: started and stopped in process, signals left to the caller."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Generator
from typing import Any, Final, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

KEEP_ALIVE_SECONDS: Final = 65
"""Longer than what load balancers and publishers keep an idle connection for."""

STOP_SECONDS: Final = 2
"""How long requests and connections under way may hold up the end."""


class HttpProtocol(HttpToolsProtocol):
    """An HTTP connection, before it may become a WebSocket."""

    def connection_made(
        self,
        transport: asyncio.Transport,  # type: ignore[override] # uvicorn narrows asyncio's type
    ) -> None:
        """Send small answers and frames at once: asyncio's own loop doesn't see to that here."""
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in {socket.AF_INET, socket.AF_INET6}:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)

    def shutdown(self) -> None:
        """Finish the answer under way, but don't wait for the rest of a request."""
        cycle: Any = self.cycle  # None before the first request, whatever its type says
        if cycle is not None and not cycle.response_complete and cycle.more_body:
            self.transport.close()
        else:
            super().shutdown()

    def handle_websocket_upgrade(self) -> None:
        """Hand the transport over, and break the cycle that keeps parser and headers alive."""
        super().handle_websocket_upgrade()
        self.parser = cast("Any", None)
        self.scope = cast("Any", None)
        self.headers = []


class HttpServer(uvicorn.Server):
    """A uvicorn server inside a running event loop.

    ``websocket`` makes the protocol of an upgraded connection from the set of all connections.
    """

    def __init__(self, app: ASGIApp, websocket: Callable[[set[Any]], asyncio.Protocol]) -> None:
        def upgraded(*, server_state: Any, **_rest: Any) -> asyncio.Protocol:
            return websocket(server_state.connections)

        config = uvicorn.Config(
            app,
            http=HttpProtocol,
            ws=cast("type[asyncio.Protocol]", upgraded),
            interface="asgi3",
            lifespan="off",
            # An embedding program's logging is its own.
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        super().__init__(config)
        self._listening = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self, sockets: list[socket.socket]) -> None:
        """Serve on these sockets; returns when connections are accepted."""
        self._task = asyncio.create_task(self.serve(sockets), name="http server")
        listening = asyncio.create_task(self._listening.wait())
        await asyncio.wait({self._task, listening}, return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        if self._task.done():
            await self._task

    async def stop(self) -> None:
        """Close the sockets, then the connections; returns when all are gone."""
        self.should_exit = True
        if self._task is not None:
            await self._task
            self._task = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, and tell."""
        await super().startup(sockets)
        self._listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals alone: in process they are the program's, and the command has its own."""
        yield
