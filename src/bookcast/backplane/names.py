"""Names of topics in Redis, and the shards that their keys are spread over."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, cast

from redis.crc import key_slot

from bookcast.model.topics import CHANNELS, Channel, Symbol, Topic

SHARDS: Final = 16
"""Keys of one shard share a slot of Redis Cluster, so that one script call reaches all of them."""


@lru_cache(maxsize=65_536)
def name_of(topic: Topic) -> str:
    """Write a topic so that it can be read again: a symbol may contain anything."""
    return f"{topic.channel}:{topic.variant}:{topic.symbol}"


@lru_cache(maxsize=65_536)
def topic_of(name: str) -> Topic:
    """Read a topic's name."""
    channel, variant, symbol = name.split(":", 2)
    return Topic(cast("Channel", channel), Symbol(symbol), variant)


@lru_cache(maxsize=65_536)
def shard_of(topic: Topic) -> int:
    """Return which shard a topic is in."""
    return int(key_slot(name_of(topic).encode())) % SHARDS


def topics_of(names: Iterable[bytes]) -> list[Topic]:
    """Read topics' names, leaving out those of channels that only a later release has."""
    texts = (name.decode() for name in names)
    return [topic_of(text) for text in texts if text.partition(":")[0] in CHANNELS]
