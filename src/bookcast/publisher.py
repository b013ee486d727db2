"""How a publication from outside gets into the engine: over HTTP, a socket or in process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final

import msgspec

from bookcast.auth.principal import EVERYTHING, Rights
from bookcast.engine.base import Engine, KeyConflictError
from bookcast.engine.work import Work
from bookcast.errors import LOGGED_BY_GATE, InvalidInput
from bookcast.hub.hub import Hub
from bookcast.model import Position, Publication, Topic
from bookcast.protocol.idempotency import HEADER, once
from bookcast.protocol.published import Rules, parse_publication
from bookcast.protocol.shapes import PublishedUpdate

logger = logging.getLogger(__name__)


GONE: Final = "the connection of its publisher is gone"
"""Why a topic is stale that nobody has published to since."""


PATIENCE_SECONDS: Final = 1.0
"""How long the end of a node waits until that is told."""


class Published(msgspec.Struct, frozen=True):
    """A publication's place. ``subscribers`` are those of this node."""

    status: str
    symbol: str
    epoch: str
    seq: int
    subscribers: int


class Publisher:
    """Checks what publishers send, hands it to the engine, and counts.

    ``now`` gives seconds since 1970.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        hub: Hub,
        rules: Rules,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._hub = hub
        self._rules = rules
        self._now = now
        # What each source that may be lost has published last.
        self._sources: dict[Hashable, dict[Topic, Position]] = {}
        self._work = Work()
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
        key: str | None = None,
        principal: str = "",
    ) -> Published:
        """Publish one update; ``source`` is JSON text as bytes, or what a JSON reader gives.

        ``key``: under which the ``principal`` may send it again; then it gets the first answer.

        Raises:
            InvalidInput: with the path of the wrong field; then nothing was published.
        """
        try:
            publication = self._parse(channel, symbol, source, period, rights)
            if key is not None:
                again = once(key, principal, publication.topic, source, path=HEADER)
                publication = publication._replace(once=again)
        except InvalidInput as error:
            self.refuse(error)
            raise
        [position] = await self._commit([publication], path=HEADER)
        if isinstance(position, InvalidInput):
            raise position
        subscribers = self._note(publication.topic, position)
        return Published("ok", symbol, position.epoch, position.seq, subscribers)

    async def publish_all(
        self,
        updates: Sequence[PublishedUpdate],
        rights: Rights = EVERYTHING,
        principal: str = "",
        source: Hashable | None = None,
    ) -> list[Position | InvalidInput]:
        """Publish updates in order, and give the place of each, or what is wrong with it.

        One whose idempotency key the ``principal`` used before gets the place that it got then.
        ``source``: what they come from, if it can be lost; see :meth:`lose`.

        Raises:
            InvalidInput: when none could be published, since the engine is away.
        """
        outcomes: list[Position | InvalidInput | None] = []
        publications: list[Publication] = []
        for update in updates:
            try:
                data = bytes(update.data)
                one = self._parse(update.channel, update.symbol, data, update.period, rights)
                if (key := update.idempotency_key) is not None:
                    again = once(key, principal, one.topic, data, path="idempotency_key")
                    one = one._replace(once=again)
                publications.append(one)
            except InvalidInput as error:
                self.refuse(error)
                outcomes.append(error)
            else:
                outcomes.append(None)
        found = await self._commit(publications)
        if source is not None:
            self._sources.setdefault(source, {}).update(
                (one.topic, position)
                for one, position in zip(publications, found, strict=True)
                if isinstance(position, Position)
            )
        positions = iter(found)
        logger.debug("%d updates published together", len(publications))
        return [next(positions) if outcome is None else outcome for outcome in outcomes]

    def lose(self, source: Hashable) -> None:
        """Let subscribers hear that a source is gone, where nobody has published since."""
        places = self._sources.pop(source, None)
        if places:
            self._work.begin(self._engine.abandon(places, GONE), "abandons topics")

    async def close(self) -> None:
        """End, after telling that what is lost by now is gone."""
        await self._work.end(PATIENCE_SECONDS)

    async def _commit(
        self, publications: Sequence[Publication], *, path: str = "idempotency_key"
    ) -> Sequence[Position | InvalidInput]:
        try:
            return await self._engine.publish(publications)
        except KeyConflictError as conflict:
            return [self._conflict(path) if one is None else one for one in conflict.positions]
        except InvalidInput as error:
            self.refuse(error)
            raise

    def _conflict(self, path: str) -> InvalidInput:
        error = InvalidInput(
            "idempotency_conflict",
            "This idempotency key was used before for other data of this topic; take a new key for "
            "each publication, and the same one only to send it again",
            path=path,
        )
        self.refuse(error)
        return error

    def refuse(self, error: InvalidInput) -> None:
        """Note that a publication was refused, for instance before it came to the data in it."""
        self.refused += 1
        level = logging.DEBUG if error.code in LOGGED_BY_GATE else logging.INFO
        logger.log(level, "publication refused: %s", error.message)

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
