"""The base protocol of one client. Feed it what the client said; do, in order, what it returns."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from bookcast.errors import InvalidInput
from bookcast.hub.view import ViewSpec
from bookcast.model import Topic, parse_symbol
from bookcast.protocol import codec, messages


class Send(NamedTuple):
    """Send this message to the client."""

    message: messages.Message


class Show(NamedTuple):
    """Show a topic to the client from now on; ``replaces`` is how it saw the topic before."""

    topic: Topic
    spec: ViewSpec
    replaces: ViewSpec | None


class Hide(NamedTuple):
    """Show a topic to the client no more."""

    topic: Topic
    spec: ViewSpec


Action = Send | Show | Hide


@lru_cache(maxsize=16_384)
def _view_of(spelling: str, default_market: str) -> tuple[Topic, ViewSpec]:
    """Give what a spelling means. Cached, so that thousands of clients share the same values."""
    topic = Topic("orderbook", parse_symbol(spelling, default_market))
    return topic, ViewSpec(flavour="base", spelling=spelling)


class BaseConnection:
    """What one client of the base protocol has asked for.

    ``subscriptions`` holds each topic shown and how.
    """

    __slots__ = ("_default_market", "_max_subscriptions", "subscriptions")

    def __init__(self, *, default_market: str, max_subscriptions: int) -> None:
        self._default_market = default_market
        self._max_subscriptions = max_subscriptions
        self.subscriptions: dict[Topic, ViewSpec] = {}

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
            return [Send(messages.ErrorMessage(error.message))]

    def subscribe(self, symbol: str) -> list[Action]:
        """Subscribe to a symbol's books; once more is as good as once, and shows the book again.

        Raises:
            InvalidInput: for a symbol that can't be one, or too many subscriptions.
        """
        topic, spec = _view_of(symbol, self._default_market)
        replaces = self.subscriptions.get(topic)
        if replaces is None and len(self.subscriptions) >= self._max_subscriptions:
            raise InvalidInput(
                "too_many_subscriptions",
                f"This connection has its {self._max_subscriptions} subscriptions already; "
                "unsubscribe from one first",
                path="symbol",
            )
        self.subscriptions[topic] = spec
        return [Send(messages.SubscriptionConfirmed(symbol)), Show(topic, spec, replaces)]

    def unsubscribe(self, symbol: str) -> list[Action]:
        """Unsubscribe from a symbol's books, whether subscribed or not.

        Raises:
            InvalidInput: for a symbol that can't be one.
        """
        topic, _ = _view_of(symbol, self._default_market)
        confirmed = Send(messages.UnsubscriptionConfirmed(symbol))
        spec = self.subscriptions.pop(topic, None)
        return [confirmed] if spec is None else [Hide(topic, spec), confirmed]

    def close(self) -> list[Action]:
        """End all subscriptions."""
        shown, self.subscriptions = self.subscriptions, {}
        return [Hide(topic, spec) for topic, spec in shown.items()]
