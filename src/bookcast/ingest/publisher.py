"""The way of a publication into the engine: over HTTP, a socket or in process."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from bookcast.auth.principal import EVERYTHING, Rights
from bookcast.background import BackgroundTasks
from bookcast.engine.base import Engine, KeyConflictError
from bookcast.errors import InvalidInput
from bookcast.hub.hub import Hub
from bookcast.ingest.futu_api.read import no_symbol, read_vendor_form
from bookcast.ingest.idempotency_keys import HEADER, once
from bookcast.ingest.publication import Rules, parse_channel, parse_publication
from bookcast.ingest.python_input import plain
from bookcast.ingest.schemas import PublishedUpdate
from bookcast.ingest.topic_limit import TopicLimit
from bookcast.model.topics import Topic
from bookcast.model.updates import Position, Publication

logger = logging.getLogger(__name__)


GONE: Final = "the connection of its publisher is gone"
"""The reason for a stale topic whose last publisher's connection has ended."""


PATIENCE_SECONDS: Final = 1.0
"""How long a node that ends waits to notify subscribers that publishers are gone."""


MAX_SHOWN: Final = 200
"""Characters of a refusal that the log shows: it may quote the publisher's data."""


class Published(msgspec.Struct, frozen=True):
    """The position of a publication. ``subscribers``: how many this node has."""

    status: str
    symbol: str
    epoch: str
    seq: int
    subscribers: int


