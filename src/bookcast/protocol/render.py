"""Renders the steps of a view as finished frames of each protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET

from bookcast.hub.status import Status
from bookcast.hub.view_spec import RenderedStep, ViewSpec
from bookcast.model.book_delta import Side, changes, checksum
from bookcast.model.cursor import Cursor
from bookcast.model.history import Gap
from bookcast.model.market_data import Book, Brokers, Candle, Quote, TimePoint, Trade, Trades
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Update
from bookcast.protocol.base import messages
from bookcast.protocol.base.book import encode_update
from bookcast.protocol.header import topic_fields, update_header, variant_field
from bookcast.protocol.names import BASE
from bookcast.protocol.v1 import messages as v1

Frame = Callable[[bytes, bool], bytes]
"""Puts a message's text into a WebSocket frame; True compresses it if it is long enough."""

_encode: Final = msgspec.json.Encoder().encode


class Renderer:
    """Makes the frames of the hub's views."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def updates(
        self,
        spec: ViewSpec,
        before: Cursor | None,
        updates: Sequence[Update],
        *,
        unchanged_too: bool = False,
    ) -> RenderedStep:
        """Return the frames that show updates to clients who stand at ``before``.

        An update that changes nothing in the view is left out, unless ``unchanged_too``.
        """
        if updates and isinstance(updates[0].data, Trades):
            return self._trades(spec, updates)
        frames: list[bytes] = []
        cursor = before
        for update in updates:
            base = cursor.base if cursor is not None else None
            text = _state(spec, base, update, unchanged_too=unchanged_too)
            if text is not None:
                frames.append(self._frame(text, spec.deflate))
                cursor = Cursor.at(update)
        return RenderedStep(
            frames[0] if len(frames) == 1 else b"".join(frames), cursor, len(frames)
        )

    def gap(self, spec: ViewSpec, topic: Topic, gap: Gap) -> bytes:
        """Return the frame that announces lost updates."""
        if spec.protocol == BASE:
            return b""
        return self._frame_of(
            v1.GapMessage(
                **topic_fields(topic, spec.requested_symbol),
                epoch=gap.epoch,
                from_seq=gap.from_seq,
                to_seq=gap.to_seq,
                reason=gap.reason,
            )
        )

    def status(self, spec: ViewSpec, topic: Topic, status: Status) -> bytes:
        """Return the frame with the status of a topic."""
        if spec.protocol == BASE:
            return b""
        return self._frame_of(
            v1.StatusMessage(
                **topic_fields(topic, spec.requested_symbol),
                state=status.state,
                age_ms=status.age_ms,
                reason=status.reason or UNSET,
                source=status.source or UNSET,
                every_ms=status.every_ms if status.every_ms is not None else UNSET,
                quota=v1.Quota(**status.quota._asdict()) if status.quota is not None else UNSET,
                # If the feed refused the topic, the error message has the hints.
                did_you_mean=list(status.did_you_mean) if _has_hints(status) else UNSET,
            )
        )

    def refusal(
        self, spec: ViewSpec, topic: Topic, reason: str, did_you_mean: Sequence[Symbol]
    ) -> bytes:
        """Return the frame that says that the feed can't get a topic, with the reason."""
        if spec.protocol == BASE:
            question = f"; did you mean {' or '.join(did_you_mean)}?" if did_you_mean else ""
            return self._frame_of(
                messages.ErrorMessage(f"{spec.requested_symbol}: {reason}{question}")
            )
        return self._frame_of(
            v1.ErrorMessage(
                code="feed_refused",
                message=reason,
                channel=topic.channel,
                symbol=spec.requested_symbol,
                did_you_mean=list(did_you_mean) or UNSET,
            )
        )

    def _frame_of(self, message: v1.Message | messages.ErrorMessage) -> bytes:
        return self._frame(_encode(message), False)  # noqa: FBT003 - too short to be compressed

    def _trades(self, spec: ViewSpec, updates: Sequence[Update]) -> RenderedStep:
        """Return all trades in one message; they come without gaps, and are of one epoch."""
        message = v1.TradeMessage(
            *update_header(spec.requested_symbol, updates[-1]),
            prev_seq=updates[0].position.seq - 1,
            data=v1.TradesData([trade for update in updates for trade in _trades_of(update)]),
        )
        frame = self._frame(_encode(message), spec.deflate)
        return RenderedStep(frame, Cursor.at(updates[-1]), len(updates))


def _has_hints(status: Status) -> bool:
    return status.lacking is not None and bool(status.did_you_mean)


def _state(
    spec: ViewSpec, base: Update | None, update: Update, *, unchanged_too: bool
) -> bytes | None:
    """Return the message of a single update; None if it changes nothing in the view.

    ``base``: the update that a delta starts from; None: the client has no book yet.
    """
    if spec.protocol == BASE:
        return encode_update(spec.requested_symbol, update, spec.depth)
    data: Any = update.data
    if isinstance(data, Book):
        if spec.delta and base and _continues(base, update):
            return _delta(spec, base, update, data, unchanged_too=unchanged_too)
        data = v1.Sides(_wire(data.bids[: spec.depth]), _wire(data.asks[: spec.depth]))
    return _encode(
        _STRUCTS[type(update.data)](
            *update_header(spec.requested_symbol, update), data=data, **variant_field(update.topic)
        )
    )


_STRUCTS: Final[Mapping[type, type[msgspec.Struct]]] = {
    Book: v1.OrderbookUpdate,
    Quote: v1.QuoteUpdate,
    Candle: v1.CandleUpdate,
    Brokers: v1.BrokersUpdate,
    TimePoint: v1.TimeframeUpdate,
}
"""The ``bookcast.v1`` message type of each kind of data that is sent whole."""


def _delta(
    spec: ViewSpec, base: Update, update: Update, book: Book, *, unchanged_too: bool
) -> bytes | None:
    assert isinstance(base.data, Book)
    bids, asks = book.bids[: spec.depth], book.asks[: spec.depth]
    changed_bids = changes(base.data.bids[: spec.depth], bids, highest_first=True)
    changed_asks = changes(base.data.asks[: spec.depth], asks, highest_first=False)
    if not (changed_bids or changed_asks or unchanged_too):
        return None
    return _encode(
        v1.OrderbookDelta(
            *update_header(spec.requested_symbol, update),
            prev_seq=base.position.seq,
            checksum=checksum(bids, asks),
            data=v1.Sides(_wire(changed_bids), _wire(changed_asks)),
            **variant_field(update.topic),
        )
    )


def _continues(base: Update, update: Update) -> bool:
    """Return whether a delta may start from ``base``: both must be of the same epoch."""
    return base.position.epoch == update.position.epoch


def _wire(levels: Side) -> list[Any]:
    return [level if level.orders is not None else (level.price, level.size) for level in levels]


def _trades_of(update: Update) -> tuple[Trade, ...]:
    assert isinstance(update.data, Trades)
    return update.data.trades
