"""Wires the parts together, and owns their start and stop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import functools
import logging
import socket
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from prometheus_client import Histogram

from bookcast.auth.gate import Gate
from bookcast.engine.base import Engine
from bookcast.engine.memory import MemoryEngine
from bookcast.errors import StartupError
from bookcast.feeds.base import Feed, Publish
from bookcast.feeds.simulator import Simulator
from bookcast.feeds.supervisor import Supervisor
from bookcast.http import app as http_app
from bookcast.http.routes import Routes
from bookcast.http.server import HttpLimits, HttpServer
from bookcast.hub.hub import Hub
from bookcast.limits import Refusals, Seats
from bookcast.metrics import DELAY_BUCKETS, Number, registry_of
from bookcast.model import CHANNELS, Supply, Topic
from bookcast.protocol.connection import Terms
from bookcast.protocol.published import Rules
from bookcast.protocol.render import Renderer
from bookcast.publisher import Published, Publisher
from bookcast.sessions.base import SessionRules
from bookcast.sessions.framer import Framer
from bookcast.sessions.handshake import Reception
from bookcast.sessions.registry import Registry
from bookcast.sessions.session import Session
from bookcast.sessions.websocket import Endpoint, WebSocket
from bookcast.settings import Settings, from_keywords

logger = logging.getLogger(__name__)

RESERVED_FILES: Final = 64
"""Files that the server needs besides its clients' connections."""

CHECK_SECONDS: Final = 0.5
"""How often topics are judged, and clients looked after."""


def serve(**settings: Any) -> Server:
    """Make a server to run inside this program's event loop.

    Keywords are settings in lower case (``port`` is short for ``websocket_port``); the environment
    isn't read. ``port=0`` picks a free port::

        async with bookcast.serve(port=0) as server:
            await server.publish("AAPL", {"bids": [[189.9, 300]], "asks": [[190.0, 100]]})

    Raises:
        SettingError: for a wrong setting.
    """
    return Server(from_keywords(**settings))


