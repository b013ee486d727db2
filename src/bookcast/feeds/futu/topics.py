"""Maps topics to kinds of subscription at OpenD (``Qot_Common.SubType``)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Final

from bookcast.feeds.futu.markets import symbol_of
from bookcast.model.topics import ODD, Channel, Topic

SUBTYPES: Final[Mapping[tuple[Channel, str], int]] = {
    ("quote", ""): 1,
    ("orderbook", ""): 2,
    ("trades", ""): 4,
    ("timeframe", ""): 5,
    ("candles", "1d"): 6,
    ("candles", "5m"): 7,
    ("candles", "15m"): 8,
    ("candles", "30m"): 9,
    ("candles", "1h"): 10,
    ("candles", "1m"): 11,
    ("candles", "1w"): 12,
    ("candles", "1M"): 13,
    ("brokers", ""): 14,
    ("candles", "1Q"): 15,
    ("candles", "1Y"): 16,
    ("candles", "3m"): 17,
    ("candles", "10m"): 18,
    ("candles", "2h"): 19,
    ("candles", "3h"): 20,
    ("candles", "4h"): 21,
    ("orderbook", ODD): 22,
}

_TOPICS: Final = {number: key for key, number in SUBTYPES.items()}

SESSIONS: Final = {"regular": 1, "extended": 2, "all": 3}
"""``Common.Session`` by the values of the setting FUTU_SESSION."""

_WITH_SESSION: Final = frozenset({"trades", "candles", "timeframe"})


def not_asked_for(topic: Topic) -> str | None:
    """Return why a topic is never requested from OpenD; None for most topics."""
    if topic.symbol.startswith("EC."):
        return (
            "event contracts (EC.) need another kind of request at OpenD, which bookcast doesn't "
            "make; they come from publishers only"
        )
    return None


def subtype(topic: Topic) -> int:
    """Return the kind of subscription that a topic needs."""
    return SUBTYPES[topic.channel, topic.variant]


def asks_for_session(topic: Topic) -> bool:
    """Return whether the subscription of a topic names trading hours: some of US symbols do."""
    return topic.channel in _WITH_SESSION and topic.symbol.startswith("US.")


def request_group(topic: Topic) -> Hashable:
    """Return a key that is equal for topics that can share a request."""
    return subtype(topic), asks_for_session(topic)


def topics_of(connection: Any) -> set[Topic]:
    """Return the topics that a connection has subscribed, from its ``Qot_Common.ConnSubInfo``."""
    topics = set()
    for kind in connection.subInfoList:
        channel, variant = _TOPICS.get(kind.subType, (None, ""))
        for security in kind.securityList:
            symbol = symbol_of(security)
            if channel is not None and symbol is not None:
                topics.add(Topic(channel, symbol, variant))
    return topics
