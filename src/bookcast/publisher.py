"""How a publication from outside gets into the engine: over HTTP, a socket or in process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from bookcast.auth.principal import EVERYTHING, Rights
from bookcast.engine.base import Engine
from bookcast.errors import InvalidInput
from bookcast.hub.hub import Hub
from bookcast.model import Position, Publication, Topic
from bookcast.protocol.published import Rules, parse_publication
from bookcast.protocol.shapes import PublishedUpdate
from bookcast.topic_room import TopicRoom

logger = logging.getLogger(__name__)


MAX_SHOWN: Final = 200
"""Characters of a refusal that the log shows: it may quote what the publisher sent."""


class Published(msgspec.Struct, frozen=True):
    """A publication's place. ``subscribers`` are those of this node."""

    status: str
    symbol: str
    epoch: str
    seq: int
    subscribers: int


class Publisher:
    """Checks what publishers send, hands it to the engine, and counts.

    ``max_topics`` may be published, 0: no limit. ``now`` gives seconds since 1970.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        hub: Hub,
        rules: Rules,
        max_topics: int = 0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._room = TopicRoom(engine, max_topics)
        self._hub = hub
        self._rules = rules
        self._now = now
        self.refused = 0
        """Publications refused since the start."""

    async def publish(
        self,
        channel: str,
        symbol: str,
        source: Any,
        *,
        period: str | None = None,
        rights: Rights = EVERYTHING,
    ) -> Published:
        """Publish one update; ``source`` is JSON text as bytes, or what a JSON reader gives.

        Raises:
            InvalidInput: with the path of the wrong field; then nothing was published.
        """
        try:
            publication = self._parse(channel, symbol, source, period, rights)
        except InvalidInput as error:
            self.refuse(error)
            raise
        [outcome] = await self._commit([publication])
        if isinstance(outcome, InvalidInput):
            raise outcome
        position = outcome
        subscribers = self._note(publication.topic, position)
        return Published("ok", symbol, position.epoch, position.seq, subscribers)

    async def publish_all(
        self, updates: Sequence[PublishedUpdate], rights: Rights = EVERYTHING
    ) -> list[Position | InvalidInput]:
        """Publish updates in order, and give the place of each, or what is wrong with it.

        Raises:
            InvalidInput: when none could be published, since the engine is away.
        """
        outcomes: list[Position | InvalidInput | None] = []
        publications: list[Publication] = []
        for update in updates:
            try:
                publications.append(
                    self._parse(
                        update.channel, update.symbol, bytes(update.data), update.period, rights
                    )
                )
            except InvalidInput as error:
                self.refuse(error)
                outcomes.append(error)
            else:
                outcomes.append(None)
        committed = iter(await self._commit(publications))
        logger.debug("%d updates published together", len(publications))
        return [next(committed) if outcome is None else outcome for outcome in outcomes]

    async def _commit(self, publications: Sequence[Publication]) -> list[Position | InvalidInput]:
        if self._room.is_near(len(publications)):
            return await self._commit_fitting(publications)
        with self._room.passing([one.topic for one in publications]):
            return [*await self._publish(publications)]

    async def _commit_fitting(
        self, publications: Sequence[Publication]
    ) -> list[Position | InvalidInput]:
        """Publish those for whose topics there is room."""
        async with self._room.holding(
            list(dict.fromkeys(one.topic for one in publications))
        ) as refused:
            fitting = [one for one in publications if one.topic not in refused]
            positions = iter(await self._publish(fitting) if fitting else ())
        outcomes: list[Position | InvalidInput] = []
        for one in publications:
            refusal = refused.get(one.topic)
            if refusal is not None:
                self.refuse(refusal)
            outcomes.append(next(positions) if refusal is None else refusal)
        return outcomes

    async def _publish(self, publications: Sequence[Publication]) -> list[Position]:
        try:
            return await self._engine.publish(publications)
        except InvalidInput as error:
            self.refuse(error)
            raise

    def refuse(self, error: InvalidInput) -> None:
        """Note that a publication was refused, for instance before it came to the data in it."""
        self.refused += 1
        logger.debug("publication refused: %s", error.message[:MAX_SHOWN])

    def _parse(
        self, channel: str, symbol: str, source: Any, period: str | None, rights: Rights
    ) -> Publication:
        now_ms = round(self._now() * 1000, 3)
        rights.check("publish")
        publication = parse_publication(
            channel, symbol, source, rules=self._rules, now_ms=now_ms, period=period
        )
        rights.check("publish", publication.topic)
        return publication

    def _note(self, topic: Topic, position: Position) -> int:
        subscribers = self._hub.subscriber_count(topic)
        logger.debug("%s seq %d published, %d want it here", topic, position.seq, subscribers)
        return subscribers
