"""Publications, and updates with their positions."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from bookcast.model.market_data import Data
from bookcast.model.topics import Topic


class Position(msgspec.Struct, frozen=True, gc=False):
    """Where a topic stands. ``seq`` grows by 1 per update and compares only within one epoch."""

    epoch: str
    seq: int

    def is_past(self, other: Position) -> bool:
        """Return whether this position of a topic certainly comes after another one of it.

        Two epochs can be compared only if their names begin with a time, as those of Redis do.
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
    """The publisher of a topic's newest update is gone. ``position``: of that update."""

    position: Position
    reason: str


class Idempotency(NamedTuple):
    """What lets a publication be done once, though it comes twice. Both are hashes.

    ``key`` names it; ``content`` tells it from something else under the same key.
    """

    key: bytes
    content: bytes


class Publication(NamedTuple):
    """What a feed or a publisher hands to the engine.

    Attributes:
        topic: what it belongs to.
        data: what is published.
        exchange_ms: when the exchange saw it, in milliseconds since 1970; None where unknown.
        feed_ms: when the feed saw it.
        backfill: it happened before anybody asked; only those who ask for history get it.
        breaks: what came between the last one and this is lost, so a new epoch begins.
        once: it may come twice, and is published once.
    """

    topic: Topic
    data: Data
    exchange_ms: float | None = None
    feed_ms: float | None = None
    backfill: bool = False
    breaks: bool = False
    once: Idempotency | None = None


class Update(msgspec.Struct, frozen=True):
    """A publication that the engine has given its position. Times are as in :class:`Publication`.

    ``engine_restored``: it begins its epoch, and what came before it is lost, because the engine
    was away.
    """

    topic: Topic
    position: Position
    data: Data
    server_ms: float
    exchange_ms: float | None = None
    feed_ms: float | None = None
    backfill: bool = False
    engine_restored: bool = False
