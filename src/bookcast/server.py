"""A node that runs in this program: starting and stopping, publishing, renewing, draining."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import random
import secrets
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, Unpack

from bookcast.auth.gate import Gate
from bookcast.compose import Context, NodeTimes, Parts, Worker, compose
from bookcast.errors import StartupError
from bookcast.ingest.in_process import Publishing
from bookcast.ingest.publisher import Published
from bookcast.limits import Refusals, Seats
from bookcast.sessions.drain import drain
from bookcast.settings import Settings, from_keywords
from bookcast.settings.keywords import Keywords
from bookcast.settings.reload import Rotated

logger = logging.getLogger(__name__)

TOGETHER: Final = 200
"""Sessions are renewed this many at a time, so that other tasks get a turn."""


def serve(**settings: Unpack[Keywords]) -> Server:
    """Return a server that runs in this program's event loop.

    Keywords are settings in lower case (``port`` is short for ``websocket_port``); the environment
    isn't read. ``port=0`` chooses a free port::

        async with bookcast.serve(port=0) as server:
            await server.publish("AAPL", {"bids": [[189.9, 300]], "asks": [[190.0, 100]]})

    Raises:
        SettingError: for a wrong setting.
    """
    return Server(from_keywords(**settings))


class Server(Publishing[Coroutine[Any, Any, Published]]):
    """One node: HTTP and WebSocket on one port, with data from one feed and from publishers.

    ``worker``: this process among several that share the port. ``node``: the node's id. ``times``:
    the intervals of its parts.
    """

    def __init__(
        self,
        settings: Settings,
        worker: Worker | None = None,
        node: str | None = None,
        times: NodeTimes | None = None,
    ) -> None:
        self.rotated: Callable[[], Rotated | None] = lambda: None
        """Returns the state of the settings that are read again; None: none are."""
        self.settings = settings
        self.port = settings.websocket_port
        self._worker = worker
        self._node = node or secrets.token_hex(4)
        self._times = times or NodeTimes()
        self._refusals = Refusals()
        self._addresses = Seats(settings.max_connections_per_address)
        self._gate = Gate.of(settings, self._refusals)
        self._running: _Running | None = None
        self._draining = False

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        await self.stop()

    @property
    def http_url(self) -> str:
        """The URL of the HTTP side, for instance ``http://127.0.0.1:8002``."""
        host = self.settings.address
        # A wildcard address can't be connected to; these loopback addresses can.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - binds nothing
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def ws_url(self) -> str:
        """The URL for WebSockets; append a client id."""
        return self.http_url.replace("http", "ws", 1) + "/ws/"

    @property
    def is_worker(self) -> bool:
        """Whether other processes share the port."""
        return self._worker is not None

    @property
    def parts(self) -> Parts:
        """The parts of the running node.

        Raises:
            StartupError: if it isn't running.
        """
        return self._now().parts

    @property
    def connection_count(self) -> int:
        """Number of connected clients."""
        return len(self._running.parts.registry) if self._running is not None else 0

    async def start(self) -> None:
        """Start: listen, then run the feed.

        Raises:
            StartupError: the port can't be bound, or the feed can't run.
        """
        if self._running is not None:
            raise StartupError("The server runs already")
        context = Context(
            settings=self.settings,
            worker=self._worker,
            node=self._node,
            gate=self._gate,
            refusals=self._refusals,
            addresses=self._addresses,
            unready=self._unready,
            rotated=lambda: self.rotated(),  # noqa: PLW0108 - it is attached later
            times=self._times,
        )
        async with AsyncExitStack() as stack:
            parts = await compose(stack, context)
            self._running = _Running(parts, stack.pop_all(), asyncio.get_running_loop())
        self.port = parts.port
        self.announce()

    def announce(self) -> None:
        """Log the server's URLs."""
        logger.info("serving at %s, WebSockets at %s{client_id}", self.http_url, self.ws_url)

    async def renew(self, settings: Settings) -> None:
        """Use other keys, secrets, rights and another Redis password from now on.

        Connections whose key or secret is no longer valid are closed; the others get the new
        rights.

        Raises:
            BookcastError: the new settings can't be used; then nothing has changed.
        """
        gate = Gate.of(settings, self._refusals, self._gate.jwks)
        running = self._running
        if running is not None and settings.redis_url is not None:
            await running.parts.backend.renew(settings.redis_url)
        self._gate.take_credentials(gate)
        self.settings = settings
        sessions = running.parts.registry.sessions() if running is not None else ()
        for number, session in enumerate(sessions):
            session.renew()
            if number % TOGETHER == TOGETHER - 1:
                await asyncio.sleep(0)  # other tasks get a turn

    async def drain(self, *, hurry: asyncio.Event | None = None) -> None:
        """Hand the feed to another node, and close clients one by one within ``DRAIN_SECONDS``.

        New clients are still accepted while load balancers send them; ``/readyz`` says not to.
        Returns when no client is left. ``hurry``: once it is set, return at once.
        """
        if self._running is None or self._draining:
            return
        self._draining = True
        parts = self._running.parts
        await parts.backend.cluster.election.resign()
        if self.settings.drain_seconds and len(parts.registry):
            logger.info(
                "draining: %d clients in %g s", len(parts.registry), self.settings.drain_seconds
            )
        draining = asyncio.create_task(
            drain(
                parts.registry.sessions,
                self.settings.drain_seconds,
                clock=time.monotonic,
                random=random.random,
            ),
            name="drain",
        )
        hurried = asyncio.create_task((hurry or asyncio.Event()).wait(), name="hurry")
        await asyncio.wait({draining, hurried}, return_when=asyncio.FIRST_COMPLETED)
        for task in (draining, hurried):
            task.cancel()

    async def stop(self) -> None:
        """Stop publishing, stop the feed, close all clients. Calling it again does nothing."""
        running, self._running = self._running, None
        if running is not None:
            await running.stack.aclose()
            logger.info("stopped")
        self._draining = False

    async def _publish(
        self, symbol: str | None, data: Any, channel: str, period: str | None
    ) -> Published:
        running = self._now()
        if asyncio.get_running_loop() is not running.loop:
            # Another thread's event loop: the publisher belongs to the server's loop.
            publishing = self._publish_threadsafe(symbol, data, channel, period)
            return await asyncio.wrap_future(publishing)
        return await running.parts.publisher.publish(channel, symbol, data, period=period)

    def _publish_threadsafe(
        self, symbol: str | None, data: Any, channel: str, period: str | None
    ) -> concurrent.futures.Future[Published]:
        running = self._now()
        publishing = running.parts.publisher.publish(channel, symbol, data, period=period)
        return asyncio.run_coroutine_threadsafe(publishing, running.loop)

    def _now(self) -> _Running:
        if self._running is None:
            raise StartupError("The server doesn't run: start it first")
        return self._running

    def _unready(self) -> str | None:
        """Return why new clients shouldn't be sent to this node; None: they may be."""
        if self._running is None or self._draining:
            return "The server starts or stops"
        backend = self._running.parts.backend
        status = backend.engine.status()
        if not backend.is_reached:
            return f"Redis hasn't been reached yet. {status.detail or ''}".rstrip()
        if status.state == "away" and not self.settings.ready_without_redis:
            return status.detail or "Redis is away"
        return None


class _Running(NamedTuple):
    """A node between its start and its stop. ``stack`` stops it."""

    parts: Parts
    stack: AsyncExitStack
    loop: asyncio.AbstractEventLoop
