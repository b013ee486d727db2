"""A pytest fixture: a real server on a free port, for tests of what talks to one.

It comes with the package; a test only has to ask for it::

    def test_my_page(bookcast_server):
        bookcast_server.publish("AAPL", {"bids": [[189.9, 300]], "asks": [[190.0, 100]]})
        my_client.connect(bookcast_server.ws_url + "me")
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any, Final

import pytest

from bookcast.app import Server, serve
from bookcast.publisher import Published

PATIENCE: Final = 10.0
"""Seconds that starting, publishing or stopping may take before the test fails."""


class ServerThread:
    """A server in a thread with an event loop of its own, so that any kind of test can use it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._started: Future[None] = Future()
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="bookcast server", daemon=True)

    @property
    def http_url(self) -> str:
        """Where HTTP is served, for instance ``http://127.0.0.1:40123``."""
        return self._server.http_url

    @property
    def ws_url(self) -> str:
        """Where WebSockets connect; append a client id."""
        return self._server.ws_url

    def publish(
        self,
        symbol: str | None,
        data: Any,
        *,
        channel: str = "orderbook",
        period: str | None = None,
    ) -> Published:
        """Publish data of a channel.

        Raises:
            InvalidInput: with the path of the wrong field.
        """
        publishing = self._server.publish_threadsafe(symbol, data, channel=channel, period=period)
        return publishing.result(PATIENCE)

    def start(self) -> None:
        """Start the server, and return when it serves.

        Raises:
            StartupError: when it can't.
        """
        self._thread.start()
        self._started.result(PATIENCE)

    def stop(self) -> None:
        """Stop the server, and return when everybody is gone; once more does nothing."""
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
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to the test
            self._started.set_exception(error)
            return
        self._started.set_result(None)
        await self._stop.wait()
        await self._server.stop()


@pytest.fixture
def bookcast_server() -> Iterator[ServerThread]:
    """Give a server on a free port, without a feed: publish what the test needs."""
    server = ServerThread(serve(port=0))
    server.start()
    yield server
    server.stop()
