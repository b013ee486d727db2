"""The answers of ``bookcast.v1`` to a client's messages."""

from __future__ import annotations

from math import ceil
from typing import Final

import msgspec
from msgspec import UNSET

from bookcast.errors import InvalidInput, brief
from bookcast.hub.hub import DeliveryReport
from bookcast.hub.view_spec import ViewSpec
from bookcast.ingest.publication import parse_channel
from bookcast.ingest.unknown_fields import unknown_fields
from bookcast.model.topics import Topic
from bookcast.model.updates import Position
from bookcast.protocol.actions import Send
from bookcast.protocol.header import position_fields, topic_fields
from bookcast.protocol.subscriptions import ConnectionRules
from bookcast.protocol.v1 import messages as v1
from bookcast.protocol.v1.ignored import MAX_IGNORED

MAX_SYMBOLS: Final = 1000
"""A message may name at most this many symbols, or as many as ``MAX_SUBSCRIPTIONS`` if more."""


def most_symbols(terms: ConnectionRules) -> int:
    """Return how many symbols one message may name. It is bounded: each gets its own answer."""
    return max(MAX_SYMBOLS, terms.max_subscriptions)


def seen_as(view: ViewSpec) -> v1.SeenAs:
    """Return how a client sees a topic, as v1 messages have it."""
    return v1.SeenAs(view.depth, "delta" if view.delta else "full", view.interval_ms)


def subscribed(
    topic: Topic, view: ViewSpec, position: Position | None, id_: v1.Id
) -> v1.SubscriptionConfirmed:
    """Return the confirmation that a topic follows, beginning at a position."""
    return v1.SubscriptionConfirmed(
        id=id_,
        **topic_fields(topic, view.requested_symbol),
        view=seen_as(view),
        **position_fields(position),
    )


def listed(topic: Topic, view: ViewSpec) -> v1.Listed:
    """Return one subscription of a list."""
    return v1.Listed(**topic_fields(topic, view.requested_symbol), view=seen_as(view))


def why(topic: Topic, command: v1.Why, word: DeliveryReport) -> v1.WhyMessage:
    """Return the message that says what became of a topic's updates, and what limits them."""
    tally = word.tally
    known = tally.sent + tally.gapped + tally.unchanged + word.queued
    return v1.WhyMessage(
        id=command.id,
        **topic_fields(topic, command.symbol),
        received=tally.received,
        sent=tally.sent,
        conflated=max(0, tally.received - known),
        queued=word.queued,
        gapped=tally.gapped,
        unchanged=tally.unchanged,
        state=word.status.state,
        limited_by=_limit(word),
        last_update_ms=word.last_update_ms,
    )


def _limit(word: DeliveryReport) -> v1.LimitedBy:
    if word.lagging:
        return "slow"
    if word.status.refusal is not None:
        return "right"
    if word.status.quota is not None:
        return "quota"
    return "interval" if word.view.interval_ms else "none"


def published(command: v1.Publish, position: Position) -> v1.PublishedMessage:
    """Return the position of a publication, and the fields of its data that nothing reads."""
    channel = parse_channel(command.channel)
    unknown = unknown_fields(channel, command.data, MAX_IGNORED)
    return v1.PublishedMessage(
        id=command.id,
        channel=channel,
        symbol=command.symbol,
        **position_fields(position),
        ignored=[f"data.{path}" for path in unknown] or UNSET,
    )


def milliseconds(seconds: float) -> float:
    """Return seconds as milliseconds, to the microsecond."""
    return round(seconds * 1000, 3)


def refusal(
    error: InvalidInput,
    id_: v1.Id = UNSET,
    channel: str | msgspec.UnsetType = UNSET,
    symbol: str | msgspec.UnsetType = UNSET,
) -> Send:
    """Return the action that sends an error: what was wrong, and with which topic."""
    return Send(error_of(error, id_, channel, symbol), error)


def error_of(
    error: InvalidInput,
    id_: v1.Id = UNSET,
    channel: str | msgspec.UnsetType = UNSET,
    symbol: str | msgspec.UnsetType = UNSET,
) -> v1.ErrorMessage:
    """Return the error message: what was wrong, and with which topic."""
    return v1.ErrorMessage(
        id=id_,
        code=error.code,
        message=error.message,
        channel=_named(channel, error.channel),
        symbol=_named(symbol, error.symbol),
        retry_after_ms=UNSET if error.retry_after is None else ceil(error.retry_after * 1000),
    )


def _named(given: object, known: str | None) -> str | msgspec.UnsetType:
    """Return a name for an error message: as the client wrote it, else as the error has it."""
    named = known if given is UNSET else given
    return brief(named) if isinstance(named, str) else UNSET
