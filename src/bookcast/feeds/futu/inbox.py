"""What OpenD sent and the engine hasn't taken yet: bounded, whatever either of them does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from bookcast.model.topics import Topic
from bookcast.model.updates import Publication

logger = logging.getLogger(__name__)

MAX_EVENTS: Final = 20_000
"""So many trades and candles wait at most."""

Decode = Callable[[Topic, Any, float], Publication | None]
"""Makes a publication of a message of OpenD's; called only for messages that get published."""


class Inbox:
    """Carries messages to where they are published: of each state the newest, of events all.

    A state (a book, a quote) is decoded when its turn comes: those that a newer one replaced cost
    next to nothing.
    """

    def __init__(self) -> None:
        self._states: dict[Topic, tuple[Decode, Any, float]] = {}
        self._events: list[Publication] = []
        self._arrived = asyncio.Event()
        self._complained: set[str] = set()

    def put(self, topic: Topic, decode: Decode, message: Any, received_ms: float) -> None:
        """Leave a state, in place of an older one of its topic."""
        self._states[topic] = decode, message, received_ms
        self._arrived.set()

    def append(self, events: Sequence[Publication]) -> bool:
        """Leave events behind those that wait; False when there is no room for them."""
        if len(self._events) + len(events) > MAX_EVENTS:
            return False
        self._events += events
        if events:
            self._arrived.set()
        return True

    async def take(self) -> list[Publication]:
        """Wait until there is something, and take all of it."""
        await self._arrived.wait()
        self._arrived.clear()
        states, self._states = self._states, {}
        taken, self._events = self._events, []
        for topic, (decode, message, received_ms) in states.items():
            try:
                publication = decode(topic, message, received_ms)
            except Exception:
                # Once a channel: what can't be decoded comes many times a second.
                if topic.channel not in self._complained:
                    self._complained.add(topic.channel)
                    logger.exception("%s of OpenD can't be decoded", topic)
                continue
            if publication is not None:
                taken.append(publication)
        return taken
