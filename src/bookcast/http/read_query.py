"""The parameters of a read over HTTP: which of them each path takes, and their ranges."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final, NamedTuple

import msgspec
from starlette.datastructures import QueryParams

from bookcast.errors import InvalidInput
from bookcast.ingest.publication import topic_of
from bookcast.model.topics import Channel, Topic
from bookcast.protocol.v1.messages import MAX_DEPTH, MAX_HISTORY

PATHS: Final[dict[str, Channel]] = {
    "books": "orderbook",
    "quotes": "quote",
    "trades": "trades",
    "candles": "candles",
    "brokers": "brokers",
    "timeframe": "timeframe",
}
"""The path of each channel's reads."""

MAX_WAIT_MS: Final = 5000
DEFAULT_LIMIT: Final = 100
"""The number of trades or candles in a response, unless the request names another."""


class Range(NamedTuple):
    """The range of a parameter that is a whole number. ``default`` None: all there are."""

    least: int
    most: int
    default: int | None
    meaning: str


RANGES: Final[dict[str, Range]] = {
    "depth": Range(1, MAX_DEPTH, None, "Levels of each side; all unless it is given"),
    "limit": Range(1, MAX_HISTORY, DEFAULT_LIMIT, "The newest so many, as far as they are kept"),
    "wait_ms": Range(0, MAX_WAIT_MS, 0, "How long to wait for the first data"),
}
_OWN: Final[dict[Channel, tuple[str, ...]]] = {
    "orderbook": ("depth", "variant"),
    "trades": ("limit",),
    "candles": ("period", "limit"),
}


def parameters(channel: Channel) -> tuple[str, ...]:
    """Return the parameters that reads of a channel take."""
    return (*_OWN.get(channel, ()), "wait_ms")


class ReadQuery(msgspec.Struct, frozen=True):
    """The parameters of a read. ``depth``: levels of a book; ``limit``: trades or candles."""

    topic: Topic
    depth: int | None
    limit: int
    wait_seconds: float


def read_query(
    channel: Channel, requested_symbol: str, given: QueryParams, default_market: str
) -> ReadQuery:
    """Return the parameters of a request.

    Raises:
        InvalidInput: names the wrong parameter, and what is allowed.
    """
    known = parameters(channel)
    counts = Counter(name for name, _ in given.multi_items())
    for name, count in counts.items():
        if name not in known:
            raise InvalidInput(
                "invalid_data",
                f"{name[:64]}: reads of {channel} have no such parameter; there are "
                f"{', '.join(known)}",
                path=name[:64],
            )
        if count > 1:
            raise InvalidInput("invalid_data", f"{name}: it is given {count} times", path=name)
    topic = topic_of(
        channel, requested_symbol, default_market, given.get("period"), variant=given.get("variant")
    )
    return ReadQuery(
        topic,
        depth=_number(given, "depth"),
        limit=_number(given, "limit") or DEFAULT_LIMIT,
        wait_seconds=(_number(given, "wait_ms") or 0) / 1000,
    )


def _number(given: QueryParams, name: str) -> int | None:
    text, bounds = given.get(name), RANGES[name]
    if text is None:
        return bounds.default
    if not (re.fullmatch("[0-9]{1,5}", text) and bounds.least <= int(text) <= bounds.most):
        raise InvalidInput(
            "invalid_data",
            f"{name}: a whole number from {bounds.least} to {bounds.most}",
            path=name,
        )
    return int(text)
