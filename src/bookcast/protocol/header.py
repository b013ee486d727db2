"""The header of what is sent of a topic: which topic, where in it, and when that was seen."""

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
    """Return the fields that name a topic to a client, who spells the symbol its own way."""
    return {"channel": topic.channel, "symbol": requested_symbol, **variant_field(topic)}


def variant_field(topic: Topic) -> dict[str, Any]:
    """Return the field that sets topics of one channel and symbol apart, where there is one."""
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
    """Return when the server saw an update, as base clients and HTTP reads are told it."""
    return iso_utc(update.server_ms)


def iso_utc(milliseconds: float) -> str:
    """Write milliseconds since 1970 as ISO 8601 in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def update_header(requested_symbol: str, update: Update) -> tuple[Any, str, str, int, Ts]:
    """Return the fields that every update begins with, in the order of the Structs."""
    position = update.position
    return (update.topic.channel, requested_symbol, position.epoch, position.seq, times(update))
