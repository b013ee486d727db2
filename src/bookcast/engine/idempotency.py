"""The positions published under idempotency keys, so that a retry gets the first answer."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from bookcast.backplane.names import shard_of
from bookcast.model.topics import Topic
from bookcast.model.updates import Idempotency, Position

KEEP_MS: Final = 600_000
"""How long a key is stored, in ms: 10 minutes."""

MAX_KEYS: Final = 10_000
"""How many keys of one shard are stored; with more, the oldest are dropped."""


class _First(NamedTuple):
    at_ms: float
    content: bytes
    position: Position


class KeyStore:
    """Stores the keys of a single node. In a cluster, Redis stores them by the same rules."""

    def __init__(self) -> None:
        self._shards: dict[int, OrderedDict[bytes, _First]] = {}

    def find(self, topic: Topic, once: Idempotency, now_ms: float) -> Position | bool:
        """Return the position of the earlier publication under this key.

        False: the key is unused, as far as is known. True: it was used for other content.
        """
        keys = self._shards.get(shard_of(topic))
        first = keys.get(once.key) if keys is not None else None
        if first is None or now_ms - first.at_ms >= KEEP_MS:
            return False
        return first.position if first.content == once.content else True

    def keep(self, topic: Topic, once: Idempotency, position: Position, now_ms: float) -> None:
        """Store the position that was published under a key."""
        keys = self._shards.setdefault(shard_of(topic), OrderedDict())
        keys.pop(once.key, None)  # an expired one moves to the end
        keys[once.key] = _First(now_ms, once.content, position)
        while len(keys) > MAX_KEYS or now_ms - next(iter(keys.values())).at_ms >= KEEP_MS:
            keys.popitem(last=False)
