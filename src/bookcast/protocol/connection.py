"""The base protocol of one client. Feed it what the client said; do, in order, what it returns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache

import msgspec

from bookcast.auth.principal import EVERYTHING, Rights
from bookcast.errors import InvalidInput
from bookcast.hub.view import ViewSpec
from bookcast.model import Topic, parse_symbol
from bookcast.model.cursor import Cursor
from bookcast.protocol import codec, messages
from bookcast.protocol.actions import Action, Authenticate, Hide, Restore, Send, Show
from bookcast.protocol.render import BASE

Charge = Callable[[bool], InvalidInput | None]
"""Charges a client for a message, True: for a publication; gives the refusal when it has no more.
"""

Parked = Mapping[Topic, tuple[ViewSpec, Cursor | None]]
"""What an earlier connection of a client saw, how, and how far the client surely has it."""


class Terms(msgspec.Struct, frozen=True):
    """What holds for every connection.

    ``takes_tokens``: who hasn't shown one yet may do so. ``keeps_all``: a base client that can't
    take data gets every book later.
    """

    default_market: str = "US"
    max_subscriptions: int = 256
    takes_tokens: bool = False
    keeps_all: bool = False


def no_charge(_publication: bool) -> InvalidInput | None:  # noqa: FBT001 - a kind of charge
    """Let everything through."""
    return None


def unauthenticated() -> InvalidInput:
    """Make the refusal of whoever hasn't said who they are."""
    return InvalidInput(
        "unauthenticated", "First authenticate: {'action':'authenticate','token':…}"
    )


def too_many(most: int) -> InvalidInput:
    """Make the refusal of a subscription too many."""
    return InvalidInput(
        "too_many_subscriptions",
        f"This connection has its {most} subscriptions already; unsubscribe from one first",
        path="symbol",
    )


def most_subscriptions(terms: Terms, rights: Rights) -> int:
    """Give how many subscriptions a connection may have."""
    if rights.max_subscriptions is None:
        return terms.max_subscriptions
    return min(terms.max_subscriptions, rights.max_subscriptions)


@lru_cache(maxsize=16_384)
def _view_of(
    spelling: str,
    default_market: str,
    rights: Rights,
    deflate: bool,  # noqa: FBT001 - the cache takes no keywords
    every: bool,  # noqa: FBT001 - the same
) -> tuple[Topic, ViewSpec]:
    """Give what a spelling means. Cached, so that thousands of clients share the same values."""
    topic = Topic("orderbook", parse_symbol(spelling, default_market))
    interval = rights.min_interval_ms
    spec = ViewSpec(
        BASE,
        spelling,
        rights.max_depth,
        interval_ms=interval,
        deflate=deflate,
        every=every and not interval,
    )
    return topic, spec


