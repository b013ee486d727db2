"""How a publication from outside gets into the engine: over HTTP or in process, it is this."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from bookcast.engine.base import Engine
from bookcast.errors import InvalidInput
from bookcast.hub.hub import Hub
from bookcast.protocol.published import parse_orderbook

logger = logging.getLogger(__name__)


class Published(msgspec.Struct, frozen=True):
    """A publication's place. ``subscribers`` are those of this node."""

    status: str
    symbol: str
    epoch: str
    seq: int
    subscribers: int


class Publisher:
    """Checks what publishers send, hands it to the engine, and counts."""

    def __init__(self, *, engine: Engine, hub: Hub, default_market: str) -> None:
        self._engine = engine
        self._hub = hub
        self._default_market = default_market
        self.refused = 0
        """Publications refused since the start."""

    async def orderbook(self, symbol: str, data: Any, text: bytes | None = None) -> Published:
        """Publish an order book, as a JSON reader gave it from ``text``.

        Raises:
            InvalidInput: with the path of the wrong field; then nothing was published.
        """
        try:
            publication = parse_orderbook(symbol, data, self._default_market, text)
        except InvalidInput as error:
            self.refuse(error)
            raise
        [position] = await self._engine.publish([publication])
        subscribers = self._hub.subscriber_count(publication.topic)
        logger.debug(
            "%s seq %d published, %d want it here", publication.topic, position.seq, subscribers
        )
        return Published("ok", symbol, position.epoch, position.seq, subscribers)

    def refuse(self, error: InvalidInput) -> None:
        """Note that a publication was refused before it came to the book in it."""
        self.refused += 1
        logger.info("publication refused: %s", error.message)
