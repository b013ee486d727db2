"""The order book as base clients get it: as its publisher wrote it, or in Futu's form."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from bookcast.model.market_data import Book, Level, Sides
from bookcast.model.updates import Update
from bookcast.protocol.base import messages
from bookcast.protocol.header import iso_utc, server_time

_encoder: Final = msgspec.json.Encoder()
_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_levels: Final = msgspec.json.Decoder(list[msgspec.Raw])


def encode_update(requested_symbol: str, update: Update, depth: int | None = None) -> bytes:
    """Return the message of a book for base clients, with at most ``depth`` levels on each side."""
    return _encoder.encode(
        messages.OrderbookUpdate(
            symbol=requested_symbol,
            data=as_published(update, depth),
            timestamp=server_time(update),
        )
    )


def as_published(update: Update, depth: int | None = None) -> msgspec.Raw:
    """Return the book as its publisher wrote it; a feed's book in the form of Futu's levels.

    ``depth``: at most this many levels on each side; None: all.
    """
    book = update.data
    assert isinstance(book, Book)
    if book.published is not None:
        return book.published if depth is None else _cut(book.published, depth)
    return _in_futus_shape(update, book.as_written(), depth)


def with_whole_numbers(update: Update, depth: int | None = None) -> msgspec.Raw:
    """Return the book in its publisher's form, with whole prices and sizes as integers.

    ``depth``: at most this many levels on each side; None: all.
    """
    book = update.data
    assert isinstance(book, Book)
    sides = Sides(book.bids[:depth], book.asks[:depth])
    if book.published is None:
        return _in_futus_shape(update, sides, depth)
    fields: dict[str, Any] = _fields.decode(book.published)
    for name, side in zip(Sides._fields, sides, strict=True):
        written = _levels.decode(fields[name])
        fields[name] = [_rewritten(text, level) for text, level in zip(written, side, strict=False)]
    return msgspec.Raw(_encoder.encode(fields))


def _rewritten(text: msgspec.Raw, level: Level) -> Any:
    """Return a published level with the model's numbers in place of its own."""
    if bytes(text).startswith(b"["):
        figures = [level.price, level.size, level.orders]
        return figures[: len(_levels.decode(text))]
    fields: dict[str, Any] = _fields.decode(text)
    size = "size" if "size" in fields else "volume"
    fields |= {"price": level.price, size: level.size}
    return fields | ({"orders": level.orders} if "orders" in fields else {})


def _in_futus_shape(update: Update, sides: Sides, depth: int | None) -> msgspec.Raw:
    moment = update.exchange_ms or update.feed_ms or update.server_ms
    bids, asks = sides
    return msgspec.Raw(
        _encoder.encode(
            {
                "bids": [_level(level) for level in bids[:depth]],
                "asks": [_level(level) for level in asks[:depth]],
                "timestamp": iso_utc(moment),
            }
        )
    )


def _cut(published: msgspec.Raw, depth: int) -> msgspec.Raw:
    """Remove levels beyond a depth. The remaining text stays the same, digit by digit."""
    fields: dict[str, Any] = _fields.decode(published)
    for side in ("bids", "asks"):
        fields[side] = _levels.decode(fields[side])[:depth]
    return msgspec.Raw(_encoder.encode(fields))


def _level(level: Level) -> dict[str, float | int]:
    written: dict[str, float | int] = {"price": level.price, "volume": level.size}
    if level.orders is not None:
        written["orders"] = level.orders
    return written
