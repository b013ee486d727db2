"""What the HTTP side answers with."""

from __future__ import annotations

from typing import Literal

import msgspec

from bookcast.engine.base import EngineStatus
from bookcast.feeds.base import FeedStatus
from bookcast.hub.status import State
from bookcast.model.feed_state import Security
from bookcast.model.market_data import Brokers, Candle, Quote, TimePoint, Trade
from bookcast.model.topics import Channel
from bookcast.protocol.header import Ts
from bookcast.protocol.v1 import messages as v1
from bookcast.settings.reload import Rotated


class Workers(msgspec.Struct, frozen=True):
    """Processes that share the port; of ``all``, so many have ``answered`` for this."""

    answered: int
    all: int


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the server is. Degraded: it serves, but a feed, the engine or new settings have trouble.

    ``workers``: where several processes share the port, whose connections these are. ``settings``:
    those that may change while it runs.
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
    """What is wrong with one update of a batch; ``path``: where in its data.

    ``channel`` and ``symbol`` are those of the update, as it wrote them.
    """

    code: str
    message: str
    path: str = ""
    channel: str | None = None
    symbol: str | None = None


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one update of a batch: its place, or what is wrong with it."""

    epoch: str | None = None
    seq: int | None = None
    error: Refusal | None = None


class BatchResult(msgspec.Struct, frozen=True):
    """What became of a batch, in its order. ``partial``: some were refused."""

    status: Literal["ok", "partial"]
    results: list[Outcome]


class TopicStats(msgspec.Struct, frozen=True):
    """One topic: its position, its subscribers here, and the age of its newest update."""

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
    """Clients who are ``connected``; sessions ``parked`` until their clients come back.

    ``resumed``: some did, ``expired``: some didn't.
    """

    connected: int
    parked: int
    resumed: int
    expired: int


class NodeStats(msgspec.Struct, frozen=True, omit_defaults=True):
    """The node that answered. ``leads``: it runs the feed. ``engine``: numbers of its Redis.

    ``workers``: where several processes share the port, whose numbers these are; ``worker`` is the
    one that answered.
    """

    id: str
    leads: bool
    worker: int
    engine: dict[str, float]
    workers: Workers | None = None


class ClusterNode(msgspec.Struct, frozen=True):
    """A node that lives, as of about a second ago. Those with one ``group`` share a port.

    ``record_format``: the highest that it reads of what nodes write for each other.
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
    """All nodes that share Redis. ``leader`` runs the feed; null when none does."""

    nodes: list[ClusterNode]
    connections: int
    leader: str | None


class Stats(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the server has done since it started, in all its processes.

    ``connections_held`` can't take data now; ``connections_too_slow`` took none for too long and
    were closed. ``messages_conflated``: a newer update took their place; ``messages_gapped``: their
    clients were told that they are lost. ``held`` lists a few of those who can't take data now.
    ``duplicate_client_ids``: clients that came under the id of another who was there. ``refusals``:
    what was refused, by the limit or rule. ``topics_published`` counts all topics; ``topics`` lists
    the first of them, 1000 unless asked for fewer.
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
    """What is known of a topic: its newest state, under the spelling that was asked for.

    Whole prices and sizes are written as integers, however they were published.
    ``as_of``: when that came, by the server's clock, which was ``age_ms`` ago. ``ts`` tells when
    the exchange, the feed and the server saw it. ``state``: how the topic stands, as a v1 client's
    ``status`` tells it, and ``reason`` why. ``source``: the feed it comes from, null without one;
    ``snapshot`` where that may only ask, which it does every ``every_ms``.
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
    state: State
    source: str | None
    reason: str | None = None
    every_ms: float | None = None
    quota: v1.Quota | None = None


class KnownBook(Known, frozen=True, kw_only=True):
    """The newest book of a symbol: ``data`` as published, ``timestamp`` is ``as_of``.

    ``depth``: so many levels of each side at most; null: all.
    """

    data: msgspec.Raw
    timestamp: str
    depth: int | None


class KnownQuote(Known, frozen=True, kw_only=True):
    """The newest quote of a symbol; figures that are unknown are absent."""

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
    """The brokers in the queues of a symbol."""

    data: Brokers


class KnownTimePoint(Known, frozen=True, kw_only=True):
    """The newest minute of the day's line."""

    data: TimePoint


class KnownSymbols(msgspec.Struct, frozen=True):
    """What was found: those of the feed in its order, then others in alphabetical order."""

    symbols: list[Security]


class Alive(msgspec.Struct, frozen=True):
    """The answer to a probe."""

    status: str