class Server:
    """One node: HTTP and WebSocket on one port, fed by one feed and by publishers."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.port = settings.websocket_port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._engine: Engine = MemoryEngine(history_size=settings.history_size)
        self._refusals = Refusals()
        self._addresses = Seats(settings.max_connections_per_address)
        self._gate = Gate.of(settings, self._refusals)
        self._registry = Registry(
            ttl=settings.session_ttl,
            clock=time.monotonic,
            call_later=lambda seconds, function: asyncio.get_running_loop().call_later(
                seconds, function
            ),
            max_per_address=settings.max_connections_per_address,
            max_per_principal=settings.max_connections_per_principal,
        )
        self._feeds: list[Supervisor] = []
        self._hub: Hub | None = None
        self._publisher: Publisher | None = None
        self._http: HttpServer | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._ready = False

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
        host = self.settings.host
        if host in {"0.0.0.0", "::"}:  # noqa: S104 - this reads the setting, it binds nothing
            host = "127.0.0.1"
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def ws_url(self) -> str:
        """Where WebSockets connect; append a client id."""
        return self.http_url.replace("http", "ws", 1) + "/ws/"

    @property
    def connection_count(self) -> int:
        """How many clients are connected."""
        return len(self._registry)

    @property
    def received_count(self) -> int:
        """How many messages clients have sent since the start."""
        return self._registry.received

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
        loop = self._loop = asyncio.get_running_loop()
        if settings.redis_url is not None:
            logger.warning(
                "REDIS_URL is set, but this version keeps everything in memory: run one node only"
            )
        self._feeds = [Supervisor(feed) for feed in _feeds(settings, self._engine.publish)]
        sockets = await _listen(settings.host, settings.websocket_port)
        self.port = sockets[0].getsockname()[1]
        framer = Framer(settings.deflate_min_bytes)
        delays = Histogram(
            "bookcast_feed_to_socket_seconds",
            "From when the feed saw an update to when it was written to the sockets",
            buckets=DELAY_BUCKETS,
            registry=None,
        )
        hub = self._hub = Hub(
            renderer=Renderer(framer),
            clock=time.monotonic,
            now=time.time,
            call_later=_call_later(loop),
            want=self._engine.want,
            release=self._engine.release,
            batch_seconds=settings.batch_ms / 1000,
            history_size=settings.history_size,
            queue_size=settings.session_queue_size,
            max_queue_bytes=settings.max_outbox_bytes,
            stale_after={
                channel: getattr(settings, f"stale_after_{channel}") for channel in CHANNELS
            },
            supply=self._supply,
            observe=delays.observe,
        )
        self._engine.attach(deliver=hub.deliver, wanted=self._want, unwanted=self._release)
        publisher = Publisher(
            engine=self._engine,
            hub=hub,
            rules=Rules(settings.default_market, settings.refuse_crossed_books),
        )
        reception = Reception(
            gate=self._gate,
            registry=self._registry,
            addresses=self._addresses,
            refusals=self._refusals,
            max_connections=settings.max_connections or open_files() - RESERVED_FILES,
            deflate=settings.deflate != "off",
        )
        endpoint = Endpoint(
            hub=hub,
            registry=self._registry,
            reception=reception,
            begin=functools.partial(
                Session,
                hub=hub,
                frame=framer,
                home=self._registry,
                gate=self._gate,
                refusals=self._refusals,
                rules=_session_rules(settings, takes_tokens=self._gate.takes_credentials),
            ),
            slow_timeout=settings.slow_timeout,
            max_message_bytes=settings.max_message_bytes,
            framer=framer,
            publish=publisher.publish_all,
            publishing_waits=self._engine.waits,
            clock=time.monotonic,
            loop=loop,
        )
        routes = Routes(
            settings=settings,
            gate=self._gate,
            engine=self._engine,
            publisher=publisher,
            hub=hub,
            registry=self._registry,
            refusals=self._refusals,
            feeds=self._feeds,
            metrics=registry_of(self._numbers(hub), delays, self._refusals),
            ready=lambda: self._ready,
        )
        http = HttpServer(
            http_app.build(routes, self._gate, self._refusals),
            functools.partial(WebSocket, endpoint),
            HttpLimits(
                addresses=self._addresses,
                refusals=self._refusals,
                trusts=self._gate.trusts,
                warn=self._gate.warn,
                header_timeout=settings.header_timeout,
                max_header_bytes=settings.max_header_bytes,
                max_sockets=open_files() - RESERVED_FILES,
            ),
        )
        try:
            await http.start(sockets)
        except BaseException:
            for sock in sockets:
                sock.close()
            raise
        self._http = http
        for feed in self._feeds:
            feed.start()
        self._tasks = [asyncio.create_task(self._check(hub), name="checks")]
        if self._gate.jwks is not None:
            self._tasks.append(asyncio.create_task(self._gate.jwks.run(), name="keys"))
        self._publisher = publisher
        self._ready = True
        logger.info("serving at %s, WebSockets at %s{client_id}", self.http_url, self.ws_url)

    async def stop(self) -> None:
        """Publish no more, end the feed, say goodbye to everybody; once more does nothing."""
        self._ready = False
        self._publisher = None
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        for feed in self._feeds:
            await feed.stop()
        if self._http is not None:
            await self._http.stop()
            self._http = None
            logger.info("stopped")

    async def publish(
        self, symbol: str, data: Any, *, channel: str = "orderbook", period: str | None = None
    ) -> Published:
        """Publish data of a channel, in any shape that ``POST /broadcast/{channel}`` takes.

        ``data`` is an object as a JSON reader gives it, or JSON text as bytes.

        Raises:
            InvalidInput: with the path of the wrong field; then nothing was published.
            StartupError: when the server doesn't run.
        """
        return await self._running().publish(channel, symbol, data, period=period)

    def publish_threadsafe(
        self, symbol: str, data: Any, *, channel: str = "orderbook", period: str | None = None
    ) -> concurrent.futures.Future[Published]:
        """Publish from another thread, for instance from a callback of futu-api.

        Raises:
            StartupError: when the server doesn't run.
        """
        publisher = self._running()
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(
            publisher.publish(channel, symbol, data, period=period), self._loop
        )

    def _running(self) -> Publisher:
        if self._publisher is None:
            raise StartupError("The server doesn't run: start it first")
        return self._publisher

    def _want(self, topic: Topic) -> None:
        for feed in self._feeds:
            feed.want(topic)

    def _release(self, topic: Topic) -> None:
        for feed in self._feeds:
            feed.release(topic)

    def _supply(self, topic: Topic) -> Supply | None:
        for feed in self._feeds:
            if feed.serves(topic):
                return feed.supply(topic)
        return None

    async def _check(self, hub: Hub) -> None:
        """Look, again and again, at what no event tells: silence."""
        while True:
            try:
                hub.check()
                self._registry.check(time.monotonic())
            except Exception:
                logger.exception("a check met a fault of ours")
            await asyncio.sleep(CHECK_SECONDS)

    def _numbers(self, hub: Hub) -> list[Number]:
        registry = self._registry
        return [
            Number("connections", "gauge", "Clients connected", lambda: len(registry)),
            Number(
                "subscriptions",
                "gauge",
                "Subscriptions of all clients",
                registry.subscription_count,
            ),
            Number(
                "connections_held",
                "gauge",
                "Clients that can't take data now",
                lambda: len(registry.held()),
            ),
            Number(
                "connections_too_slow",
                "counter",
                "Clients closed because they took no data",
                lambda: registry.too_slow,
            ),
            Number(
                "connections_accepted", "counter", "Handshakes accepted", lambda: registry.accepted
            ),
            Number("handshakes_refused", "counter", "Handshakes refused", lambda: registry.refused),
            Number(
                "messages_received", "counter", "Messages of clients", lambda: registry.received
            ),
            Number("sessions_parked", "gauge", "Sessions that wait", lambda: registry.parked),
            Number(
                "sessions_resumed",
                "counter",
                "Sessions that a client came back to",
                lambda: registry.resumed,
            ),
            Number(
                "sessions_expired",
                "counter",
                "Sessions that nobody came back to",
                lambda: registry.expired,
            ),
            Number(
                "duplicate_client_ids",
                "counter",
                "Clients that came under the id of another who was there",
                lambda: registry.duplicates,
            ),
            Number("messages_delivered", "counter", "Updates sent", lambda: hub.delivered),
            Number(
                "messages_conflated",
                "counter",
                "Updates that a newer one replaced before a client could take them",
                lambda: hub.conflated,
            ),
            Number(
                "messages_gapped",
                "counter",
                "Updates that clients were told are lost",
                lambda: hub.gapped,
            ),
        ]


def _feeds(settings: Settings, publish: Publish) -> list[Feed]:
    """Make the feed that the settings name.

    Raises:
        StartupError: when it can't run here.
    """
    match settings.feed:
        case "simulator":
            return [
                Simulator(
                    publish,
                    symbols=settings.simulator_symbols,
                    rate=settings.simulator_rate,
                    seed=settings.simulator_seed,
                    depth=settings.simulator_depth,
                    default_market=settings.default_market,
                )
            ]
        case "futu" | "moomoo":
            # Only here: what it needs is an extra.
            from bookcast.feeds.futu import futu_feed  # noqa: PLC0415 - an extra

            return [futu_feed(publish, settings)]
        case "none":
            return []


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


def open_files() -> int:
    """Tell how many files and connections this process may have open."""
    try:
        import resource  # noqa: PLC0415 - not on every platform
    except ImportError:
        return sys.maxsize
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _call_later(
    loop: asyncio.AbstractEventLoop,
) -> Callable[[float, Callable[[], None]], object]:
    def call_later(seconds: float, function: Callable[[], None]) -> object:
        if seconds <= 0:
            return loop.call_soon(function)
        return loop.call_later(seconds, function)

    return call_later


_BIND_FAULTS = {
    errno.EADDRINUSE: "is already in use; stop the program that has it, or choose another port "
    "with WEBSOCKET_PORT (--port)",
    errno.EACCES: "needs more rights than this user has; choose a port above 1023 with "
    "WEBSOCKET_PORT (--port)",
    errno.EADDRNOTAVAIL: "can't be used: this machine doesn't have that address; set HOST to one "
    "that it has",
}


async def _listen(host: str, port: int) -> list[socket.socket]:
    """Bind the port on every address that the host name stands for.

    Raises:
        StartupError: in one sentence that says what to do.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise StartupError(f"HOST is {host!r}, which can't be resolved: {error}") from None
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            # With port 0, the second address gets the port that the first one was given.
            chosen = sockets[0].getsockname()[1] if sockets else port
            sockets.append(
                socket.create_server(
                    (str(address[0]), chosen),
                    family=family,
                    backlog=2048,
                    # Every address of the machine means those of IPv4 as well.
                    dualstack_ipv6=address[0] == "::" and socket.has_dualstack_ipv6(),
                )
            )
    except OSError as error:
        for sock in sockets:
            sock.close()
        fault = _BIND_FAULTS.get(error.errno or 0, f"can't be opened: {error}")
        raise StartupError(f"Port {port} on {host} {fault}") from None
    return sockets
