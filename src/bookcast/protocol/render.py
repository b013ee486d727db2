"""Turns steps of a view into finished frames, in the words of each protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET

from bookcast.hub.delta import Side, changes, checksum
from bookcast.hub.status import Status
from bookcast.hub.view import Shown, ViewSpec
from bookcast.model import (
    Book,
    Brokers,
    Candle,
    Quote,
    Symbol,
    TimePoint,
    Topic,
    Trade,
    Trades,
    Update,
)
from bookcast.model.cursor import Cursor
from bookcast.model.history import Gap
from bookcast.protocol import codec, messages
from bookcast.protocol import messages_v1 as v1

BASE: Final = "base"
V1: Final = "v1"

Frame = Callable[[bytes, bool], bytes]
"""Puts a message's text into a WebSocket frame, compressed if that is wanted and worth it."""

_encode: Final = msgspec.json.Encoder().encode


def named_variant(topic: Topic) -> dict[str, Any]:
    """Give the field that tells topics of one channel and symbol apart, where there is one."""
    if not topic.variant:
        return {}
    return {"period" if topic.channel == "candles" else "variant": topic.variant}


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
    ) -> Shown:
        """Show updates to clients who stand at ``before``.

        What changes nothing in the view isn't shown, unless ``unchanged_too``.
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
        return Shown(frames[0] if len(frames) == 1 else b"".join(frames), cursor, len(frames))

    def gap(self, spec: ViewSpec, topic: Topic, gap: Gap) -> bytes:
        """Say that updates are missing."""
        if spec.flavour == BASE:
            return b""
        return self._say(
            v1.GapMessage(
                channel=topic.channel,
                symbol=spec.spelling,
                **named_variant(topic),
                epoch=gap.epoch,
                from_seq=gap.from_seq,
                to_seq=gap.to_seq,
                reason=gap.reason,
            )
        )

    def status(self, spec: ViewSpec, topic: Topic, status: Status) -> bytes:
        """Say how a topic stands."""
        if spec.flavour == BASE:
            return b""
        return self._say(
            v1.StatusMessage(
                channel=topic.channel,
                symbol=spec.spelling,
                **named_variant(topic),
                state=status.state,
                age_ms=status.age_ms,
                reason=status.reason or UNSET,
                source=status.source or UNSET,
                every_ms=status.every_ms if status.every_ms is not None else UNSET,
                quota=v1.Quota(**status.quota._asdict()) if status.quota is not None else UNSET,
                # Of a refused one they go with the error.
                did_you_mean=list(status.did_you_mean) if _has_hints(status) else UNSET,
            )
        )

    def refusal(
        self, spec: ViewSpec, topic: Topic, reason: str, did_you_mean: Sequence[Symbol]
    ) -> bytes:
        """Say that the feed can't get the topic, in the words of whoever refused it."""
        if spec.flavour == BASE:
            question = f"; did you mean {' or '.join(did_you_mean)}?" if did_you_mean else ""
            return self._say(messages.ErrorMessage(f"{spec.spelling}: {reason}{question}"))
        return self._say(
            v1.ErrorMessage(
                code="feed_refused",
                message=reason,
                channel=topic.channel,
                symbol=spec.spelling,
                did_you_mean=list(did_you_mean) or UNSET,
            )
        )

    def _say(self, message: v1.Message | messages.ErrorMessage) -> bytes:
        return self._frame(_encode(message), False)  # noqa: FBT003 - too short to be compressed

    def _trades(self, spec: ViewSpec, updates: Sequence[Update]) -> Shown:
        """Show trades in one message; a history has them without holes and of one epoch."""
        message = v1.TradeMessage(
            *_head(spec, updates[-1]),
            prev_seq=updates[0].position.seq - 1,
            data=v1.TradesData([trade for update in updates for trade in _trades_of(update)]),
        )
        frame = self._frame(_encode(message), spec.deflate)
        return Shown(frame, Cursor.at(updates[-1]), len(updates))


def _has_hints(status: Status) -> bool:
    return status.lacking is not None and bool(status.did_you_mean)


def _state(  # noqa: PLR0911 - one for each kind of data
    spec: ViewSpec, base: Update | None, update: Update, *, unchanged_too: bool
) -> bytes | None:
    """Write an update that stands for itself; None when it shows nothing new.

    ``base``: the update that a delta starts from, None where the client has none.
    """
    if spec.flavour == BASE:
        return codec.encode_update(spec.spelling, update, spec.depth)
    match update.data:
        case Book() as book if spec.delta and base and _continues(base, update):
            return _delta(spec, base, update, book, unchanged_too=unchanged_too)
        case Book(bids, asks):
            data = v1.Sides(_wire(bids[: spec.depth]), _wire(asks[: spec.depth]))
            variant = update.topic.variant or UNSET
            return _encode(v1.OrderbookUpdate(*_head(spec, update), data=data, variant=variant))
        case Quote() as quote:
            return _encode(v1.QuoteUpdate(*_head(spec, update), data=quote))
        case Candle() as candle:
            head = _head(spec, update)
            return _encode(v1.CandleUpdate(*head, period=update.topic.variant, data=candle))
        case Brokers() as brokers:
            return _encode(v1.BrokersUpdate(*_head(spec, update), data=brokers))
        case TimePoint() as point:
            return _encode(v1.TimeframeUpdate(*_head(spec, update), data=point))
        case Trades():  # pragma: no cover - shown together, by Renderer
            raise AssertionError


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
            *_head(spec, update),
            prev_seq=base.position.seq,
            checksum=checksum(bids, asks),
            data=v1.Sides(_wire(changed_bids), _wire(changed_asks)),
            variant=update.topic.variant or UNSET,
        )
    )


def _continues(base: Update, update: Update) -> bool:
    """Tell whether a delta may lead from one to the other: seqs compare only within an epoch."""
    return base.position.epoch == update.position.epoch


def _head(
    spec: ViewSpec, update: Update
) -> tuple[Any, str, str, int, tuple[float | None, float | None, float]]:
    position = update.position
    return (
        update.topic.channel,
        spec.spelling,
        position.epoch,
        position.seq,
        (update.exchange_ms, update.feed_ms, update.server_ms),
    )


def _wire(levels: Side) -> list[Any]:
    return [level if level.orders is not None else (level.price, level.size) for level in levels]


def _trades_of(update: Update) -> tuple[Trade, ...]:
    assert isinstance(update.data, Trades)
    return update.data.trades
