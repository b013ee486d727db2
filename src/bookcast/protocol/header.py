"""The header of what is sent of a topic: which topic, where in it, and when that was seen."""

from __future__ import annotations

from typing import Any

from bookcast.model import Position, Topic, Update
from bookcast.protocol.messages_v1 import Ts


def topic_fields(topic: Topic, spelling: str) -> dict[str, Any]:
    """Return the fields that name a topic to a client, who spells the symbol its own way."""
    fields: dict[str, Any] = {"channel": topic.channel, "symbol": spelling}
    return fields | variant_field(topic)


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


def update_header(spelling: str, update: Update) -> tuple[Any, str, str, int, Ts]:
    """Return the fields that every update begins with, in the order of the Structs."""
    position = update.position
    return (update.topic.channel, spelling, position.epoch, position.seq, times(update))
