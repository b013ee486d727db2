"""Limits how many topics may be published, by all nodes together."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from bookcast.engine.base import Engine
from bookcast.errors import InvalidInput
from bookcast.model.topics import Topic

NEAR: Final = 0.1
NEAR_TOPICS: Final = 1000
"""Near the limit, topics are counted again: with less room than this part of it, or this many."""


class TopicLimit:
    """Limits the number of topics; ``limit`` 0: no limit.

    Far from the limit, a count that is some seconds old is enough. Near it, topics are counted
    exactly, and publications with new topics wait for each other.
    """

    def __init__(self, engine: Engine, limit: int) -> None:
        self._engine = engine
        self._limit = limit
        self._lock = asyncio.Lock()
        # Topics that are being published without an exact count, and how many such calls have
        # ended.
        self._passing: Counter[Topic] = Counter()
        self._passed = 0

    def is_near(self, more: int) -> bool:
        """Return whether the limit is near when so many more topics are published."""
        if not self._limit:
            return False
        known = self._engine.status().topics + self._passing.total()
        return known + more > self._limit - max(self._limit * NEAR, NEAR_TOPICS)

    @contextmanager
    def passing(self, topics: Collection[Topic]) -> Iterator[None]:
        """Note that topics are being published, far from the limit."""
        if not self._limit:
            yield
            return
        self._passing.update(topics)
        try:
            yield
        finally:
            self._passing -= Counter(topics)
            self._passed += 1

    @asynccontextmanager
    async def holding(self, topics: Collection[Topic]) -> AsyncIterator[dict[Topic, InvalidInput]]:
        """Yield the topics that may not be published, with their refusals.

        Until the end, no other publication of this node takes the room. Topics that were published
        before are always allowed.
        """
        if not await self._engine.unknown(topics):
            yield {}
            return
        async with self._lock:
            new, room = await self._count(topics)
            yield {topic: self._refusal() for topic in new[max(0, room) :]}

    async def _count(self, topics: Collection[Topic]) -> tuple[list[Topic], int]:
        """Return the new topics, in their order, and for how many topics there is room."""
        while True:
            before, passing = self._passed, set(self._passing)
            unknown = await self._engine.unknown({*topics, *passing})
            count = await self._engine.count_topics()
            if self._passed == before:  # else a publication ended meanwhile: was it counted?
                new = [topic for topic in topics if topic in unknown and topic not in passing]
                return new, self._limit - count - len(unknown & passing)

    def _refusal(self) -> InvalidInput:
        return InvalidInput(
            "too_many_topics",
            f"There are {self._limit} topics already, MAX_PUBLISHED_TOPICS; nothing of this one "
            "was published",
        )
