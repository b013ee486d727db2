"""The newest states that this node published. It publishes them again when Redis lost them."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Final, NamedTuple

from bookcast.engine.redis.gap_detector import is_news
from bookcast.engine.redis.log_sync import LogSync
from bookcast.engine.redis.records import Unreadable, read
from bookcast.model.topics import Topic
from bookcast.model.updates import Position, Update

logger = logging.getLogger(__name__)

MAX_TOPICS: Final = 100_000
"""So many topics are stored. With more, those published longest ago are dropped."""

TOGETHER: Final = 200
"""So many states are published again in one step. Live updates get a turn after each step."""

AT_ONCE: Final = 1000
"""So many topics one audit compares with Redis; the next audit takes the next ones."""


class _State(NamedTuple):
    position: Position
    written: bytes


class PublishedStates:
    """Stores the encoded states, and compares them with Redis.

    It leaves topics that this node follows to :class:`LogSync`.

    Args:
        log_sync: reads the positions of topics in Redis.
        restore: publishes lost states again.
        grace: seconds for which other nodes may publish a missing state first; theirs may be newer.
    """

    def __init__(
        self,
        log_sync: LogSync,
        restore: Callable[[Sequence[Update]], Awaitable[None]],
        grace: float,
    ) -> None:
        self._grace = grace
        self._log_sync = log_sync
        self._restore = restore
        self._states: dict[Topic, _State] = {}
        self._missing_since: dict[Topic, float] = {}
        self._restoring = False

    def __len__(self) -> int:
        return len(self._states)

    def note(self, topic: Topic, position: Position, written: bytes) -> None:
        """Store a state that this node has published."""
        self._states.pop(topic, None)
        self._states[topic] = _State(position, written)
        if len(self._states) > MAX_TOPICS:
            self.forget(next(iter(self._states)))

    def forget(self, topic: Topic) -> None:
        """Forget a topic."""
        self._states.pop(topic, None)
        self._missing_since.pop(topic, None)

    async def audit(self, count: int = AT_ONCE) -> None:
        """Compare the next topics with Redis, and publish again the states that it lost.

        Raises:
            EngineAwayError: when Redis can't be asked.
        """
        if self._restoring:
            return
        self._restoring = True
        try:
            topics = list(dict.fromkeys([*self._missing_since, *islice(self._states, count)]))
            for at in range(0, len(topics), TOGETHER):
                await self._audit(topics[at : at + TOGETHER])
        finally:
            self._restoring = False

    async def audit_all(self) -> None:
        """Compare all topics: Redis may have lost everything."""
        await self.audit(len(self._states))

    async def _audit(self, topics: Sequence[Topic]) -> None:
        places = {topic: state.position for topic in topics if (state := self._states.get(topic))}
        heads = await self._log_sync.look(places)
        lost = []
        for topic, place in places.items():
            state = self._states.get(topic)
            if state is None or state.position != place:
                continue  # removed or published during the call
            head = heads[topic]
            if head is not None and is_news(head, place):
                self.forget(topic)  # another node has published since
                continue
            self.note(topic, *state)  # moves to the end: the others come first
            if self._is_missing(topic, place, head):
                found = read(topic, place, state.written)
                if not isinstance(found, Unreadable):
                    lost.append(found)
        if lost:
            logger.warning(
                "Redis has lost %d states of this node: they are published again", len(lost)
            )
            self._log_sync.given_back += len(lost)
            await self._restore(lost)

    def _is_missing(self, topic: Topic, place: Position, head: Position | None) -> bool:
        """Return whether Redis lost a state, and no follower published it again in time."""
        if (head is not None and not place.is_past(head)) or topic in self._log_sync.gap_detector:
            self._missing_since.pop(topic, None)
            return False
        now = time.monotonic()
        if now - self._missing_since.setdefault(topic, now) < self._grace:
            return False
        del self._missing_since[topic]
        return True
