"""The base protocol of one client. Feed it what the client said; do, in order, what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from bookcast.errors import InvalidInput
from bookcast.hub.view import ViewSpec
from bookcast.model import Topic, parse_symbol
from bookcast.protocol import codec, messages
from bookcast.protocol.actions import Action, Hide, Send, Show
from bookcast.protocol.render import BASE


@lru_cache(maxsize=16_384)
def _view_of(spelling: str, default_market: str, *, deflate: bool) -> tuple[Topic, ViewSpec]:
    """Give what a spelling means. Cached, so that thousands of clients share the same values."""
    topic = Topic("orderbook", parse_symbol(spelling, default_market))
    return topic, ViewSpec(BASE, spelling, deflate=deflate)


class BaseConnection:
    """What one client of the base protocol has asked for.

    ``subscriptions`` holds each topic shown and how. ``deflate``: the client can take compressed
    messages.
    """

    __slots__ = ("_default_market", "_deflate", "_max_subscriptions", "subscriptions")

    def __init__(
        self, *, default_market: str, max_subscriptions: int, deflate: bool = False
    ) -> None:
        self._default_market = default_market
        self._max_subscriptions = max_subscriptions
        self._deflate = deflate
        self.subscriptions: dict[Topic, ViewSpec] = {}

    def open(self, symbols: Sequence[str]) -> list[Action]:
        """Begin with these symbols, as if the client had subscribed to each."""
        actions: list[Action] = []
        for symbol in symbols:
            try:
                actions += self.subscribe(symbol)
            except InvalidInput as error:
                actions += self.refuse(error)
        return actions

    def refuse(self, error: InvalidInput) -> list[Action]:
        """Tell the client that something it sent was wrong."""
        return [Send(messages.ErrorMessage(error.message))]

    def receive(self, data: bytes | str) -> list[Action]:
        """Decide on one text message. Bad input is answered, never raised."""
        try:
            command = codec.decode_command(data)
            match command:
                case messages.Subscribe(symbol=symbol):
                    return self.subscribe(symbol)
                case messages.Unsubscribe(symbol=symbol):
                    return self.unsubscribe(symbol)
                case messages.Ping():
                    return [Send(messages.Pong())]
        except InvalidInput as error:
            return self.refuse(error)

    def subscribe(self, symbol: str) -> list[Action]:
        """Subscribe to a symbol's books; once more is as good as once, and shows the book again.

        Raises:
            InvalidInput: for a symbol that can't be one, or too many subscriptions.
        """
        topic, spec = _view_of(symbol, self._default_market, deflate=self._deflate)
        if topic not in self.subscriptions and len(self.subscriptions) >= self._max_subscriptions:
            raise InvalidInput(
                "too_many_subscriptions",
                f"This connection has its {self._max_subscriptions} subscriptions already; "
                "unsubscribe from one first",
                path="symbol",
            )
        self.subscriptions[topic] = spec
        confirmed = messages.SubscriptionConfirmed(symbol)
        return [Show(topic, spec, lambda _position: confirmed)]

    def unsubscribe(self, symbol: str) -> list[Action]:
        """Unsubscribe from a symbol's books, whether subscribed or not.

        Raises:
            InvalidInput: for a symbol that can't be one.
        """
        topic, _ = _view_of(symbol, self._default_market, deflate=self._deflate)
        confirmed = Send(messages.UnsubscriptionConfirmed(symbol))
        spec = self.subscriptions.pop(topic, None)
        return [confirmed] if spec is None else [Hide(topic), confirmed]

    def close(self) -> list[Action]:
        """End all subscriptions."""
        shown, self.subscriptions = self.subscriptions, {}
        return [Hide(topic) for topic in shown]
