"""Reads and checks a published order book."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from bookcast.errors import InvalidInput
from bookcast.ingest.json_input import read
from bookcast.ingest.schemas import PublishedBook, PublishedLevel, PublishedTuple
from bookcast.model.market_data import Book, Level

# A program in this process may publish decimals.
_encoder: Final = msgspec.json.Encoder(decimal_format="number")
_decoder: Final = msgspec.json.Decoder(PublishedBook)
_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_levels: Final = msgspec.json.Decoder(list[msgspec.Raw])


class ParsedBook(NamedTuple):
    """A book, and the publisher's ``timestamp`` as it was written."""

    book: Book
    timestamp: Any


def parse_book(source: Any, *, refuse_crossed: bool = False) -> ParsedBook:
    """Check a published book. Return it normalised, together with its published text.

    In the normalised book, whole prices and sizes are integers. Crossed and locked books are
    accepted, since auctions cross.

    Args:
        source: JSON text as bytes, or what a JSON reader returns: ``{"bids": [...], "asks": [...],
            ...}``. A level is ``[price, size]``, ``[price, size, orders]`` or ``{"price",
            "size"|"volume", "orders"?, ...}``. Levels of size 0 are dropped. The others must be
            best first, each price once. Numbers in a text are kept for clients digit by digit.
        refuse_crossed: refuse crossed and locked books.

    Raises:
        InvalidInput: with the path of the wrong field.
    """
    given = read(_decoder, source, "invalid_book", "The book")
    bids = _side("bids", given.bids, -1, "highest")
    asks = _side("asks", given.asks, 1, "lowest")
    if refuse_crossed and is_crossed(bids, asks):
        first = next(
            index for index, level in enumerate(given.bids) if level.price == bids[0].price
        )
        raise crossed(bids, asks, _price_path("bids", first, given.bids[first]))
    whole = len(bids) == len(given.bids) and len(asks) == len(given.asks)
    try:
        published = _as_published(source, None if whole else given)
    except (TypeError, ValueError, RecursionError) as error:
        raise _unwritable(error) from None
    return ParsedBook(Book(bids, asks, msgspec.Raw(published)), given.timestamp)


def is_crossed(bids: Sequence[Level], asks: Sequence[Level]) -> bool:
    """Return whether a book is crossed or locked."""
    return bool(bids and asks and bids[0].price >= asks[0].price)


def crossed(bids: Sequence[Level], asks: Sequence[Level], path: str) -> InvalidInput:
    """Return the error for a crossed book; ``path`` is that of its best bid's price."""
    return InvalidInput(
        "invalid_book",
        f"{path}: {bids[0].price} isn't below the best ask, {asks[0].price}; crossed and "
        "locked books are refused here (REFUSE_CROSSED_BOOKS)",
        path=path,
    )


def _as_published(source: Any, without_empty: PublishedBook | None) -> bytes:
    """Return the book's text as published, without levels of size 0 if there are any."""
    if without_empty is None:
        if isinstance(source, bytes):
            return msgspec.json.format(source, indent=-1)
        return _encoder.encode(source)
    text = source if isinstance(source, bytes) else _encoder.encode(source)
    # Only the outer structure is parsed, so that numbers keep every digit.
    fields: dict[str, Any] = _fields.decode(text)
    for name, given in (("bids", without_empty.bids), ("asks", without_empty.asks)):
        fields[name] = _with_size(_levels.decode(fields[name]), given)
    return msgspec.json.format(_encoder.encode(fields), indent=-1)


def _unwritable(error: Exception) -> InvalidInput:
    return InvalidInput("invalid_book", f"The book can't be written as JSON: {error}")


def _side(
    name: str, given: Sequence[PublishedTuple | PublishedLevel], direction: int, best: str
) -> tuple[Level, ...]:
    """Return a side's normalised levels. Prices times ``direction`` must grow."""
    levels: list[Level] = []
    before: float | None = None
    for index, level in enumerate(given):
        size: Any = level.size
        if size is msgspec.UNSET:
            size = level.volume  # type: ignore[union-attr] # a tuple always has its size
            if size is msgspec.UNSET:
                raise InvalidInput(
                    "invalid_book",
                    f"{name}[{index}]: a level needs 'size' (or 'volume')",
                    path=f"{name}[{index}].size",
                )
        if not size:
            continue
        price = level.price
        # The same as numbers.whole, but inline: most of the cost of a book is here.
        if type(price) is float and price.is_integer():
            price = int(price)
        if type(size) is float and size.is_integer():
            size = int(size)
        if before is not None and (price - before) * direction <= 0:
            raise _out_of_order(name, index, level, before, best)
        before = price
        levels.append(Level(price, size, level.orders))
    return tuple(levels)


def _out_of_order(
    name: str, index: int, level: PublishedTuple | PublishedLevel, before: float, best: str
) -> InvalidInput:
    path = _price_path(name, index, level)
    fault = (
        "stands there twice"
        if level.price == before
        else f"comes after {before}; {name} begin with the {best} price"
    )
    return InvalidInput("invalid_book", f"{path}: {level.price} {fault}", path=path)


def _price_path(name: str, index: int, level: PublishedTuple | PublishedLevel) -> str:
    return f"{name}[{index}]" + ("[0]" if isinstance(level, PublishedTuple) else ".price")


def _with_size(raw: Sequence[Any], given: Sequence[PublishedTuple | PublishedLevel]) -> list[Any]:
    return [
        item
        for item, level in zip(raw, given, strict=True)
        if (level.volume if level.size is msgspec.UNSET else level.size)
    ]
