"""Names of keys and channels in Redis; what one script reaches has the same part in braces."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final

from bookcast.engine.records import name_of, shard_of
from bookcast.model import Topic

KEEP_SECONDS: Final = 7 * 24 * 3600
"""What nobody publishes to for so long is forgotten."""

NODES: Final = "bc:{nodes}:nodes"
LOCK: Final = "bc:{nodes}:feed"
LOCK_NUMBER: Final = "bc:{nodes}:fence"
DEMAND_CHANNEL: Final = "bc:{nodes}:demand"
BOARD: Final = "bc:{nodes}:board"
BOARD_CHANNEL: Final = "bc:{nodes}:news"
LEADER_CHANNEL: Final = "bc:{nodes}:leader"


@lru_cache(maxsize=65_536)
def topic_keys(topic: Topic) -> tuple[str, str, str]:
    """Give the key of a topic's newest state, of its history, and its channel."""
    name = name_of(topic)
    shard = f"bc:{{{shard_of(topic)}}}"
    return f"{shard}:t:{name}", f"{shard}:h:{name}", f"{shard}:c:{name}"


def fence_key(shard: int) -> str:
    """Give the key of the highest fence that a shard has seen."""
    return f"bc:{{{shard}}}:f"


def producer_key(shard: int, producer: str) -> str:
    """Give the key of what a producer did last in a shard."""
    return f"bc:{{{shard}}}:p:{producer}"


def directory_key(shard: int) -> str:
    """Give the key of the names of a shard's topics."""
    return f"bc:{{{shard}}}:topics"


def topic_prefix(shard: int) -> str:
    """Give what the keys of a shard's topics begin with."""
    return f"bc:{{{shard}}}:t:"


def node_key(node: str) -> str:
    """Give the key of what a node says of itself."""
    return f"bc:{{nodes}}:n:{node}"


def node_channel(node: str) -> str:
    """Give the channel on which a node is spoken to."""
    return f"bc:{{nodes}}:c:{node}"


def demand_key(node: str) -> str:
    """Give the key of the topics that a node wants."""
    return f"bc:{{nodes}}:w:{node}"


def session_key(*parts: str) -> str:
    """Give the key of a session, from what it is found by. That may be a secret: it isn't told."""
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return f"bc:s:{digest}"
