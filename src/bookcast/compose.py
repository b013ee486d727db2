"""The composition root: makes a node's parts from its settings, starts them and stops them."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

import msgspec
from prometheus_client import Histogram

from bookcast.auth.gate import Gate
from bookcast.backend.base import Backend
from bookcast.backend.factory import backend_of
from bookcast.backend.redis import RedisTimes
from bookcast.background import BackgroundTasks, Periodic
from bookcast.cluster.members.base import Node
from bookcast.errors import StartupError
from bookcast.feeds.factory import feeds_of
from bookcast.feeds.runner import FeedRunner
from bookcast.http import app as http_app
from bookcast.http.overflow import MAX_READ, Overflow
from bookcast.http.read_demand import ReadInterests
from bookcast.http.reads import Reads
from bookcast.http.report import Reporter
from bookcast.http.routes import Routes
from bookcast.http.server import HttpLimits, HttpServer, HttpTimes
from bookcast.hub.hub import Hub
from bookcast.ingest.publication import Rules
from bookcast.ingest.publisher import Publisher
from bookcast.limits import Full, Refusals, Seats
from bookcast.model.topics import CHANNELS
from bookcast.observability import logs
from bookcast.observability.exporter import DELAY_BUCKETS, registry_of
from bookcast.protocol.render import Renderer
from bookcast.protocol.subscriptions import ConnectionRules
from bookcast.sessions.base import SessionRules
from bookcast.sessions.connections import Registry
from bookcast.sessions.ownership import SessionOwnership
from bookcast.sessions.session import Session
from bookcast.sessions.shared_parts import SessionParts
from bookcast.settings import Settings
from bookcast.settings.reload import Rotated
from bookcast.transport.frames import Framer
from bookcast.transport.handshake import HandshakeHandler
from bookcast.transport.listen import listen, open_files
from bookcast.transport.websocket import Endpoint, WebSocket
from bookcast.version import __version__

logger = logging.getLogger(__name__)

RESERVED_FILES: Final = 48 + MAX_READ
"""Open files that the server needs besides connections of clients and to Redis."""

CHECK_SECONDS: Final = 0.5
"""How often the status of topics and the liveness of clients are checked."""

SEARCH_SECONDS: Final = 2.0
"""How long a node that ends waits for searches for sessions; longer than a client may take to
answer a ping."""


class Worker(msgspec.Struct, frozen=True):
    """This process among the ``count`` that share a port. ``group``: an id that all share."""

    group: str
    number: int
    count: int


class NodeTimes(msgspec.Struct, frozen=True):
    """The intervals of a node's parts."""

    redis: RedisTimes = RedisTimes()
    http: HttpTimes = HttpTimes()


class Context(msgspec.Struct, frozen=True):
    """What a node is made from, and what outlives its stop and restart.

    Attributes:
        settings: all settings.
        worker: this process among several that share the port; None: it is the only one.
        node: the node's id.
        gate: authenticates callers.
        refusals: counts refusals by reason.
        addresses: counts the connections of each address.
        unready: returns why new clients shouldn't be sent to this node; None: they may be.
        rotated: returns the state of the settings that are read again; None: none are.
        times: the intervals of its parts.
    """

    settings: Settings
    worker: Worker | None
    node: str
    gate: Gate
    refusals: Refusals
    addresses: Seats
    unready: Callable[[], str | None]
    rotated: Callable[[], Rotated | None]
    times: NodeTimes = NodeTimes()


class Parts(msgspec.Struct, frozen=True):
    """The parts of a running node. ``port``: where it listens."""

    port: int
    backend: Backend
    feeder: FeedRunner
    hub: Hub
    readers: ReadInterests
    registry: Registry
    publisher: Publisher
    reporter: Reporter
    http: HttpServer


