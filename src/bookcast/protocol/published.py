"""What publishers send, checked and turned into what the engine takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from operator import gt, lt
from typing import Any, Final

import msgspec

from bookcast.errors import InvalidInput
from bookcast.model import MAX_TIME_MS, Book, Level, Publication, Topic, parse_symbol
from bookcast.protocol.codec import invalid
from bookcast.protocol.messages import PublishedBook, PublishedLevel, PublishedTuple

# In process, prices may come as decimals.
_encoder: Final = msgspec.json.Encoder(decimal_format="number")


def parse_orderbook(
    symbol: str, data: Any, default_market: str, text: bytes | None = None
) -> Publication:
    """Turn a published order book into a publication.

    ``data`` is what a JSON reader gives: ``{"bids": [...], "asks": [...], ...}``, levels as
    ``[price, size]``, ``[price, size, orders]`` or ``{"price", "size"|"volume", "orders"?, ...}``.
    ``text`` is the JSON it was read from, if it was.

    Raises:
        InvalidInput: with the path of the wrong field.
    """
    topic = Topic("orderbook", parse_symbol(symbol, default_market))
    return Publication(topic, parse_book(data, text))


def parse_book(data: Any, text: bytes | None = None) -> Book:
    """Check a published book and keep it both normalised and as published.

    Levels of size 0 are no levels and are dropped; the rest must be best first, each price once.
    Crossed and locked books are accepted, since auctions cross. Of ``text``, every number goes on
    to clients digit by digit.

    Raises:
        InvalidInput: with the path of the wrong field.
    """
    try:
        book = msgspec.convert(data, PublishedBook)
    except msgspec.ValidationError as error:
        raise invalid("invalid_book", error, "The book") from None
    except (ValueError, RecursionError) as error:
        raise _not_json(error) from None
    bids = _side("bids", book.bids, gt, "highest")
    asks = _side("asks", book.asks, lt, "lowest")
    try:
        if text is not None and len(bids) == len(book.bids) and len(asks) == len(book.asks):
            published = msgspec.json.format(text, indent=-1)
        else:
            published = _encoder.encode(
                {
                    **data,
                    "bids": _with_size(data["bids"], book.bids),
                    "asks": _with_size(data["asks"], book.asks),
                }
            )
    except (TypeError, ValueError, RecursionError) as error:
        raise _not_json(error) from None
    return Book(
        bids,
        asks,
        exchange_ms=_milliseconds(data.get("timestamp")),
        published=msgspec.Raw(published),
    )


def _not_json(error: Exception) -> InvalidInput:
    return InvalidInput("invalid_book", f"The book can't be written as JSON: {error}")


def _side(
    name: str,
    given: Sequence[PublishedTuple | PublishedLevel],
    better: Callable[[float, float], bool],
    best: str,
) -> tuple[Level, ...]:
    levels: list[Level] = []
    for index, level in enumerate(given):
        size = _size(level)
        if size is msgspec.UNSET:
            raise InvalidInput(
                "invalid_book",
                f"{name}[{index}]: a level needs 'size' (or 'volume')",
                path=f"{name}[{index}].size",
            )
        if size == 0:
            continue
        price = level.price or 0  # -0 is 0
        if levels and not better(levels[-1].price, price):
            place = f"{name}[{index}]" + ("[0]" if isinstance(level, PublishedTuple) else ".price")
            fault = (
                "stands there twice"
                if levels[-1].price == price
                else f"comes after {levels[-1].price}; {name} begin with the {best} price"
            )
            raise InvalidInput("invalid_book", f"{place}: {price} {fault}", path=place)
        levels.append(Level(price, size, level.orders))
    return tuple(levels)


def _with_size(raw: Sequence[Any], given: Sequence[PublishedTuple | PublishedLevel]) -> list[Any]:
    return [item for item, level in zip(raw, given, strict=True) if _size(level)]


def _size(level: PublishedTuple | PublishedLevel) -> Any:
    if isinstance(level, PublishedLevel) and level.size is msgspec.UNSET:
        return level.volume
    return level.size


def _milliseconds(timestamp: Any) -> float | None:
    """Understand a publisher's timestamp where that is possible."""
    if isinstance(timestamp, str):
        try:
            moment = datetime.fromisoformat(timestamp)
        except ValueError:
            return None
        # A time without an offset could be anybody's local time.
        return moment.timestamp() * 1000 if moment.tzinfo is not None else None
    if isinstance(timestamp, int | float) and not isinstance(timestamp, bool):
        return float(timestamp) if 0 <= timestamp <= MAX_TIME_MS else None
    return None
