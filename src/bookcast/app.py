"""Wires the parts together, and owns their start and stop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import logging
import random
import secrets
import time
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Self, Unpack

import msgspec
from prometheus_client import Histogram

from bookcast import logs
from bookcast.auth.gate import Gate
from bookcast.backend.base import Backend
from bookcast.backend.configured import backend_of
from bookcast.background import Work
from bookcast.cluster.members.base import Node
from bookcast.drain import drain
from bookcast.errors import StartupError
from bookcast.feeder import Feeder
from bookcast.feeds.configured import feeds_of
from bookcast.http import app as http_app
from bookcast.http.overflow import MAX_READ, Overflow
from bookcast.http.reads import Reads
from bookcast.http.report import Reporter
from bookcast.http.routes import Routes
from bookcast.http.server import HttpLimits, HttpServer
from bookcast.http.sockets import listen, open_files
from bookcast.hub.hub import Hub
from bookcast.limits import Full, Refusals, Seats
from bookcast.model import CHANNELS
from bookcast.observability.exporter import DELAY_BUCKETS, registry_of
from bookcast.protocol.connection import Terms
from bookcast.protocol.published import Rules
from bookcast.protocol.render import Renderer
from bookcast.publisher import Published, Publisher
from bookcast.publishing import Publishing
from bookcast.readers import Readers
from bookcast.rotation import Rotated
from bookcast.sessions.base import SessionRules
from bookcast.sessions.framer import Framer
from bookcast.sessions.handshake import Reception
from bookcast.sessions.ownership import SessionOwnership
from bookcast.sessions.registry import Registry
from bookcast.sessions.session import Session
from bookcast.sessions.websocket import Endpoint, WebSocket
from bookcast.settings import Settings, from_keywords
from bookcast.settings.keywords import Keywords
from bookcast.version import __version__

logger = logging.getLogger(__name__)

RESERVED_FILES: Final = 48 + MAX_READ
"""Files that the server needs besides its clients' connections, and those to Redis."""

TOGETHER: Final = 200
"""Connections that are looked at before others have their turn."""

CHECK_SECONDS: Final = 0.5
"""How often topics are judged, and clients looked after."""


class Worker(msgspec.Struct, frozen=True):
    """Which of the ``count`` processes that share a port this is; ``group`` is common to them."""

    group: str
    number: int
    count: int


def serve(**settings: Unpack[Keywords]) -> Server:
    """Make a server to run inside this program's event loop.

    Keywords are settings in lower case (``port`` is short for ``websocket_port``); the environment
    isn't read. ``port=0`` picks a free port::

        async with bookcast.serve(port=0) as server:
            await server.publish("AAPL", {"bids": [[189.9, 300]], "asks": [[190.0, 100]]})

    Raises:
        SettingError: for a wrong setting.
    """
    return Server(from_keywords(**settings))


