"""Resuming in ``bookcast.v1``: from positions that the client names, with or without a session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET

from bookcast.errors import InvalidInput
from bookcast.hub.placement import Placement
from bookcast.hub.view_spec import ViewSpec
from bookcast.model.cursor import Cursor
from bookcast.model.market_data import LOSSLESS
from bookcast.model.topics import Topic
from bookcast.model.updates import Position
from bookcast.protocol.actions import Action, Message, Restore, Resume, Subscribe
from bookcast.protocol.header import position_fields, topic_fields
from bookcast.protocol.names import V1
from bookcast.protocol.subscriptions import SavedSubscriptions, Subscriptions
from bookcast.protocol.v1 import messages as v1
from bookcast.protocol.v1.answers import error_of, most_symbols, seen_as


def resume(
    subscriptions: Subscriptions,
    session: str,
    command: v1.Resume,
    faults: Sequence[InvalidInput] = (),
) -> Resume:
    """Return the action that goes on with an earlier session.

    Args:
        subscriptions: those of the client's connection now.
        session: the token with which this new session may be resumed.
        command: what the client asks for.
        faults: errors of positions that can't be read.

    Raises:
        InvalidInput: if the client names too many positions.
    """
    most = most_symbols(subscriptions.terms)
    if len(command.positions) + len(faults) > most:
        raise InvalidInput("invalid_message", f"positions: at most {most}", path="positions")
    positions: dict[Topic, v1.HeldPosition] = {}
    refused = [_unreadable(fault) for fault in faults]
    for one in command.positions:
        try:
            topic = subscriptions.topic(one.symbol, one.channel, one.period, one.variant)
        except InvalidInput as error:
            refused.append(_unreadable(error.about(one.channel, one.symbol)))
        else:
            positions[topic] = one

    def restore(saved: SavedSubscriptions) -> list[Action]:
        going_on = _go_on(subscriptions, saved, positions, refused)

        def answer(places: Sequence[Placement]) -> Message:
            restored = [
                _restored(topic, view, place)
                for (topic, view, _), place in zip(going_on, places, strict=True)
            ]
            return v1.Resumed(id=command.id, session=session, restored=restored, refused=refused)

        return [Restore(going_on, answer)]

    return Resume(command.session, restore, lambda error: error_of(error, command.id))


def _go_on(
    subscriptions: Subscriptions,
    saved: SavedSubscriptions,
    positions: Mapping[Topic, v1.HeldPosition],
    refused: list[v1.NotRestored],
) -> list[tuple[Topic, ViewSpec, Cursor | None]]:
    """Subscribe again to what an earlier connection saw. Return the cursor of each topic.

    Topics that can't go on are appended to ``refused``.
    """
    going_on: list[tuple[Topic, ViewSpec, Cursor | None]] = []
    for topic, (seen, last) in saved.items():
        asked = seen._replace(protocol=V1, deflate=subscriptions.deflate)
        try:
            view = subscriptions.open(topic, asked)
        except InvalidInput as error:
            refused.append(_not_restored(topic, seen.requested_symbol, error.code))
            continue
        place = (
            Position(positions[topic].epoch, positions[topic].seq) if topic in positions else None
        )
        if view.depth != seen.depth and topic.channel not in LOSSLESS:
            place = None  # the client has other levels of the book, so it lacks this one
        has = Cursor(place) if place is not None else None
        # What the server sent last may not have arrived, so the client's own position counts. The
        # server knows the client's book only if that position is the last one it sent, and the
        # view is the same as before.
        if has is not None and last is not None and has.position == last.position and view == seen:
            has = last
        going_on.append((topic, view, has))
    refused += [
        _not_restored(topic, one.symbol, "not_subscribed")
        for topic, one in positions.items()
        if topic not in saved
    ]
    return going_on


def check_since(command: v1.Subscribe, symbol_count: int) -> None:
    """Check the options that a client combines with a position.

    Raises:
        InvalidInput: for more than one symbol, or together with ``history``.
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


def go_on_since(show: Subscribe, since: v1.Since) -> Restore:
    """Show a topic from a position that the client has, instead of from the newest on.

    This server doesn't know the client's book, so a whole book comes before deltas.
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


def _restored(topic: Topic, view: ViewSpec, place: Placement) -> v1.Restored:
    return v1.Restored(
        **topic_fields(topic, view.requested_symbol),
        view=seen_as(view),
        **position_fields(place.position),
        recovered=place.recovered,
    )


def _not_restored(topic: Topic, requested_symbol: str, code: str) -> v1.NotRestored:
    return v1.NotRestored(**topic_fields(topic, requested_symbol), code=code)