class Publisher:
    """Checks what publishers send, passes it to the engine, and counts refusals.

    Args:
        engine: publishes.
        hub: has the numbers of subscribers.
        rules: rules for everything that is published.
        max_topics: bound of published topics; 0: no limit.
        now: returns seconds since 1970.
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
        self._room = TopicLimit(engine, max_topics)
        self._hub = hub
        self._rules = rules
        self._now = now
        # The positions that each source (a connection that may be lost) published last, per topic.
        self._sources: dict[Hashable, dict[Topic, Position]] = {}
        self._work = BackgroundTasks()
        self.refused = 0
        """Number of publications refused since the start."""

    async def publish(
        self,
        channel: str,
        symbol: str | None,
        source: Any,
        *,
        period: str | None = None,
        rights: Rights = EVERYTHING,
        key: str | None = None,
        principal: str = "",
    ) -> Published:
        """Publish one update.

        Args:
            channel: the channel.
            symbol: None if the data come from futu-api and have the symbol as their ``code``.
            source: JSON text as bytes, or what a JSON reader returns.
            period: of a candle, unless the data have it.
            rights: the publisher's rights.
            key: the idempotency key. Sending again with the same key returns the first answer.
            principal: whose key it is.

        Returns:
            The position; of several rows that of the last one.

        Raises:
            InvalidInput: with the path of the wrong field; then nothing was published.
        """
        try:
            if not isinstance(source, bytes):
                is_book = parse_channel(channel) == "orderbook"
                code = "invalid_book" if is_book else "invalid_data"
                source = _read_in_process(source, code)
            publications = self._parse(channel, symbol, source, period, rights)
            if key is not None:
                publications = _once(publications, key, principal, source, path=HEADER)
        except InvalidInput as error:
            self.refuse(error)
            error.about(error.channel or channel, error.symbol or symbol)
            raise
        place = _last(await self._commit(publications, path=HEADER))
        if isinstance(place, InvalidInput):
            raise place
        topic = publications[-1].topic
        subscribers = self._note(topic, place)
        return Published("ok", symbol or topic.symbol, place.epoch, place.seq, subscribers)

    async def publish_all(
        self,
        updates: Sequence[PublishedUpdate | InvalidInput],
        rights: Rights = EVERYTHING,
        principal: str = "",
        source: Hashable | None = None,
    ) -> list[Position | InvalidInput]:
        """Publish updates in order. Return the position of each, or the error that refused it.

        Args:
            updates: the updates; one that couldn't be read is given as its error, and stays so.
            rights: the publisher's rights.
            principal: whose idempotency keys they have. An update with a key that was used before
                gets the position of the first time.
            source: the connection that they come from, if it can be lost; see :meth:`lose`.

        Raises:
            InvalidInput: nothing was published, because the engine is away.
        """
        parsed: list[list[Publication] | InvalidInput] = []
        for update in updates:
            if isinstance(update, InvalidInput):
                self.refuse(update)
                parsed.append(update)
                continue
            try:
                data = bytes(update.data)
                made = self._parse(update.channel, update.symbol, data, update.period, rights)
                if (key := update.idempotency_key) is not None:
                    made = _once(made, key, principal, data, path="idempotency_key")
                parsed.append(made)
            except InvalidInput as error:
                self.refuse(error)
                channel, symbol = error.channel or update.channel, error.symbol or update.symbol
                parsed.append(error.about(channel, symbol))
        publications = [one for made in parsed if isinstance(made, list) for one in made]
        found = await self._commit(publications)
        if source is not None:
            self._sources.setdefault(source, {}).update(
                (one.topic, position)
                for one, position in zip(publications, found, strict=True)
                if isinstance(position, Position)
            )
        places = iter(found)
        logger.debug("%d updates published together", len(publications))
        return [
            made if isinstance(made, InvalidInput) else _last([next(places) for _ in made])
            for made in parsed
        ]

    def lose(self, source: Hashable) -> None:
        """Notify subscribers that a source is gone, if its update is still the newest."""
        places = self._sources.pop(source, None)
        if places:
            self._work.begin(self._engine.abandon(places, GONE), "abandons topics")

    async def close(self) -> None:
        """End, after subscribers have been notified of the sources that are gone."""
        await self._work.end(PATIENCE_SECONDS)

    async def _commit(
        self, publications: Sequence[Publication], *, path: str = "idempotency_key"
    ) -> Sequence[Position | InvalidInput]:
        if self._room.is_near(len(publications)):
            return await self._commit_fitting(publications, path)
        with self._room.passing([one.topic for one in publications]):
            return await self._publish(publications, path)

    async def _commit_fitting(
        self, publications: Sequence[Publication], path: str
    ) -> Sequence[Position | InvalidInput]:
        """Publish the updates for whose topics there is room; refuse the others."""
        async with self._room.holding(
            list(dict.fromkeys(one.topic for one in publications))
        ) as refused:
            fitting = [one for one in publications if one.topic not in refused]
            found = iter(await self._publish(fitting, path) if fitting else ())
        outcomes: list[Position | InvalidInput] = []
        for one in publications:
            refusal = refused.get(one.topic)
            if refusal is not None:
                self.refuse(refusal)
            outcomes.append(next(found) if refusal is None else refusal)
        return outcomes

    async def _publish(
        self, publications: Sequence[Publication], path: str
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
        """Count and log a refused publication; its data may not even have been read."""
        self.refused += 1
        logger.debug("publication refused: %s", error.message[:MAX_SHOWN])

    def _parse(
        self, channel: str, symbol: str | None, source: Any, period: str | None, rights: Rights
    ) -> list[Publication]:
        now_ms = round(self._now() * 1000, 3)
        rights.check("publish")
        publications = read_vendor_form(
            channel, symbol, source, rules=self._rules, now_ms=now_ms, period=period
        )
        if publications is None:
            if symbol is None:
                raise no_symbol()
            read = partial(
                parse_publication, channel, symbol, rules=self._rules, now_ms=now_ms, period=period
            )
            publications = _read_rows(parse_channel(channel), source, read)
        for topic in {publication.topic for publication in publications}:
            rights.check("publish", topic)
        return publications

    def _note(self, topic: Topic, position: Position) -> int:
        subscribers = self._hub.subscriber_count(topic)
        logger.debug("%s seq %d published, %d want it here", topic, position.seq, subscribers)
        return subscribers


def _read_in_process(source: Any, code: str) -> Any:
    """Return a program's data as JSON text, or as a JSON reader returns them."""
    if isinstance(source, str):
        return source.encode()
    if isinstance(source, bytearray | memoryview):
        return bytes(source)
    return plain(source, code)


def _read_rows(channel: str, source: Any, read: Callable[[Any], Publication]) -> list[Publication]:
    """Return the publications of the data: one for each row of a table, but trades together."""
    if not isinstance(source, list) or not source:
        return [read(source)]
    if channel == "trades":
        return [read({"trades": source})]
    publications = []
    for index, row in enumerate(source):
        try:
            publications.append(read(row))
        except InvalidInput as error:
            path = f"[{index}].{error.path}" if error.path else f"[{index}]"
            message = error.message.removeprefix(f"{error.path}: ")
            raise InvalidInput(error.code, f"{path}: {message}", path=path) from None
    return publications


def _once(
    publications: Sequence[Publication], key: str, principal: str, source: Any, *, path: str
) -> list[Publication]:
    """Return publications with idempotency: the nth of a message to a topic gets number n."""
    counted: Counter[Topic] = Counter()
    made = []
    for publication in publications:
        topic = publication.topic
        once_more = once(key, principal, topic, source, path=path, part=counted[topic])
        counted[topic] += 1
        made.append(publication._replace(once=once_more))
    return made


def _last(places: Sequence[Position | InvalidInput]) -> Position | InvalidInput:
    """Return the last position of publications that belong together, or the error of one."""
    return next((place for place in places if isinstance(place, InvalidInput)), places[-1])
