"""The names of keys and channels in Redis.

Keys that one script uses have the same part in braces, so that a Cluster puts them in one slot.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final, NamedTuple

from bookcast.backplane.names import name_of, shard_of
from bookcast.model.topics import Topic

KEEP_SECONDS: Final = 7 * 24 * 3600
"""A topic expires when nobody has published to it for so many seconds."""


class TopicKeys(NamedTuple):
    """The names of a topic: the keys of its newest state and its history, and its channel."""

    state: str
    history: str
    channel: str


class Keys:
    """The names of one deployment.

    Args:
        prefix: the beginning of all names.
        database: the database number of Redis. It is part of the names, since channels are common
            to all databases.
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
        """Returns the names of a topic."""

    def _topic(self, topic: Topic) -> TopicKeys:
        name, shard = name_of(topic), self._shard(shard_of(topic))
        return TopicKeys(f"{shard}:t:{name}", f"{shard}:h:{name}", f"{shard}:c:{name}")

    def topic_of(self, channel: str) -> str:
        """Return the name of a channel's topic, "" where the channel isn't that of a topic."""
        return channel.partition("}:c:")[2] if channel.startswith(self._start) else ""

    def _shard(self, shard: int) -> str:
        return f"{self._start}:{{{shard}}}"

    def fence(self, shard: int) -> str:
        """Return the key of a shard's highest fencing token."""
        return f"{self._shard(shard)}:f"

    def producer(self, shard: int, producer: str) -> str:
        """Return the key of a producer's last call in a shard, and its answer."""
        return f"{self._shard(shard)}:p:{producer}"

    def once(self, shard: int) -> tuple[str, str]:
        """Return a shard's keys of idempotency keys and of their times."""
        return f"{self._shard(shard)}:o", f"{self._shard(shard)}:ot"

    def directory(self, shard: int) -> str:
        """Return the key of the set of a shard's topic names."""
        return f"{self._shard(shard)}:topics"

    def topic_prefix(self, shard: int) -> str:
        """Return the beginning of the keys of a shard's topics."""
        return f"{self._shard(shard)}:t:"

    def node(self, node: str) -> str:
        """Return the key of a node's description of itself."""
        return f"{self.node_prefix}{node}"

    def node_channel(self, node: str) -> str:
        """Return the channel on which a node receives messages."""
        return f"{self._node_channels}{node}"

    def demand(self, node: str) -> str:
        """Return the key of the topics that a node wants."""
        return f"{self._demands}{node}"

    def session(self, *parts: str) -> str:
        """Return the key of a session: a hash of the parts by which it is found.

        It is hashed because a part may be a secret, such as a resume token.
        """
        digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        return f"{self._start}:s:{digest}"
