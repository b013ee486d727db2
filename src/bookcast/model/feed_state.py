"""What a feed reports: the securities it has, and how it can supply a topic."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from bookcast.model.market_data import TradingSession
from bookcast.model.numbers import Number
from bookcast.model.topics import Symbol


class Security(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What can be subscribed. ``tick_size``: the smallest step of its price, where it is now.

    ``kind``: ``stock``, ``fund``, ``index`` and the like; ``lot_size`` in shares or contracts;
    ``session``: the one its market has now. None where unknown.
    """

    symbol: Symbol
    name: str | None = None
    kind: str | None = None
    lot_size: int | None = None
    tick_size: Number | None = None
    session: TradingSession | None = None


QuotaPool = Literal["stock", "option", "sf_book"]
"""What a quota counts: subscriptions, chains of options, or Hong Kong securities (SF right)."""


class Quota(NamedTuple):
    """What may be subscribed where. ``next_free_ms``: in how long some may come free, if known."""

    used: int
    limit: int
    next_free_ms: float | None = None
    pool: QuotaPool = "stock"


class FeedState(NamedTuple):
    """How a feed can supply a topic now.

    Attributes:
        source: what the feed calls itself, or how it gets this topic.
        state: ``live`` when data come as soon as there are any; ``pending`` while the feed tries to
            get them; ``halted`` and ``closed`` when the symbol or its market isn't traded;
            ``feed_down`` when the feed is cut off.
        reason: why, in words.
        every_ms: the feed asks for data so often, instead of being sent them.
        quota: what the feed waits for.
        refusal: why somebody refuses to give the topic, in his words.
        did_you_mean: symbols that may have been meant instead of a refused one.
        only_published: the feed never gives this topic, so whoever publishes it is its source.
    """

    source: str
    state: Literal["live", "pending", "halted", "closed", "feed_down"] = "live"
    reason: str | None = None
    every_ms: float | None = None
    quota: Quota | None = None
    refusal: str | None = None
    did_you_mean: tuple[Symbol, ...] = ()
    only_published: bool = False
