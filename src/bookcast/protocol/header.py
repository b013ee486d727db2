"""The header of every update: its topic, its position, and when it was seen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from bookcast.model.topics import Topic
from bookcast.model.updates import Position, Update

Ts = Annotated[
    tuple[
        Annotated[float | None, msgspec.Meta(title="exchange")],
        Annotated[float | None, msgspec.Meta(title="feed")],
        Annotated[float, msgspec.Meta(title="server")],
    ],
    msgspec.Meta(
        title="Ts",
        description="When the exchange, the feed and the server saw an update, in milliseconds "
        "since 1970; null where unknown",
    ),
]


def topic_fields(topic: Topic, requested_symbol: str) -> dict[str, Any]:
    """Return the fields that name a topic, with the symbol as the client wrote it."""
    return {"channel": topic.channel, "symbol": requested_symbol, **variant_field(topic)}


def variant_field(topic: Topic) -> dict[str, Any]:
    """Return the period or variant of a topic as a field; empty if it has neither."""
    if not topic.variant:
        return {}
    return {"period" if topic.channel == "candles" else "variant": topic.variant}


def position_fields(position: Position | None) -> dict[str, Any]:
    """Return the fields of a position; both are null while nothing is known of the topic."""
    if position is None:
        return {"epoch": None, "seq": None}
    return {"epoch": position.epoch, "seq": position.seq}


def times(update: Update) -> Ts:
    """Return when the exchange, the feed and the server saw an update."""
    return (update.exchange_ms, update.feed_ms, update.server_ms)


def server_time(update: Update) -> str:
    """Return when the server saw an update, in the form of the base protocol and of reads."""
    return iso_utc(update.server_ms)


def iso_utc(milliseconds: float) -> str:
    """Return milliseconds since 1970 as ISO 8601 in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def update_header(requested_symbol: str, update: Update) -> tuple[Any, str, str, int, Ts]:
    """Return the fields that every update begins with, in the order of the Structs."""
    position = update.position
    return (update.topic.channel, requested_symbol, position.epoch, position.seq, times(update))
