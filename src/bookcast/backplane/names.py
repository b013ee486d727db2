"""The names of topics in Redis, and the shards over which their keys are spread."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, cast

from redis.crc import key_slot

from bookcast.model.topics import CHANNELS, Channel, Symbol, Topic

SHARDS: Final = 16
"""The keys of one shard share a slot of a Redis Cluster, so that one script call can use them."""


@lru_cache(maxsize=65_536)
def name_of(topic: Topic) -> str:
    """Return a topic's name. The symbol is last, since it may contain any character."""
    return f"{topic.channel}:{topic.variant}:{topic.symbol}"


@lru_cache(maxsize=65_536)
def topic_of(name: str) -> Topic:
    """Return the topic of a name."""
    channel, variant, symbol = name.split(":", 2)
    return Topic(cast("Channel", channel), Symbol(symbol), variant)


@lru_cache(maxsize=65_536)
def shard_of(topic: Topic) -> int:
    """Return the shard of a topic."""
    return int(key_slot(name_of(topic).encode())) % SHARDS


def topics_of(names: Iterable[bytes]) -> list[Topic]:
    """Return the topics of names, without those of channels that only a later release has."""
    texts = (name.decode() for name in names)
    return [topic_of(text) for text in texts if text.partition(":")[0] in CHANNELS]
