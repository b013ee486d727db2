"""One client: its protocol, its outbox, and the hub's views that it sees."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import msgspec

from bookcast.errors import InvalidInput
from bookcast.hub.hub import Hub
from bookcast.protocol import codec, messages
from bookcast.protocol.connection import Action, BaseConnection, Hide, Send, Show
from bookcast.sessions.outbox import Outbox

logger = logging.getLogger(__name__)

Frame = Callable[[bytes], bytes]
"""Puts a message's text into a WebSocket frame."""


class SessionLimits(msgspec.Struct, frozen=True):
    """What a session may do."""

    default_market: str
    max_subscriptions: int


class Session:
    """Does what the protocol decides, and tells the hub."""

    __slots__ = ("_connection", "_frame", "_hub", "client_id", "outbox")

    def __init__(
        self,
        client_id: str,
        *,
        hub: Hub,
        frame: Frame,
        write: Callable[[bytes], None],
        limits: SessionLimits,
    ) -> None:
        self.client_id = client_id
        self.outbox = Outbox(write)
        self._hub = hub
        self._frame = frame
        self._connection = BaseConnection(
            default_market=limits.default_market, max_subscriptions=limits.max_subscriptions
        )

    def open(self, symbols: Iterable[str]) -> None:
        """Begin with these symbols, as if the client had subscribed to each."""
        for symbol in symbols:
            try:
                self._do(self._connection.subscribe(symbol))
            except InvalidInput as error:
                self._do([Send(messages.ErrorMessage(error.message))])
        self.outbox.flush()

    def receive(self, data: bytes) -> None:
        """Act on one text message of the client. Answers wait for the outbox's next flush."""
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("client %r says %r", self.client_id, data[:200])
        self._do(self._connection.receive(data))

    def refuse(self, message: str) -> None:
        """Tell the client that something it sent was wrong."""
        self._do([Send(messages.ErrorMessage(message))])

    def hold(self) -> None:
        """Send nothing more: the client can't take it."""
        self.outbox.writable = False
        self._hub.hold(self.outbox, self._connection.subscriptions)

    def catch_up(self) -> None:
        """Send the newest of what the client missed: it can take data again."""
        self.outbox.writable = True
        self._hub.catch_up(self.outbox, self._connection.subscriptions)

    def close(self) -> None:
        """End all subscriptions."""
        self._do(self._connection.close())

    @property
    def subscription_count(self) -> int:
        """How many topics this client sees."""
        return len(self._connection.subscriptions)

    def _do(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Send(message):
                    if isinstance(message, messages.ErrorMessage):
                        logger.info("client %r refused: %s", self.client_id, message.message)
                    else:
                        logger.debug("client %r is told %s", self.client_id, message)
                    self.outbox.put(self._frame(codec.encode(message)))
                case Show(topic, spec, replaces):
                    logger.debug("client %r sees %s", self.client_id, topic)
                    self._hub.subscribe(self.outbox, topic, spec, replaces)
                case Hide(topic, spec):
                    logger.debug("client %r no longer sees %s", self.client_id, topic)
                    self._hub.unsubscribe(self.outbox, topic, spec)
