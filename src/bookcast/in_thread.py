"""A server in its own thread, for programs without an event loop, and for notebooks."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Final, Self, Unpack

from bookcast.errors import StartupError
from bookcast.ingest.in_process import Publishing
from bookcast.ingest.publisher import Published
from bookcast.server import Server, serve
from bookcast.settings.keywords import Keywords

PATIENCE: Final = 30.0
"""Seconds that starting, publishing or stopping may take."""


def serve_in_thread(**settings: Unpack[Keywords]) -> ServerThread:
    """Return a server that runs in its own thread; keywords as for :func:`bookcast.serve`.

    It runs within ``with``, or from ``start()`` until ``stop()``::

        with bookcast.serve_in_thread(port=0) as server:
            server.publish("AAPL", {"bids": [[189.9, 300]], "asks": [[190.0, 100]]})

    Raises:
        SettingError: for a wrong setting.
    """
    return ServerThread(serve(**settings))


class ServerThread(Publishing[Published]):
    """A server in a thread with its own event loop. Any thread may call it; calls block."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._started: Future[None] = Future()
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        return self._server.port

    @property
    def http_url(self) -> str:
        """The URL of the HTTP side, for instance ``http://127.0.0.1:40123``."""
        return self._server.http_url

    @property
    def ws_url(self) -> str:
        """The URL for WebSockets; append a client id."""
        return self._server.ws_url

    def _publish(
        self, symbol: str | None, data: Any, channel: str, period: str | None
    ) -> Published:
        return self._publish_threadsafe(symbol, data, channel, period).result(PATIENCE)

    def _publish_threadsafe(
        self, symbol: str | None, data: Any, channel: str, period: str | None
    ) -> Future[Published]:
        return self._server._publish_threadsafe(symbol, data, channel, period)  # noqa: SLF001 - without the types of each channel

    def start(self) -> Self:
        """Start the server, and return it when it is ready.

        After ``stop()`` it may be started again.

        Raises:
            StartupError: the server can't start.
        """
        if self._thread is not None and self._thread.is_alive():
            raise StartupError("The server runs already")
        self._started = Future()
        self._thread = threading.Thread(target=self._run, name="bookcast server", daemon=True)
        self._thread.start()
        self._started.result(PATIENCE)
        return self

    def stop(self) -> None:
        """Stop the server, and return when it has stopped. Calling it again does nothing."""
        if self._thread is None:
            return
        if self._thread.is_alive() and self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        try:
            await self._server.start()
        except BaseException as error:  # noqa: BLE001 - whoever called start() gets any error
            self._started.set_exception(error)
            return
        self._started.set_result(None)
        await self._stop.wait()
        await self._server.stop()
