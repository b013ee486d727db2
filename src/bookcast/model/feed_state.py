"""What a feed reports: the securities it has, and how it can supply a topic."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from bookcast.model.market_data import TradingSession
from bookcast.model.numbers import Number
from bookcast.model.topics import Symbol


class Security(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A security of a feed's list. ``tick_size``: the smallest step at its present price.

    ``kind``: ``stock``, ``fund``, ``index`` and the like. ``lot_size``: shares or contracts.
    ``session``: its market's session now. None where unknown.
    """

    symbol: Symbol
    name: str | None = None
    kind: str | None = None
    lot_size: int | None = None
    tick_size: Number | None = None
    session: TradingSession | None = None


TopicState = Literal["live", "stale", "pending", "halted", "closed", "feed_down"]
"""The state of a topic, as its subscribers are told. ``stale``: its data are old."""


QuotaPool = Literal["stock", "option", "sf_book"]
"""What a pool counts: subscriptions, option chains, or Hong Kong securities (SF right)."""


class Quota(NamedTuple):
    """The use of a quota pool. ``next_free_ms``: ms until a unit may become free, if known."""

    used: int
    limit: int
    next_free_ms: float | None = None
    pool: QuotaPool = "stock"


class FeedState(NamedTuple):
    """How a feed can supply a topic now.

    Attributes:
        source: the feed's name, or how it gets this topic.
        state: ``live``: data arrive as soon as there are any. ``pending``: the feed is trying to
            get them. ``halted`` and ``closed``: the symbol or its market isn't traded.
            ``feed_down``: the feed has no connection.
        reason: why, in words.
        every_ms: the feed polls the topic at this interval, instead of receiving pushes.
        quota: the quota pool that the topic waits for.
        refusal: why the feed's source refuses the topic, in the source's own words.
        did_you_mean: symbols that may have been meant instead of a refused one.
        only_published: the feed never supplies this topic, so its publishers are the source.
    """

    source: str
    state: Literal["live", "pending", "halted", "closed", "feed_down"] = "live"
    reason: str | None = None
    every_ms: float | None = None
    quota: Quota | None = None
    refusal: str | None = None
    did_you_mean: tuple[Symbol, ...] = ()
    only_published: bool = False
