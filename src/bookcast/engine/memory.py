"""The engine of a single node: everything in this process's memory, gone when it ends."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Final

from bookcast.engine.base import Engine, EngineStatus, Head, all_published
from bookcast.engine.history import History
from bookcast.engine.idempotency import KeyStore
from bookcast.model import Gone, Position, Publication, Topic, Update, is_lossless

logger = logging.getLogger(__name__)

PAGE: Final = 1000
"""Topics that are listed before others have their turn."""


class MemoryEngine(Engine):
    """Keeps the newest update per topic. Its epoch is new each time the process starts.

    A topic whose feed lost some of it gets one of its own.

    ``clock`` gives seconds since 1970. Where every update counts, it keeps ``history_size``.
    """

    waits = False

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        epoch: str | None = None,
        history_size: int = 1000,
    ) -> None:
        super().__init__()
        self._clock = clock
        self._history_size = history_size
        self._histories: dict[Topic, History] = {}
        self._epoch = epoch or f"m-{secrets.token_hex(4)}"
        self._breaks = 0
        self._newest: dict[Topic, Update] = {}
        self._delivering: set[Topic] = set()
        self._keys = KeyStore()
        self._gone: dict[Topic, Gone] = {}
        # In which epoch topics begin that were removed.
        self._removed_at: dict[Topic, str] = {}

    async def publish(
        self,
        publications: Sequence[Publication],
        *,
        fence: int | None = None,  # noqa: ARG002 - nobody else could run the feed
    ) -> list[Position]:
        """Return positions in the order given; never waits.

        Raises:
            KeyConflictError: when a key was used before for something else; the rest is published.
        """
        positions: list[Position | None] = []
        server_ms = round(self._clock() * 1000, 3)
        for topic, data, exchange_ms, feed_ms, past, resumes, once in publications:
            if once is not None and (known := self._keys.find(topic, once, server_ms)):
                positions.append(known if isinstance(known, Position) else None)
                continue
            previous = self._newest.get(topic)
            if previous is None:
                position = Position(self._removed_at.pop(topic, self._epoch), 1)
            else:
                epoch, seq = previous.position.epoch, previous.position.seq + 1
                position = Position(self._next_epoch() if resumes else epoch, seq)
            update = Update(topic, position, data, server_ms, exchange_ms, feed_ms, past)
            self._newest[topic] = update
            positions.append(position)
            if once is not None:
                self._keys.keep(topic, once, position, server_ms)
            if is_lossless(data):
                self._remember(update)
            if topic in self._delivering:
                self._deliver(update)
            elif logger.isEnabledFor(logging.DEBUG):
                logger.debug("%s seq %d: kept, nobody wants it now", topic, position.seq)
        return all_published(positions)

    def _next_epoch(self) -> str:
        self._breaks += 1
        return f"{self._epoch}-{self._breaks}"

    async def snapshot(self, topic: Topic) -> Update | None:
        """Give the newest update of a topic, None when there was none."""
        return self._newest.get(topic)

    def gone(self, topic: Topic) -> Gone | None:
        """Return whether the publisher of what is newest is gone."""
        return self._gone.get(topic)

    async def abandon(self, places: Mapping[Topic, Position], reason: str) -> None:
        """Note whose publisher is gone."""
        for topic, position in places.items():
            newest = self._newest.get(topic)
            if newest is not None and newest.position == position:
                self._gone[topic] = Gone(position, reason)

    async def remove(self, topic: Topic) -> bool:
        """Forget a topic. What is published next begins a new epoch."""
        self._histories.pop(topic, None)
        self._gone.pop(topic, None)
        newest = self._newest.pop(topic, None)
        if newest is None:
            return False
        self._removed_at[topic] = self._next_epoch()
        self._removed(topic)
        return True

    async def past(self, topic: Topic) -> Sequence[Update]:
        """Give what is known of a topic, oldest first."""
        return self._past(topic)

    def _past(self, topic: Topic) -> list[Update]:
        history = self._histories.get(topic)
        past = list(history.updates) if history is not None else []
        newest = self._newest.get(topic)
        if newest is not None and (not past or past[-1] is not newest):
            past.append(newest)
        return past

    def want(self, topic: Topic) -> None:
        """Deliver what is known at once, and each update from now on."""
        self._delivering.add(topic)
        for update in self._past(topic):
            self._deliver(update)
        self._wanted(topic)

    def want_to_read(self, topic: Topic) -> None:
        """Deliver each update from now on, which reads alone want."""
        self._delivering.add(topic)
        self._wanted_to_read(topic)

    def release(self, topic: Topic) -> None:
        """Deliver this topic no more."""
        self._delivering.discard(topic)
        self._unwanted(topic)

    def newest(self) -> list[Update]:
        """Give the newest update of every topic that has one."""
        return list(self._newest.values())

    def __contains__(self, topic: Topic) -> bool:
        """Tell whether anything was published of a topic."""
        return topic in self._newest

    async def pages(self) -> AsyncIterator[Sequence[Head]]:
        """Return where every topic stands that has an update, some at a time."""
        known = list(self._newest.values())
        for at in range(0, len(known), PAGE):
            page = known[at : at + PAGE]
            yield [Head(one.topic, one.position, one.server_ms) for one in page]
            await asyncio.sleep(0)  # others have their turn

    async def count_topics(self) -> int:
        """Count the topics."""
        return len(self._newest)

    async def unknown(self, topics: Collection[Topic]) -> set[Topic]:
        """Return the topics of which nothing was ever published."""
        return {topic for topic in topics if topic not in self._newest}

    def _remember(self, update: Update) -> None:
        history = self._histories.get(update.topic)
        if history is None:
            history = self._histories[update.topic] = History(self._history_size)
        history.append(update)
        history.trim()

    def status(self) -> EngineStatus:
        """Memory is always there."""
        return EngineStatus(kind="memory", state="connected", topics=len(self._newest))
