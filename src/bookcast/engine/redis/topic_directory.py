"""Which topics there are in Redis, read a page at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Final

from bookcast.backplane.link import Link
from bookcast.backplane.names import SHARDS, shard_of, topic_of
from bookcast.engine.base import Head
from bookcast.model.topics import Topic
from bookcast.model.updates import Position

PAGE: Final = 300
"""Topics that one call asks for: neither Redis nor this process is held up by more."""


class Directory:
    """Reads the names of topics and where they stand. Every method raises EngineAwayError."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.known = 0
        """How many topics there are, as far as this node has heard."""

    def note(self, positions: Sequence[Position | None]) -> None:
        """Note what was published: topics are new whose first update that is."""
        self.known += sum(one is not None and one.seq == 1 for one in positions)

    async def pages(self) -> AsyncIterator[list[Head]]:
        """Read where all topics stand, some at a time."""
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
        """Count the topics."""
        sizes = await asyncio.gather(
            *(
                self._link.call("directory_size", [self._link.keys.directory(shard)])
                for shard in range(SHARDS)
            )
        )
        self.known = sum(sizes)
        return self.known

    async def unknown(self, topics: Collection[Topic]) -> set[Topic]:
        """Return those of some topics of which nothing was ever published."""
        shards: dict[int, list[Topic]] = {}
        for topic in topics:
            shards.setdefault(shard_of(topic), []).append(topic)
        answers = await asyncio.gather(
            *(
                self._link.call("heads", [self._link.keys.topic(topic).state for topic in of_shard])
                for of_shard in shards.values()
            )
        )
        return {
            topic
            for of_shard, answer in zip(shards.values(), answers, strict=True)
            for topic, epoch in zip(of_shard, answer[::3], strict=True)
            if not epoch
        }


def _heads(answer: list[bytes]) -> list[Head]:
    heads = []
    for at in range(0, len(answer), 4):
        name, epoch, seq, server_ms = (one.decode() for one in answer[at : at + 4])
        heads.append(Head(topic_of(name), Position(epoch, int(seq)), float(server_ms)))
    return heads
