"""The engine of a single node. It stores everything in memory, so all is lost when it ends."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Final

from bookcast.engine.base import Engine, EngineStatus, Head, all_published
from bookcast.engine.idempotency import KeyStore
from bookcast.engine.interests import Interest, Interests, Want
from bookcast.model.topic_log import LogRules, TopicLog
from bookcast.model.topics import Topic
from bookcast.model.updates import Position, Publication, PublisherGone, Update

logger = logging.getLogger(__name__)

PAGE: Final = 1000
"""So many topics are listed before other tasks get a turn on the event loop."""


class MemoryEngine(Engine):
    """Stores the log of each published topic. Its epoch is new each time the process starts.

    A topic begins another epoch when its feed lost updates.

    Args:
        clock: seconds since 1970.
        epoch: the epoch of new topics; None: a random one.
        rules: the bounds of the logs.
        log_of: returns or makes the log of a topic; None: the engine makes all logs.
        interests: counts who wants a topic; None: the engine counts its own.
    """

    waits = False

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        epoch: str | None = None,
        rules: LogRules | None = None,
        log_of: Callable[[Topic], TopicLog] | None = None,
        interests: Interests | None = None,
    ) -> None:
        super().__init__()
        self._clock = clock
        self._log_of = log_of or (rules or LogRules()).log_of
        self._interests = interests or Interests(self._find_log, self._on_change)
        self._epoch = epoch or f"m-{secrets.token_hex(4)}"
        self._breaks = 0
        # The logs of topics that were published here.
        self._logs: dict[Topic, TopicLog] = {}
        self._keys = KeyStore()
        self._gone: dict[Topic, PublisherGone] = {}
        # The epoch in which a removed topic begins when it is published again.
        self._removed_at: dict[Topic, str] = {}

    async def publish(
        self,
        publications: Sequence[Publication],
        *,
        fence: int | None = None,  # noqa: ARG002 - no other node could run the feed
    ) -> list[Position]:
        """Return the positions in the order of the publications. It never waits.

        Raises:
            KeyConflictError: when a key was used before for other content; the rest is published.
        """
        positions: list[Position | None] = []
        server_ms = round(self._clock() * 1000, 3)
        for topic, data, exchange_ms, feed_ms, backfill, breaks, once in publications:
            if once is not None and (known := self._keys.find(topic, once, server_ms)):
                positions.append(known if isinstance(known, Position) else None)
                continue
            log = self._logs.get(topic)
            if log is None or log.newest is None:
                log = self._logs[topic] = self._interests.log(topic) or self._log_of(topic)
                position = Position(self._removed_at.pop(topic, self._epoch), 1)
            else:
                epoch, seq = log.newest.position.epoch, log.newest.position.seq + 1
                position = Position(self._next_epoch() if breaks else epoch, seq)
            log.append(Update(topic, position, data, server_ms, exchange_ms, feed_ms, backfill))
            positions.append(position)
            if once is not None:
                self._keys.keep(topic, once, position, server_ms)
            if topic in self._interests:
                self._notice(log)
            else:
                log.flush_unread()
                if logger.isEnabledFor(logging.DEBUG):
                    logger.debug(
                        "%s seq %d: stored, nobody wants this topic now", topic, position.seq
                    )
        return all_published(positions)

    def _find_log(self, topic: Topic) -> TopicLog:
        return self._logs.get(topic) or self._log_of(topic)

    def _on_change(self, topic: Topic, want: Want | None) -> None:
        if want == "subscribed":
            self._wanted(topic)
        elif want == "read":
            self._wanted_to_read(topic)
        else:
            self._unwanted(topic)

    def _next_epoch(self) -> str:
        self._breaks += 1
        return f"{self._epoch}-{self._breaks}"

    async def snapshot(self, topic: Topic) -> Update | None:
        """Return the newest update of a topic, None when there was none."""
        log = self._logs.get(topic)
        return log.newest if log is not None else None

    def gone(self, topic: Topic) -> PublisherGone | None:
        """Return the note that the publisher of the newest update is gone, or None."""
        return self._gone.get(topic)

    async def abandon(self, places: Mapping[Topic, Position], reason: str) -> None:
        """Note that the publisher of the updates at these positions is gone."""
        for topic, position in places.items():
            newest = await self.snapshot(topic)
            if newest is not None and newest.position == position:
                self._gone[topic] = PublisherGone(position, reason)

    async def remove(self, topic: Topic) -> bool:
        """Remove a topic. Its next publication begins a new epoch."""
        self._gone.pop(topic, None)
        log = self._logs.pop(topic, None)
        if log is None:
            return False
        log.clear()
        self._removed_at[topic] = self._next_epoch()
        self._removed(topic)
        return True

    async def past(self, topic: Topic) -> Sequence[Update]:
        """Return the stored updates of a topic, oldest first."""
        log = self._logs.get(topic)
        return log.past() if log is not None else []

    def open(self, topics: Sequence[Topic]) -> Sequence[Interest]:
        """Open an interest in each topic. Their logs have the stored updates already."""
        return [self._interests.open(topic) for topic in topics]

    def open_now(self, topic: Topic, *, reads: bool = False) -> Interest:
        """Open an interest in a topic. ``reads``: for reads over HTTP, not for a subscriber."""
        return self._interests.open(topic, reads=reads)

    def want(self, topic: Topic) -> Want | None:
        """Return what wants a topic, or None."""
        return self._interests.want(topic)

    def newest(self) -> list[Update]:
        """Return the newest update of every topic that has one."""
        return [log.newest for log in self._logs.values() if log.newest is not None]

    def log(self, topic: Topic) -> TopicLog | None:
        """Return the log of a topic; None if it was never published here."""
        return self._logs.get(topic)

    def __contains__(self, topic: Topic) -> bool:
        """Return whether a topic was published."""
        return topic in self._logs

    async def pages(self) -> AsyncIterator[Sequence[Head]]:
        """Return the newest position of every topic that has an update, :data:`PAGE` at a time."""
        known = self.newest()
        for at in range(0, len(known), PAGE):
            page = known[at : at + PAGE]
            yield [Head(one.topic, one.position, one.server_ms) for one in page]
            await asyncio.sleep(0)  # other tasks get a turn

    async def count_topics(self) -> int:
        """Return the number of topics."""
        return len(self._logs)

    async def unknown(self, topics: Collection[Topic]) -> set[Topic]:
        """Return those of the given topics that were never published."""
        return {topic for topic in topics if topic not in self._logs}

    def status(self) -> EngineStatus:
        """Return the engine's state: memory is never away."""
        return EngineStatus(kind="memory", state="connected", topics=len(self._logs))
