"""Names of keys and channels in Redis; what one script reaches has the same part in braces."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final, NamedTuple

from bookcast.backplane.names import name_of, shard_of
from bookcast.model.topics import Topic

KEEP_SECONDS: Final = 7 * 24 * 3600
"""What nobody publishes to for so long is forgotten."""


class TopicKeys(NamedTuple):
    """What there is of a topic: the key of its newest state, that of its history, its channel."""

    state: str
    history: str
    channel: str


class Keys:
    """The names of one deployment.

    Args:
        prefix: what all of them begin with.
        database: of Redis. Channels know no databases, so names tell which it is.
    """

    def __init__(self, prefix: str = "bookcast", database: int = 0) -> None:
        self._start = f"{prefix}@{database}" if database else prefix
        nodes = f"{self._start}:{{nodes}}"
        self.nodes = f"{nodes}:nodes"
        self.lock = f"{nodes}:feed"
        self.lock_number = f"{nodes}:fence"
        self.board = f"{nodes}:board"
        self.demand_channel = f"{nodes}:demand"
        self.board_channel = f"{nodes}:news"
        self.leader_channel = f"{nodes}:leader"
        self.node_prefix = f"{nodes}:n:"
        self._node_channels = f"{nodes}:c:"
        self._demands = f"{nodes}:w:"
        self.topic = lru_cache(maxsize=65_536)(self._topic)
        """Gives the names of a topic."""

    def _topic(self, topic: Topic) -> TopicKeys:
        name, shard = name_of(topic), self._shard(shard_of(topic))
        return TopicKeys(f"{shard}:t:{name}", f"{shard}:h:{name}", f"{shard}:c:{name}")

    def topic_of(self, channel: str) -> str:
        """Return the name of the topic that is told on a channel, empty where it tells another."""
        return channel.partition("}:c:")[2] if channel.startswith(self._start) else ""

    def _shard(self, shard: int) -> str:
        return f"{self._start}:{{{shard}}}"

    def fence(self, shard: int) -> str:
        """Return the key of the highest fence that a shard has seen."""
        return f"{self._shard(shard)}:f"

    def producer(self, shard: int, producer: str) -> str:
        """Return the key of what a producer did last in a shard."""
        return f"{self._shard(shard)}:p:{producer}"

    def once(self, shard: int) -> tuple[str, str]:
        """Return the keys of what was published once in a shard, and of when that was."""
        return f"{self._shard(shard)}:o", f"{self._shard(shard)}:ot"

    def directory(self, shard: int) -> str:
        """Return the key of the names of a shard's topics."""
        return f"{self._shard(shard)}:topics"

    def topic_prefix(self, shard: int) -> str:
        """Return what the keys of a shard's topics begin with."""
        return f"{self._shard(shard)}:t:"

    def node(self, node: str) -> str:
        """Return the key of what a node says of itself."""
        return f"{self.node_prefix}{node}"

    def node_channel(self, node: str) -> str:
        """Return the channel on which a node is spoken to."""
        return f"{self._node_channels}{node}"

    def demand(self, node: str) -> str:
        """Return the key of the topics that a node wants."""
        return f"{self._demands}{node}"

    def session(self, *parts: str) -> str:
        """Return the key of a session, from what it is found by.

        That may be a secret: it isn't told.
        """
        digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        return f"{self._start}:s:{digest}"
