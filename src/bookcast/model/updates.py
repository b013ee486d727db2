"""Publications, and updates: publications with a position."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from bookcast.model.market_data import Data
from bookcast.model.topics import Topic

LOCAL: Final = "local-"
"""The beginning of the epochs that a node numbers by itself while Redis is away."""


class Position(msgspec.Struct, frozen=True, gc=False):
    """The number of an update. ``seq`` grows by 1 per update and compares only within an epoch."""

    epoch: str
    seq: int

    @property
    def is_local(self) -> bool:
        """Whether it is of an epoch that ends when Redis is back; the one before may go on then."""
        return self.epoch.startswith(LOCAL)

    def is_past(self, other: Position) -> bool:
        """Return whether this position certainly comes after another one of the same topic.

        Positions of two epochs compare only if the epochs' names begin with a time, as Redis's do.
        """
        if self.epoch == other.epoch:
            return self.seq > other.seq
        begun, other_begun = _begun(self.epoch), _begun(other.epoch)
        return bool(other_begun) and begun > other_begun


def _begun(epoch: str) -> int:
    """Return when an epoch began, in milliseconds since 1970; 0 if its name doesn't say so."""
    began = epoch.partition("-")[0]
    return int(began) if began.isdecimal() else 0


class PublisherGone(NamedTuple):
    """A note that the publisher of a topic's newest update, at ``position``, is gone."""

    position: Position
    reason: str


class Idempotency(NamedTuple):
    """Identifies a publication, so that one sent twice is published once. Both fields are hashes.

    ``key`` identifies it. ``content`` detects other content under the same key.
    """

    key: bytes
    content: bytes


class Publication(NamedTuple):
    """What a feed or a publisher passes to the engine.

    Attributes:
        topic: its topic.
        data: its market data.
        exchange_ms: when the exchange recorded it, in milliseconds since 1970; None where unknown.
        feed_ms: when the feed received it.
        backfill: it happened before the subscription; only clients that ask for history get it.
        breaks: updates before this one are lost, so a new epoch begins.
        once: its idempotency key, with which it may be sent twice.
    """

    topic: Topic
    data: Data
    exchange_ms: float | None = None
    feed_ms: float | None = None
    backfill: bool = False
    breaks: bool = False
    once: Idempotency | None = None


class Update(msgspec.Struct, frozen=True):
    """A publication with its position. Times are as in :class:`Publication`.

    ``server_ms``: when it was published, in ms since 1970. ``engine_restored``: it is the first
    after an outage of the engine, and updates before it may be lost.
    """

    topic: Topic
    position: Position
    data: Data
    server_ms: float
    exchange_ms: float | None = None
    feed_ms: float | None = None
    backfill: bool = False
    engine_restored: bool = False
