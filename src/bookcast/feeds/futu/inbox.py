"""The bounded queue of data from OpenD that the engine hasn't taken yet."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from bookcast.model.topics import Topic
from bookcast.model.updates import Publication

logger = logging.getLogger(__name__)

MAX_EVENTS: Final = 20_000
"""The maximum number of waiting trades and candles."""

Decode = Callable[[Topic, Any, float], Publication | None]
"""Decodes a message of OpenD into a publication. It is called only for messages to publish."""


class Inbox:
    """Queues messages until they are published: the newest of each state, and all events.

    A state (a book, a quote) is decoded only when it is taken. So one that is replaced before that
    costs almost nothing.
    """

    def __init__(self) -> None:
        self._states: dict[Topic, tuple[Decode, Any, float]] = {}
        self._events: list[Publication] = []
        self._arrived = asyncio.Event()
        self._complained: set[str] = set()

    def put(self, topic: Topic, decode: Decode, message: Any, received_ms: float) -> None:
        """Queue a state. It replaces a waiting one of its topic."""
        self._states[topic] = decode, message, received_ms
        self._arrived.set()

    def append(self, events: Sequence[Publication]) -> bool:
        """Queue events. Return False, and queue none, when there is no room for all."""
        if len(self._events) + len(events) > MAX_EVENTS:
            return False
        self._events += events
        if events:
            self._arrived.set()
        return True

    async def take(self) -> list[Publication]:
        """Wait until something is queued, and return all of it, decoded."""
        await self._arrived.wait()
        self._arrived.clear()
        states, self._states = self._states, {}
        taken, self._events = self._events, []
        for topic, (decode, message, received_ms) in states.items():
            try:
                publication = decode(topic, message, received_ms)
            except Exception:
                # Logged once per channel: such messages may come many times a second.
                if topic.channel not in self._complained:
                    self._complained.add(topic.channel)
                    logger.exception("%s of OpenD can't be decoded", topic)
                continue
            if publication is not None:
                taken.append(publication)
        return taken
