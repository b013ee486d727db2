"""The engine of a single node: everything in this process's memory, gone when it ends."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Sequence

from bookcast.engine.base import Engine, EngineStatus
from bookcast.model import Position, Publication, Topic, Update

logger = logging.getLogger(__name__)


class MemoryEngine(Engine):
    """Keeps the newest update per topic. Its epoch is new each time the process starts.

    ``clock`` gives seconds since 1970.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time, epoch: str | None = None) -> None:
        super().__init__()
        self._clock = clock
        self._epoch = epoch or f"m-{secrets.token_hex(4)}"
        self._newest: dict[Topic, Update] = {}
        self._delivering: set[Topic] = set()

    async def publish(self, publications: Sequence[Publication]) -> list[Position]:
        """Give positions in the order given; never fails and never waits."""
        positions = []
        server_ms = self._clock() * 1000
        for topic, data in publications:
            previous = self._newest.get(topic)
            position = Position(self._epoch, previous.position.seq + 1 if previous else 1)
            update = Update(topic, position, data, server_ms)
            self._newest[topic] = update
            positions.append(position)
            if topic in self._delivering:
                self._deliver(update)
            elif logger.isEnabledFor(logging.DEBUG):
                logger.debug("%s seq %d: kept, nobody wants it now", topic, position.seq)
        return positions

    async def snapshot(self, topic: Topic) -> Update | None:
        """Give the newest update of a topic, None when there was none."""
        return self._newest.get(topic)

    def want(self, topic: Topic) -> None:
        """Deliver the newest update at once, and each one from now on."""
        self._delivering.add(topic)
        newest = self._newest.get(topic)
        if newest is not None:
            self._deliver(newest)
        self._wanted(topic)

    def release(self, topic: Topic) -> None:
        """Deliver this topic no more."""
        self._delivering.discard(topic)
        self._unwanted(topic)

    async def newest(self) -> Sequence[Update]:
        """Give the newest update of every topic that has one."""
        return list(self._newest.values())

    def status(self) -> EngineStatus:
        """Memory is always there."""
        return EngineStatus(kind="memory", state="connected", topics=len(self._newest))
