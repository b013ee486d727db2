"""What was published under idempotency keys, so that a retry gets the first answer."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from bookcast.backplane.names import shard_of
from bookcast.model.topics import Topic
from bookcast.model.updates import Idempotency, Position

KEEP_MS: Final = 600_000
"""A key is kept for so long, 10 minutes,"""

MAX_KEYS: Final = 10_000
"""and so many of one shard; then the oldest make room."""


class _First(NamedTuple):
    at_ms: float
    content: bytes
    position: Position


class KeyStore:
    """Keeps the keys of one node; several nodes keep theirs in Redis, by the same rules."""

    def __init__(self) -> None:
        self._shards: dict[int, OrderedDict[bytes, _First]] = {}

    def find(self, topic: Topic, once: Idempotency, now_ms: float) -> Position | bool:
        """Return where it was published before.

        False: it wasn't, as far as is known; True: something else was, under the same key.
        """
        keys = self._shards.get(shard_of(topic))
        first = keys.get(once.key) if keys is not None else None
        if first is None or now_ms - first.at_ms >= KEEP_MS:
            return False
        return first.position if first.content == once.content else True

    def keep(self, topic: Topic, once: Idempotency, position: Position, now_ms: float) -> None:
        """Note where something was published."""
        keys = self._shards.setdefault(shard_of(topic), OrderedDict())
        keys.pop(once.key, None)  # an old one, which begins anew
        keys[once.key] = _First(now_ms, once.content, position)
        while len(keys) > MAX_KEYS or now_ms - next(iter(keys.values())).at_ms >= KEEP_MS:
            keys.popitem(last=False)