class Server(Publishing[Coroutine[Any, Any, Published]]):
    """One node: HTTP and WebSocket on one port, fed by one feed and by publishers.

    ``worker``: it is one of several processes that share the port. ``node``: its id.
    """

    def __init__(
        self, settings: Settings, worker: Worker | None = None, node: str | None = None
    ) -> None:
        self.rotated: Callable[[], Rotated | None] = lambda: None
        """How the settings stand that may change; None where nobody reads them again."""
        self.settings = settings
        self._worker = worker
        self.port = settings.websocket_port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._backend: Backend | None = None
        self._node = node or secrets.token_hex(4)
        self._started_ms = 0.0
        self._refusals = Refusals()
        self._addresses = Seats(settings.max_connections_per_address)
        self._gate = Gate.of(settings, self._refusals)
        self._registry: Registry | None = None
        self._feeder: Feeder | None = None
        self._hub: Hub | None = None
        self._publisher: Publisher | None = None
        self._http: HttpServer | None = None
        self._reporter: Reporter | None = None
        self._readers: Readers | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._background = Work()
        self._ready = self._draining = False

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
        """Where HTTP is served, for instance ``http://127.0.0.1:8002``."""
        host = self.settings.address
        # Everywhere is no address to connect to; these two are where it is near.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - binds nothing
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def ws_url(self) -> str:
        """Where WebSockets connect; append a client id."""
        return self.http_url.replace("http", "ws", 1) + "/ws/"

    @property
    def is_worker(self) -> bool:
        """Whether other processes share its port."""
        return self._worker is not None

    @property
    def connection_count(self) -> int:
        """How many clients are connected."""
        return len(self._registry) if self._registry is not None else 0

    @property
    def received_count(self) -> int:
        """How many messages clients have sent since the start."""
        return self._registry.received if self._registry is not None else 0

    @property
    def conflated_count(self) -> int:
        """How many updates a newer one replaced before a client could take them."""
        return self._hub.conflated if self._hub else 0

    async def start(self) -> None:
        """Listen, then feed.

        Raises:
            StartupError: when the port can't be had or the feed can't run.
        """
        if self._http is not None:
            raise StartupError("The server runs already")
        settings = self.settings
        room = _room(settings)
        full = Full(time.monotonic)
        loop = self._loop = asyncio.get_running_loop()
        self._started_ms = round(time.time() * 1000, 3)
        backend = self._backend = backend_of(settings, self._myself)
        engine, cluster = backend.engine, backend.cluster
        feeder = self._feeder = Feeder(engine, cluster, functools.partial(feeds_of, settings))
        registry = self._registry = self._make_registry(backend)
        sockets = await listen(
            settings.address, settings.websocket_port, shared=self._worker is not None
        )
        self.port = sockets[0].getsockname()[1]
        framer = Framer(settings.deflate_min_bytes)
        delays = Histogram(
            "bookcast_feed_to_socket_seconds",
            "From when the feed saw an update to when it was written to the sockets",
            buckets=DELAY_BUCKETS,
            registry=None,
        )
        readers = self._readers = Readers(engine, linger_seconds=settings.futu_linger_seconds)
        hub = self._hub = Hub(
            renderer=Renderer(framer),
            clock=time.monotonic,
            now=time.time,
            call_later=_call_later(loop),
            batch_seconds=settings.batch_ms / 1000,
            max_queue_bytes=settings.max_outbox_bytes,
            stale_after={
                channel: getattr(settings, f"stale_after_{channel}") for channel in CHANNELS
            },
            patience=engine.lag_seconds,
            supply=feeder.supply,
            gone=engine.gone,
            lacking=feeder.lacking,
            observe=delays.observe,
        )
        engine.attach(
            notice=readers.tap(hub.notice),
            wanted=cluster.demand.want,
            wanted_to_read=cluster.demand.want_to_read,
            unwanted=cluster.demand.release,
            unreadable=hub.note_unreadable,
            removed=hub.forget,
        )
        backend.attach(away=hub.check, returned=self._recover_sessions)
        publisher = Publisher(
            engine=engine,
            hub=hub,
            rules=Rules(settings.default_market, settings.refuse_crossed_books),
            max_topics=settings.max_published_topics,
        )
        reception = Reception(
            gate=self._gate,
            registry=registry,
            addresses=self._addresses,
            refusals=self._refusals,
            full=full,
            max_connections=settings.max_connections or room,
            deflate=settings.deflate != "off",
        )
        endpoint = Endpoint(
            hub=hub,
            registry=registry,
            reception=reception,
            begin=functools.partial(
                Session,
                hub=hub,
                engine=engine,
                frame=framer,
                home=registry,
                ownership=registry.ownership,
                gate=self._gate,
                refusals=self._refusals,
                rules=_session_rules(settings, takes_tokens=self._gate.takes_credentials),
            ),
            slow_timeout=settings.slow_timeout,
            max_message_bytes=settings.max_message_bytes,
            framer=framer,
            publish=publisher.publish_all,
            lose_publisher=publisher.lose,
            publishing_waits=engine.waits,
            clock=time.monotonic,
            loop=loop,
        )
        counting = [registry, registry.ownership, hub, logs, *engine.counting, self._refusals]
        reporter = self._reporter = Reporter(
            engine=engine,
            members=cluster.members,
            feeder=feeder,
            hub=hub,
            registry=registry,
            publisher=publisher,
            refusals=self._refusals,
            numbers=registry_of(counting, delays),
            myself=self._myself,
            group=self._worker.count if self._worker is not None else 1,
            rotated=lambda: self.rotated(),  # noqa: PLW0108 - it is attached later
        )
        routes = Routes(
            settings=settings,
            gate=self._gate,
            engine=engine,
            publisher=publisher,
            refusals=self._refusals,
            feeder=feeder,
            reporter=reporter,
            unready=self._unready,
        )
        reads = Reads(
            engine=engine,
            hub=hub,
            feeder=feeder,
            readers=readers,
            gate=self._gate,
            refusals=self._refusals,
            default_market=settings.default_market,
            linger_seconds=settings.futu_linger_seconds,
            now=time.time,
        )
        http = HttpServer(
            http_app.build(routes, reads, self._gate, self._refusals),
            functools.partial(WebSocket, endpoint),
            HttpLimits(
                addresses=self._addresses,
                refusals=self._refusals,
                trusts=self._gate.trusts,
                warn=self._gate.warn,
                header_timeout=settings.header_timeout,
                max_header_bytes=settings.max_header_bytes,
                full=full,
                overflow=Overflow(),
                max_sockets=room,
            ),
        )
        try:
            await backend.start()
            await feeder.start()
            await http.start(sockets)
        except BaseException:
            for sock in sockets:
                sock.close()
            await backend.stop()
            raise
        self._http = http
        registry.ownership.start()
        self._tasks = [
            asyncio.create_task(self._check(hub, registry, feeder, readers), name="checks")
        ]
        if self._gate.jwks is not None:
            self._tasks.append(asyncio.create_task(self._gate.jwks.run(), name="keys"))
        self._publisher = publisher
        self._ready = True
        self.announce()

    def announce(self) -> None:
        """Log where the server is, now that it is there."""
        logger.info("serving at %s, WebSockets at %s{client_id}", self.http_url, self.ws_url)

    async def renew(self, settings: Settings) -> None:
        """Take over the keys, secrets, rights and the password of Redis that settings name.

        Connections whose key or secret is gone are closed; others have the rights they have now.

        Raises:
            BookcastError: when they can't be used; then nothing has changed.
        """
        gate = Gate.of(settings, self._refusals, self._gate.jwks)
        if self._backend is not None and settings.redis_url is not None:
            await self._backend.renew(settings.redis_url)
        self._gate.take_credentials(gate)
        self.settings = settings
        for number, session in enumerate(self._registry.sessions() if self._registry else ()):
            session.renew()
            if number % TOGETHER == TOGETHER - 1:
                await asyncio.sleep(0)  # others have their turn

    async def drain(self, *, hurry: asyncio.Event | None = None) -> None:
        """Let another node run the feed, and clients go one after the other in ``DRAIN_SECONDS``.

        It takes clients as long as balancers send them here, but ``/readyz`` says not to. Returns
        when nobody is left; ``hurry``: once it is set, at once.
        """
        if self._backend is None or self._registry is None or self._draining:
            return
        self._draining = True
        await self._backend.cluster.election.resign()
        if self.settings.drain_seconds and len(self._registry):
            logger.info(
                "draining: %d clients in %g s", len(self._registry), self.settings.drain_seconds
            )
        draining = asyncio.create_task(
            drain(
                self._registry.sessions,
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
        """Publish no more, end the feed, say goodbye to everybody; once more does nothing."""
        self._ready = False
        publisher, self._publisher = self._publisher, None
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        if self._readers is not None:
            self._readers.close()
        backend, self._backend = self._backend, None
        if backend is not None:
            await backend.cluster.election.resign()
        if self._feeder is not None:
            await self._feeder.close()
        if self._http is not None:
            await self._http.stop()
            self._http = None
            self._refusals.tell()
            logger.info("stopped")
        await self._background.end()
        if self._registry is not None:
            await self._registry.ownership.stop()
        if publisher is not None:
            await publisher.close()
        if backend is not None:
            await backend.stop()
        self._draining = False

    async def _publish(
        self, symbol: str | None, data: Any, channel: str, period: str | None
    ) -> Published:
        publisher = self._running()
        if asyncio.get_running_loop() is not self._loop:
            # Another thread's loop: everything behind the publisher belongs to the server's.
            publishing = self._publish_threadsafe(symbol, data, channel, period)
            return await asyncio.wrap_future(publishing)
        return await publisher.publish(channel, symbol, data, period=period)

    def _publish_threadsafe(
        self, symbol: str | None, data: Any, channel: str, period: str | None
    ) -> concurrent.futures.Future[Published]:
        publisher = self._running()
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(
            publisher.publish(channel, symbol, data, period=period), self._loop
        )

    def _running(self) -> Publisher:
        if self._publisher is None:
            raise StartupError("The server doesn't run: start it first")
        return self._publisher

    def _myself(self) -> Node:
        """Say what other nodes are told of this one."""
        worker = self._worker
        return Node(
            self._node,
            group=worker.group if worker is not None else self._node,
            worker=worker.number if worker is not None else 0,
            leads=self._feeder is not None and self._feeder.leads,
            version=__version__,
            started_ms=self._started_ms,
            connections=self.connection_count,
        )

    def _recover_sessions(self) -> None:
        if self._ready and self._registry is not None:
            self._registry.ownership.recover()

    def _unready(self) -> str | None:
        """Tell why new clients shouldn't be sent here."""
        if not self._ready or self._draining or self._backend is None:
            return "The server starts or stops"
        status = self._backend.engine.status()
        if not self._backend.is_reached:
            return f"Redis hasn't been reached yet. {status.detail or ''}".rstrip()
        if status.state == "away" and not self.settings.ready_without_redis:
            return status.detail or "Redis is away"
        return None

    def _make_registry(self, backend: Backend) -> Registry:
        settings = self.settings
        ownership = SessionOwnership(
            backend.sessions,
            backend.cluster.members,
            begin=self._background.begin,
            prepare=backend.engine.prepare,
            clock=time.monotonic,
            ttl=settings.session_ttl,
            max_per_address=settings.max_connections_per_address,
        )
        return Registry(ownership, max_per_principal=settings.max_connections_per_principal)

    async def _check(self, hub: Hub, registry: Registry, feeder: Feeder, readers: Readers) -> None:
        """Look, again and again, at what no event tells: silence."""
        while True:
            try:
                hub.check()
                readers.check()
                registry.check(time.monotonic())
                await feeder.post()
                self._refusals.report(time.monotonic())
            except Exception:
                logger.exception("a check met a fault of ours")
            await asyncio.sleep(CHECK_SECONDS)


def _room(settings: Settings) -> int:
    """Return how many connections the limit of open files leaves to clients.

    Raises:
        StartupError: when that is none.
    """
    limit = open_files()
    needed = RESERVED_FILES
    if settings.shares_redis:
        needed += settings.redis_max_connections + 2  # those that listen
    if limit <= needed:
        raise StartupError(
            f"The limit of open files is {limit}, and the server needs {needed} before it can take "
            "a connection: raise it (ulimit -n; LimitNOFILE under systemd, --ulimit nofile under "
            "Docker)"
        )
    return limit - needed


def _session_rules(settings: Settings, *, takes_tokens: bool) -> SessionRules:
    return SessionRules(
        Terms(
            default_market=settings.default_market,
            max_subscriptions=settings.max_subscriptions,
            takes_tokens=takes_tokens,
            keeps_all=settings.session_queue == "all",
        ),
        slow_timeout=settings.slow_timeout,
        heartbeat_ms=settings.heartbeat_ms,
        ping_interval=settings.ping_interval,
        ping_timeout=settings.ping_timeout,
        auth_timeout=settings.auth_timeout,
        message_rate=settings.message_rate,
        publish_rate=settings.publish_rate,
    )


def _call_later(
    loop: asyncio.AbstractEventLoop,
) -> Callable[[float, Callable[[], None]], object]:
    def call_later(seconds: float, function: Callable[[], None]) -> object:
        if seconds <= 0:
            return loop.call_soon(function)
        return loop.call_later(seconds, function)

    return call_later
