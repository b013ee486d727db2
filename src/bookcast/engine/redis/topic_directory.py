"""Lists the topics in Redis, a page at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Final

from bookcast.backplane.link import Link
from bookcast.backplane.names import SHARDS, topic_of
from bookcast.engine.base import Head
from bookcast.engine.redis.heads import read_heads
from bookcast.model.topics import Topic
from bookcast.model.updates import Position

PAGE: Final = 300
"""So many topics are read by one call. More would block Redis or this process for too long."""


class Directory:
    """Reads the names and positions of topics. Its async methods raise EngineAwayError."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.known = 0
        """How many topics Redis has, as far as this node knows."""

    def note(self, positions: Sequence[Position | None]) -> None:
        """Count new topics: those whose published position is the first, with seq 1."""
        self.known += sum(one is not None and one.seq == 1 for one in positions)

    async def pages(self) -> AsyncIterator[list[Head]]:
        """Yield the positions of all topics, a page at a time."""
        found = 0
        for shard in range(SHARDS):
            cursor = b"0"
            while True:
                cursor, answer = await self._link.call(
                    "directory",
                    [self._link.keys.directory(shard)],
                    [self._link.keys.topic_prefix(shard), cursor, PAGE],
                )
                page = _heads(answer)
                found += len(page)
                yield page
                if cursor == b"0":
                    break
        self.known = found

    async def count(self) -> int:
        """Return the number of topics."""
        sizes = await asyncio.gather(
            *(
                self._link.call("directory_size", [self._link.keys.directory(shard)])
                for shard in range(SHARDS)
            )
        )
        self.known = sum(sizes)
        return self.known

    async def unknown(self, topics: Collection[Topic]) -> set[Topic]:
        """Return those of the given topics that were never published."""
        heads = await read_heads(self._link, topics)
        return {topic for topic, (position, _) in heads.items() if position is None}


def _heads(answer: list[bytes]) -> list[Head]:
    heads = []
    for at in range(0, len(answer), 4):
        name, epoch, seq, server_ms = (one.decode() for one in answer[at : at + 4])
        heads.append(Head(topic_of(name), Position(epoch, int(seq)), float(server_ms)))
    return heads