class Presence:
    """A node's description for other nodes. It is needed before all parts of the node exist."""

    def __init__(self, context: Context) -> None:
        worker = context.worker
        self._identity = Node(
            context.node,
            group=worker.group if worker is not None else context.node,
            worker=worker.number if worker is not None else 0,
            version=__version__,
            started_ms=round(time.time() * 1000, 3),
        )
        self.leads: Callable[[], bool] = lambda: False
        self.count: Callable[[], int] = lambda: 0

    def describe(self) -> Node:
        """Return the description as it is now."""
        return msgspec.structs.replace(self._identity, leads=self.leads(), connections=self.count())


async def compose(  # noqa: PLR0915 - a list: each part is made once, with all that it needs
    stack: AsyncExitStack, context: Context
) -> Parts:
    """Make a node and start it. What is pushed on the stack stops it, in reverse order.

    Raises:
        StartupError: the port can't be bound, or the feed can't run; then nothing is left over.
    """
    settings, gate, refusals = context.settings, context.gate, context.refusals
    room = _room(settings)
    full = Full(time.monotonic)
    loop = asyncio.get_running_loop()

    # The backend, and what it serves.
    presence = Presence(context)
    backend = backend_of(settings, presence.describe, context.times.redis)
    engine, cluster = backend.engine, backend.cluster
    feeder = FeedRunner(engine, cluster, functools.partial(feeds_of, settings))
    presence.leads = lambda: feeder.leads
    framer = Framer(settings.deflate_min_bytes)
    delays = Histogram(
        "bookcast_feed_to_socket_seconds",
        "From when the feed saw an update to when it was written to the sockets",
        buckets=DELAY_BUCKETS,
        registry=None,
    )
    readers = ReadInterests(engine, linger_seconds=settings.futu_linger_seconds)
    hub = Hub(
        renderer=Renderer(framer),
        clock=time.monotonic,
        now=time.time,
        call_later=_call_later(loop),
        batch_seconds=settings.batch_ms / 1000,
        max_queue_bytes=settings.max_outbox_bytes,
        stale_after={channel: getattr(settings, f"stale_after_{channel}") for channel in CHANNELS},
        patience=engine.lag_seconds,
        supply=feeder.supply,
        gone=engine.gone,
        lacking=feeder.lacking,
        observe=delays.observe,
    )
    publisher = Publisher(
        engine=engine,
        hub=hub,
        rules=Rules(settings.default_market, settings.refuse_crossed_books),
        max_topics=settings.max_published_topics,
    )

    # Clients.
    searches = BackgroundTasks()
    ownership = SessionOwnership(
        backend.sessions,
        cluster.members,
        begin=searches.begin,
        prepare=engine.prepare,
        clock=time.monotonic,
        ttl=settings.session_ttl,
        max_per_address=settings.max_connections_per_address,
    )
    registry = Registry(ownership, max_per_principal=settings.max_connections_per_principal)
    presence.count = registry.__len__
    endpoint = Endpoint(
        hub=hub,
        registry=registry,
        reception=HandshakeHandler(
            gate=gate,
            registry=registry,
            addresses=context.addresses,
            refusals=refusals,
            full=full,
            max_connections=settings.max_connections or room,
            deflate=settings.deflate != "off",
        ),
        begin=functools.partial(
            Session,
            parts=SessionParts(
                hub=hub,
                engine=engine,
                frame=framer,
                home=registry,
                ownership=ownership,
                gate=gate,
                refusals=refusals,
                rules=_session_rules(settings, takes_tokens=gate.takes_credentials),
            ),
        ),
        slow_timeout=settings.slow_timeout,
        max_message_bytes=settings.max_message_bytes,
        framer=framer,
        publish=publisher.publish_all,
        lose_publisher=publisher.lose,
        clock=time.monotonic,
        loop=loop,
    )

    # HTTP.
    counting = [registry, ownership, hub, logs, *engine.counting, refusals]
    reporter = Reporter(
        engine=engine,
        members=cluster.members,
        feeder=feeder,
        hub=hub,
        registry=registry,
        publisher=publisher,
        refusals=refusals,
        numbers=registry_of(counting, delays),
        myself=presence.describe,
        group=context.worker.count if context.worker is not None else 1,
        rotated=context.rotated,
    )
    reads = Reads(
        engine=engine,
        hub=hub,
        feeder=feeder,
        readers=readers,
        gate=gate,
        refusals=refusals,
        default_market=settings.default_market,
        linger_seconds=settings.futu_linger_seconds,
        now=time.time,
    )
    routes = Routes(
        settings=settings,
        gate=gate,
        engine=engine,
        publisher=publisher,
        refusals=refusals,
        feeder=feeder,
        reporter=reporter,
        unready=context.unready,
    )
    http = HttpServer(
        http_app.build(routes, reads, gate, refusals),
        functools.partial(WebSocket, endpoint),
        _http_limits(context, full, room),
    )

    # Connections between the parts.
    engine.attach(
        notice=readers.tap(hub.notice),
        wanted=cluster.demand.want,
        wanted_to_read=cluster.demand.want_to_read,
        unwanted=cluster.demand.release,
        unreadable=hub.note_unreadable,
        removed=hub.forget,
    )
    backend.attach(away=hub.check, returned=ownership.recover)

    # The parts start in this order, and stop in the reverse order.
    sockets = await listen(
        settings.address, settings.websocket_port, shared=context.worker is not None
    )
    port = sockets[0].getsockname()[1]
    for sock in sockets:
        stack.callback(sock.close)
    stack.push_async_callback(backend.stop)
    await backend.start()
    stack.push_async_callback(publisher.close)
    stack.push_async_callback(searches.end)
    stack.push_async_callback(ownership.stop)
    # A client that is lost now has its session saved with the one that is being looked for.
    stack.push_async_callback(searches.end, SEARCH_SECONDS)
    ownership.start()
    stack.callback(refusals.tell)
    stack.push_async_callback(http.stop)
    stack.push_async_callback(feeder.close)
    stack.push_async_callback(cluster.election.resign)
    await feeder.start()
    await http.start(sockets)
    stack.callback(readers.close)

    async def check() -> None:
        """Check what no event announces: silence."""
        now = time.monotonic()
        hub.check()
        readers.check()
        registry.check(now)
        await feeder.post()
        refusals.report(now)

    checks = Periodic(check, CHECK_SECONDS, "a check")
    checks.start()
    stack.push_async_callback(checks.close)
    if gate.jwks is not None:
        refreshing = gate.jwks.refreshing()
        refreshing.start()
        stack.push_async_callback(refreshing.close)
    return Parts(port, backend, feeder, hub, readers, registry, publisher, reporter, http)


def _http_limits(context: Context, full: Full, room: int) -> HttpLimits:
    settings = context.settings
    return HttpLimits(
        addresses=context.addresses,
        refusals=context.refusals,
        trusts=context.gate.trusts,
        warn=context.gate.warn,
        header_timeout=settings.header_timeout,
        max_header_bytes=settings.max_header_bytes,
        full=full,
        overflow=Overflow(),
        max_sockets=room,
        times=context.times.http,
    )


def _room(settings: Settings) -> int:
    """Return how many connections the limit of open files leaves for clients.

    Raises:
        StartupError: it leaves none.
    """
    limit = open_files()
    needed = RESERVED_FILES
    if settings.shares_redis:
        needed += settings.redis_max_connections + 2  # and two that subscribe
    if limit <= needed:
        raise StartupError(
            f"The limit of open files is {limit}, and the server needs {needed} before it can take "
            "a connection: raise it (ulimit -n; LimitNOFILE under systemd, --ulimit nofile under "
            "Docker)"
        )
    return limit - needed


def _session_rules(settings: Settings, *, takes_tokens: bool) -> SessionRules:
    return SessionRules(
        ConnectionRules(
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
