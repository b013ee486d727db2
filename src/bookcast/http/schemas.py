"""What the HTTP side answers with."""

from __future__ import annotations

import msgspec

from bookcast.engine.base import EngineStatus
from bookcast.feeds.base import FeedStatus


class Health(msgspec.Struct, frozen=True):
    """How the server is. Degraded: it serves, but a feed or the engine has trouble."""

    status: str
    connections: int
    subscriptions: int
    uptime_s: float
    engine: EngineStatus
    feeds: list[FeedStatus]


class TopicStats(msgspec.Struct, frozen=True):
    """One topic: its position, its subscribers here, and the age of its newest update."""

    channel: str
    symbol: str
    epoch: str
    seq: int
    subscribers: int
    age_ms: float


class Stats(msgspec.Struct, frozen=True):
    """What the server has done since it started."""

    version: str
    uptime_s: float
    connections: int
    subscriptions: int
    connections_accepted: int
    handshakes_refused: int
    messages_received: int
    updates_published: int
    publishes_refused: int
    messages_delivered: int
    messages_conflated: int
    topics: list[TopicStats]


class KnownBook(msgspec.Struct, frozen=True):
    """The newest book of a symbol: ``data`` as published, ``timestamp`` the server's."""

    symbol: str
    epoch: str
    seq: int
    data: msgspec.Raw
    timestamp: str


class KnownSymbol(msgspec.Struct, frozen=True):
    """A symbol that has data or that a feed can give."""

    symbol: str


class KnownSymbols(msgspec.Struct, frozen=True):
    """Those of the feed in its order, then others in alphabetical order."""

    symbols: list[KnownSymbol]


class Alive(msgspec.Struct, frozen=True):
    """The answer to a probe."""

    status: str
