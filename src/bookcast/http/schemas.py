"""The responses of the HTTP side."""

from __future__ import annotations

from typing import Literal

import msgspec

from bookcast.engine.base import EngineStatus
from bookcast.feeds.base import FeedStatus
from bookcast.model.feed_state import Security, TopicState
from bookcast.model.market_data import Brokers, Candle, Quote, TimePoint, Trade
from bookcast.model.topics import Channel
from bookcast.protocol.header import Ts
from bookcast.protocol.v1 import messages as v1
from bookcast.settings.reload import Rotated


class Workers(msgspec.Struct, frozen=True):
    """Processes that share the port: ``answered`` of ``all`` are included in this response."""

    answered: int
    all: int


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """The server's health. Degraded: it serves, but a feed, the engine or a setting has trouble.

    ``workers``: if several processes share the port, how many of them the connections are of.
    ``settings``: the settings that are read again while the server runs.
    """

    status: Literal["healthy", "degraded", "unhealthy"]
    connections: int
    subscriptions: int
    uptime_s: float
    engine: EngineStatus
    feeds: list[FeedStatus]
    workers: Workers | None = None
    settings: Rotated | None = None


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True):
    """The error of one update of a batch; ``path``: the wrong field in its data.

    ``channel`` and ``symbol`` are the update's, as it wrote them.
    """

    code: str
    message: str
    path: str = ""
    channel: str | None = None
    symbol: str | None = None


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """The outcome of one update of a batch: its position, or its error."""

    epoch: str | None = None
    seq: int | None = None
    error: Refusal | None = None


class BatchResult(msgspec.Struct, frozen=True):
    """The outcomes of a batch, in its order. ``partial``: some updates were refused."""

    status: Literal["ok", "partial"]
    results: list[Outcome]


class TopicStats(msgspec.Struct, frozen=True):
    """One topic: its position, its subscribers at this server, and the age of its newest update."""

    channel: str
    symbol: str
    period: str | None
    epoch: str
    seq: int
    subscribers: int
    age_ms: float


class HeldClient(msgspec.Struct, frozen=True):
    """A client that can't take data now, and the bytes that wait for it in this process."""

    client_id: str
    subscriptions: int
    bytes_waiting: int


class Sessions(msgspec.Struct, frozen=True):
    """Clients that are ``connected``; sessions that are ``parked`` until their clients are back.

    ``resumed``: sessions whose clients came back; ``expired``: sessions whose clients didn't.
    """

    connected: int
    parked: int
    resumed: int
    expired: int


class NodeStats(msgspec.Struct, frozen=True, omit_defaults=True):
    """The node that answered. ``leads``: it runs the feed. ``engine``: numbers about its Redis.

    ``workers``: if several processes share the port, how many of them the numbers are of;
    ``worker`` is the one that answered.
    """

    id: str
    leads: bool
    worker: int
    engine: dict[str, float]
    workers: Workers | None = None


class ClusterNode(msgspec.Struct, frozen=True):
    """A live node, as of about a second ago. Nodes with the same ``group`` share a port.

    ``record_format``: the highest format that it reads of the records that nodes exchange.
    """

    id: str
    group: str
    worker: int
    leads: bool
    version: str
    connections: int
    uptime_s: float
    record_format: int


class ClusterStats(msgspec.Struct, frozen=True):
    """All nodes that share Redis. ``leader`` runs the feed; null: no node does."""

    nodes: list[ClusterNode]
    connections: int
    leader: str | None


class Stats(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the server has done since it started, in all its processes.

    ``connections_held``: clients that can't take data now; ``held`` lists some of them.
    ``connections_too_slow``: clients closed because they took no data for too long.
    ``messages_conflated``: updates that a newer one replaced; ``messages_gapped``: updates that
    were announced as lost. ``duplicate_client_ids``: clients that came with the id of another
    connected client. ``refusals``: refusals by limit or rule. ``topics_published`` counts all
    topics; ``topics`` lists the first of them, 1000 unless the request asks for fewer.
    """

    version: str
    uptime_s: float
    connections: int
    subscriptions: int
    connections_held: int
    connections_accepted: int
    connections_too_slow: int
    handshakes_refused: int
    sessions: Sessions
    duplicate_client_ids: int
    refusals: dict[str, int]
    messages_received: int
    updates_published: int
    topics_published: int
    publishes_refused: int
    messages_delivered: int
    messages_conflated: int
    messages_gapped: int
    held: list[HeldClient]
    topics: list[TopicStats]
    node: NodeStats
    cluster: ClusterStats | None = None


class Known(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The newest known state of a topic. ``symbol`` is written as the request wrote it.

    Whole prices and sizes are written as integers, however they were published. ``as_of``: when the
    state came, by the server's clock, ``age_ms`` ago. ``ts``: when the exchange, the feed and the
    server saw it. ``state`` and ``reason``: the topic's status, as in the ``status`` message of v1.
    ``source``: the feed that it comes from, null if none; ``snapshot`` if the feed polls it, every
    ``every_ms``.
    """

    symbol: str
    channel: Channel
    period: str | None = None
    variant: str | None = None
    epoch: str
    seq: int
    ts: Ts
    as_of: str
    age_ms: float
    state: TopicState
    source: str | None
    reason: str | None = None
    every_ms: float | None = None
    quota: v1.Quota | None = None


class KnownBook(Known, frozen=True, kw_only=True):
    """The newest book of a symbol: ``data`` as it was published; ``timestamp`` is ``as_of``.

    ``depth``: at most this many levels on each side; null: all.
    """

    data: msgspec.Raw
    timestamp: str
    depth: int | None


class KnownQuote(Known, frozen=True, kw_only=True):
    """The newest quote of a symbol; unknown values are absent."""

    data: Quote


class TradeList(msgspec.Struct, frozen=True):
    """Trades, oldest first."""

    trades: list[Trade]


class KnownTrades(Known, frozen=True, kw_only=True):
    """The newest trades of a symbol."""

    data: TradeList


class CandleList(msgspec.Struct, frozen=True):
    """Candles, oldest first, each in its newest state; the last one may be forming."""

    candles: list[Candle]


class KnownCandles(Known, frozen=True, kw_only=True):
    """The newest candles of a symbol and period."""

    data: CandleList


class KnownBrokers(Known, frozen=True, kw_only=True):
    """The broker queues of a symbol."""

    data: Brokers


class KnownTimePoint(Known, frozen=True, kw_only=True):
    """The newest minute of the day's price line."""

    data: TimePoint


class KnownSymbols(msgspec.Struct, frozen=True):
    """The symbols that were found: the feed's in its order, then others in alphabetical order."""

    symbols: list[Security]


class Alive(msgspec.Struct, frozen=True):
    """The answer to a probe."""

    status: str
