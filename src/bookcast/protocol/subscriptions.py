"""A client's subscriptions and what it may see: the same in both protocols."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import msgspec

from bookcast.auth.principal import Rights
from bookcast.errors import InvalidInput
from bookcast.hub.view_spec import ViewSpec
from bookcast.ingest.publication import topic_of
from bookcast.model.cursor import Cursor
from bookcast.model.topics import Topic
from bookcast.protocol.actions import Unsubscribe

SavedSubscriptions = Mapping[Topic, tuple[ViewSpec, Cursor | None]]
"""What an earlier connection of the client was subscribed to: per topic its view, and the cursor up
to which updates have reached the client; None: unknown."""


class ConnectionRules(msgspec.Struct, frozen=True):
    """The rules of every connection.

    Attributes:
        default_market: the market of symbols that a client sends without one.
        max_subscriptions: bound per connection, unless the client's rights have a lower one.
        takes_tokens: a client may present a token over the connection.
        keeps_all: a base client that can't take data gets every book later.
    """

    default_market: str = "US"
    max_subscriptions: int = 256
    takes_tokens: bool = False
    keeps_all: bool = False


class Subscriptions(dict[Topic, ViewSpec]):
    """The topics that a client is subscribed to, and the view of each.

    The protocols say what the client asked for; this class narrows it to the client's rights and
    limits. Subscribing to a topic again replaces its view.

    Attributes:
        terms: the rules of every connection.
        rights: what the client may see. None: the client isn't authenticated yet.
        deflate: the client takes compressed messages.
    """

    __slots__ = ("deflate", "rights", "terms")

    def __init__(self, terms: ConnectionRules, rights: Rights | None, *, deflate: bool) -> None:
        super().__init__()
        self.terms = terms
        self.rights = rights
        self.deflate = deflate

    def topic(
        self,
        symbol: str,
        channel: str = "orderbook",
        period: str | None = None,
        variant: str | None = None,
    ) -> Topic:
        """Return the topic that a client names.

        Raises:
            InvalidInput: for a channel, symbol, period or variant that doesn't exist.
        """
        return topic_of(channel, symbol, self.terms.default_market, period, variant=variant)

    def open(self, topic: Topic, asked: ViewSpec) -> ViewSpec:
        """Subscribe to a topic. Return its view: what was asked for, narrowed by the rights.

        Raises:
            InvalidInput: if the client has no right to the topic, or too many subscriptions.
        """
        rights = self.rights
        assert rights is not None
        rights.check("read", topic)
        most = self._most(rights)
        if topic not in self and len(self) >= most:
            raise _too_many(most)
        depth = rights.depth(asked.depth) if topic.channel == "orderbook" else asked.depth
        if depth != asked.depth or asked.interval_ms < rights.min_interval_ms:
            interval_ms = max(asked.interval_ms, rights.min_interval_ms)
            lossless = asked.lossless and not interval_ms
            asked = asked._replace(depth=depth, interval_ms=interval_ms, lossless=lossless)
        spec = self[topic] = _shared(asked)
        return spec

    def entitle(
        self, rights: Rights, asked: Callable[[ViewSpec], ViewSpec]
    ) -> list[tuple[Topic, ViewSpec, ViewSpec | InvalidInput]]:
        """Replace the client's rights, and narrow its subscriptions to them.

        Args:
            rights: the new rights.
            asked: returns what the client asked for, from the view that it has.

        Returns:
            Each topic whose view changes or ends: its old view, and its new view or the reason why
            it ended.
        """
        before = dict(self)
        self.clear()
        self.rights = rights
        changes: list[tuple[Topic, ViewSpec, ViewSpec | InvalidInput]] = []
        for topic, view in before.items():
            try:
                now: ViewSpec | InvalidInput = self.open(topic, asked(view))
            except InvalidInput as error:
                now = error
            if now != view:
                changes.append((topic, view, now))
        return changes

    def close(self) -> list[Unsubscribe]:
        """End all subscriptions. Return the actions that end them in the hub."""
        hidden = [Unsubscribe(topic) for topic in self]
        self.clear()
        return hidden

    def _most(self, rights: Rights) -> int:
        most = self.terms.max_subscriptions
        return most if rights.max_subscriptions is None else min(most, rights.max_subscriptions)


@lru_cache(maxsize=16_384)
def _shared(view: ViewSpec) -> ViewSpec:
    """Return one object for all equal views, since thousands of clients may share it."""
    return view


def _too_many(most: int) -> InvalidInput:
    return InvalidInput(
        "too_many_subscriptions",
        f"This connection has its {most} subscriptions already; unsubscribe from one first",
        path="symbol",
    )