class BaseConnection:
    """What one client of the base protocol has asked for.

    ``subscriptions`` holds each topic shown and how; ``rights`` what the client may do, None while
    nobody knows who it is. ``deflate``: the client can take compressed messages.
    """

    __slots__ = ("_charge", "_deflate", "_terms", "rights", "subscriptions")

    def __init__(
        self,
        terms: Terms,
        *,
        rights: Rights | None = EVERYTHING,
        deflate: bool = False,
        charge: Charge = no_charge,
    ) -> None:
        self._terms = terms
        self._deflate = deflate
        self._charge = charge
        self.rights = rights
        self.subscriptions: dict[Topic, ViewSpec] = {}

    def welcome(self) -> list[Action]:
        """Say nothing: a base client is told nothing unsolicited."""
        return []

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
        return [Send(messages.ErrorMessage(error.message), error)]

    def receive(self, data: bytes | str) -> list[Action]:
        """Decide on one text message. Bad input is answered, never raised."""
        refusal = self._charge(False)  # noqa: FBT003 - no publication
        if refusal is not None:
            return self.refuse(refusal)
        try:
            return self._decide(codec.decode_command(data))
        except InvalidInput as error:
            return self.refuse(error)

    def _decide(self, command: messages.Command) -> list[Action]:
        match command:
            case messages.Ping():
                return [Send(messages.Pong())]
            case messages.Authenticate(token=token):
                if not self._terms.takes_tokens:
                    raise codec.UnknownAction
                return [Authenticate(token, _authenticated, _refusal)]
            case _ if self.rights is None:
                raise unauthenticated()
            case messages.Subscribe(symbol=symbol):
                return self.subscribe(symbol)
            case messages.Unsubscribe(symbol=symbol):
                return self.unsubscribe(symbol)

    def subscribe(self, symbol: str) -> list[Action]:
        """Subscribe to a symbol's books; once more is as good as once, and shows the book again.

        Raises:
            InvalidInput: for a symbol that can't be one or isn't for this client, or too many.
        """
        topic, spec = self._view_of(symbol)
        self._check(topic)
        self.subscriptions[topic] = spec
        confirmed = messages.SubscriptionConfirmed(symbol)
        return [Show(topic, spec, lambda _position: confirmed)]

    def unsubscribe(self, symbol: str) -> list[Action]:
        """Unsubscribe from a symbol's books, whether subscribed or not.

        Raises:
            InvalidInput: for a symbol that can't be one.
        """
        topic, _ = self._view_of(symbol)
        self.subscriptions.pop(topic, None)
        return [Hide(topic), Send(messages.UnsubscriptionConfirmed(symbol))]

    def adopt(self, parked: Parked, declined: Collection[Topic]) -> list[Action]:
        """Go on with what an earlier connection saw, but for what this one asked for or declined.

        Nothing is confirmed: the client doesn't know that it was gone for us.
        """
        restored: list[tuple[Topic, ViewSpec, Cursor | None]] = []
        for known, (seen, last) in parked.items():
            if known in self.subscriptions or known in declined:
                continue
            topic, spec = self._view_of(seen.spelling)
            try:
                self._check(topic)
            except InvalidInput:
                continue
            self.subscriptions[topic] = spec
            restored.append((topic, spec, last if spec.depth == seen.depth else None))
        return [Restore(restored)] if restored else []

    def entitle(self, rights: Rights) -> list[Action]:
        """Take note of the client's rights: what they no longer hold for ends, with a reason."""
        before, self.rights = self.subscriptions, rights
        self.subscriptions = {}
        actions: list[Action] = []
        for topic, spec in before.items():
            try:
                self._check(topic)
            except InvalidInput as error:
                actions += [Hide(topic), *self.refuse(_ended(spec.spelling, error))]
                continue
            _, now = self._view_of(spec.spelling)
            self.subscriptions[topic] = now
            if now != spec:
                actions.append(Show(topic, now, None))
        return actions

    def close(self) -> list[Action]:
        """End all subscriptions."""
        shown, self.subscriptions = self.subscriptions, {}
        return [Hide(topic) for topic in shown]

    def _view_of(self, symbol: str) -> tuple[Topic, ViewSpec]:
        terms = self._terms
        return _view_of(
            symbol,
            terms.default_market,
            self.rights or EVERYTHING,
            self._deflate,
            terms.keeps_all,
        )

    def _check(self, topic: Topic) -> None:
        assert self.rights is not None
        self.rights.check("read", topic)
        most = most_subscriptions(self._terms, self.rights)
        if topic not in self.subscriptions and len(self.subscriptions) >= most:
            raise too_many(most)


def _ended(spelling: str, error: InvalidInput) -> InvalidInput:
    return InvalidInput(error.code, f"The subscription to {spelling} ended: {error.message}")


def _authenticated(_seconds: float | None) -> msgspec.Struct:
    return messages.Authenticated()


def _refusal(error: InvalidInput) -> msgspec.Struct:
    return messages.ErrorMessage(error.message)
