"""Reads the positions of topics in Redis, and the notes beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from bookcast.backplane.link import Link
from bookcast.backplane.names import shard_of
from bookcast.model.topics import Topic
from bookcast.model.updates import Position


class NotedPosition(NamedTuple):
    """A topic's position in Redis, None if it has none; and the note beside it, or ""."""

    position: Position | None
    note: str


async def read_heads(link: Link, topics: Iterable[Topic]) -> Mapping[Topic, NotedPosition]:
    """Return the positions of topics, with one call per shard.

    Raises:
        EngineAwayError: when Redis can't be asked.
    """
    shards: dict[int, list[Topic]] = {}
    for topic in topics:
        shards.setdefault(shard_of(topic), []).append(topic)
    answers = await asyncio.gather(
        *(
            link.call("heads", [link.keys.topic(topic).state for topic in of_shard])
            for of_shard in shards.values()
        )
    )
    return {
        topic: NotedPosition(Position(epoch.decode(), int(seq)) if epoch else None, note.decode())
        for of_shard, answer in zip(shards.values(), answers, strict=True)
        for topic, epoch, seq, note in zip(
            of_shard, answer[::3], answer[1::3], answer[2::3], strict=True
        )
    }
