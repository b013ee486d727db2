"""Going on in ``bookcast.v1`` from positions that the client tells, with its session or without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
from msgspec import UNSET

from bookcast.errors import InvalidInput
from bookcast.hub.hub import Placement
from bookcast.hub.view import ViewSpec
from bookcast.model import LOSSLESS, Position, Topic
from bookcast.model.cursor import Cursor
from bookcast.protocol import messages_v1 as v1
from bookcast.protocol.actions import Action, Message, Restore, Resume, Show
from bookcast.protocol.answers import MAX_SYMBOLS, error_of, seen_as
from bookcast.protocol.connection import Parked, Terms
from bookcast.protocol.published import topic_of
from bookcast.protocol.render import named_variant


class Connection(Protocol):
    """What goes on: a client's subscriptions, and what it may see."""

    terms: Terms
    session: str
    subscriptions: dict[Topic, ViewSpec]

    def check(self, topic: Topic) -> None:
        """Let the client see a topic.

        Raises:
            InvalidInput: when it has no right to, or subscriptions enough.
        """

    def spec_of(
        self, topic: Topic, spelling: str, depth: int | None, mode: str, interval_ms: int
    ) -> ViewSpec:
        """Give the view that the client asked for, as far as its rights go."""


def resume(
    connection: Connection, command: v1.Resume, faults: Sequence[InvalidInput] = ()
) -> Resume:
    """Decide on a client's wish to go on with an earlier session.

    ``faults``: positions that can't be read.

    Raises:
        InvalidInput: when it is too long.
    """
    most = max(MAX_SYMBOLS, connection.terms.max_subscriptions)
    if len(command.positions) + len(faults) > most:
        raise InvalidInput("invalid_message", f"positions: at most {most}", path="positions")
    held: dict[Topic, v1.HeldPosition] = {}
    refused = [_unreadable(fault) for fault in faults]
    for one in command.positions:
        try:
            held[_topic(connection.terms, one)] = one
        except InvalidInput as error:
            refused.append(_unreadable(error.about(one.channel, one.symbol)))

    def restore(parked: Parked) -> list[Action]:
        return _restore(connection, parked, held, refused, command.id)

    return Resume(command.session, restore, lambda error: error_of(error, command.id))


def _restore(
    connection: Connection,
    parked: Parked,
    held: dict[Topic, v1.HeldPosition],
    refused: list[v1.NotRestored],
    id_: v1.Id,
) -> list[Action]:
    going_on: list[tuple[Topic, ViewSpec, Cursor | None]] = []
    for topic, (seen, last) in parked.items():
        try:
            connection.check(topic)
        except InvalidInput as error:
            refused.append(_not_restored(topic, seen.spelling, error.code))
            continue
        mode = "delta" if seen.delta else "full"
        spec = connection.spec_of(topic, seen.spelling, seen.depth, mode, seen.interval_ms)
        connection.subscriptions[topic] = spec
        place = Position(held[topic].epoch, held[topic].seq) if topic in held else None
        if spec.depth != seen.depth and topic.channel not in LOSSLESS:
            place = None  # having other levels of a book, it doesn't have this one
        has = Cursor(place) if place is not None else None
        # What we sent last may never have come: what the client says counts. Only if that is the
        # same, and it sees the topic as it did, do we know what it has.
        if has is not None and last is not None and has.position == last.position and spec == seen:
            has = last
        going_on.append((topic, spec, has))
    refused += [
        _not_restored(topic, one.symbol, "not_subscribed")
        for topic, one in held.items()
        if topic not in parked
    ]

    def answer(places: Sequence[Placement]) -> Message:
        return v1.Resumed(
            id=id_,
            session=connection.session,
            restored=[
                _restored(topic, spec, place)
                for (topic, spec, _), place in zip(going_on, places, strict=True)
            ],
            refused=refused,
        )

    return [Restore(going_on, answer)]


def check_since(command: v1.Subscribe, symbol_count: int) -> None:
    """Check what a client may ask for together with a position.

    Raises:
        InvalidInput: for more than one symbol, or a history as well.
    """
    if command.since is None:
        return
    if symbol_count > 1:
        raise InvalidInput(
            "invalid_message",
            f"since: a position belongs to one symbol, not to {symbol_count}; "
            "subscribe to each with its own",
            path="since",
        )
    if command.history:
        raise InvalidInput(
            "invalid_message",
            "since: leave out 'history', or 'since': one begins after what you have, "
            "the other so many back",
            path="since",
        )


def go_on_since(show: Show, since: v1.Since) -> Restore:
    """Show a topic from a position that the client has, instead of from the newest on.

    What its book looks like isn't known: with deltas it begins with a whole one.
    """

    def answer(places: Sequence[Placement]) -> Message:
        [place] = places
        assert show.confirm is not None
        return msgspec.structs.replace(show.confirm(place.position), recovered=place.recovered)

    last = Cursor(Position(since.epoch, since.seq))
    return Restore([(show.topic, show.spec, last)], answer, whole=show.spec.delta)


def _unreadable(fault: InvalidInput) -> v1.NotRestored:
    return v1.NotRestored(
        channel=UNSET if fault.channel is None else fault.channel,
        symbol=UNSET if fault.symbol is None else fault.symbol,
        code=fault.code,
        message=fault.message,
    )


def _topic(terms: Terms, held: v1.HeldPosition) -> Topic:
    market = terms.default_market
    return topic_of(held.channel, held.symbol, market, held.period, variant=held.variant)


def _restored(topic: Topic, spec: ViewSpec, place: Placement) -> v1.Restored:
    position = place.position
    return v1.Restored(
        channel=topic.channel,
        symbol=spec.spelling,
        **named_variant(topic),
        view=seen_as(spec),
        epoch=position.epoch if position else None,
        seq=position.seq if position else None,
        recovered=place.recovered,
    )


def _not_restored(topic: Topic, spelling: str, code: str) -> v1.NotRestored:
    return v1.NotRestored(channel=topic.channel, symbol=spelling, **named_variant(topic), code=code)
