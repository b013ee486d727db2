"""Order books: read from messages, changed by deltas, proven by their checksum."""

from __future__ import annotations

import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import msgspec

from bookcast.model.book_delta import number_text
from bookcast.model.market_data import CHECKSUM_LEVELS
from bookcast.protocol.v1.messages import BookLevel, Sides

Levels = tuple[BookLevel, ...]

FRAMES: Final = ("pandas", "polars")
"""Packages that have data frames; the first one that is installed is used."""


class Book(msgspec.Struct, frozen=True):
    """An order book, best level first on both sides. A newer book is another object."""

    bids: Levels
    asks: Levels

    def cut(self, depth: int | None) -> Book:
        """Return the best levels of both sides; None for all."""
        bids, asks = self.bids, self.asks
        if depth is None or (len(bids) <= depth and len(asks) <= depth):
            return self
        return Book(bids[:depth], asks[:depth])

    def checksum(self) -> int:
        """Return the CRC-32 of the best ten levels of both sides, as the server computes it."""
        best = (*self.bids[:CHECKSUM_LEVELS], *self.asks[:CHECKSUM_LEVELS])
        return zlib.crc32("".join([_text(level) for level in best]).encode())

    def frame(self, package: str | None = None) -> Any:
        """Return a DataFrame with a row for each level: its side, place, price, size and orders.

        Args:
            package: ``pandas`` or ``polars``; by default the one that is installed.

        Raises:
            ImportError: when there is none.
        """
        found = package or next((name for name in FRAMES if find_spec(name)), None)
        if found not in FRAMES:
            wanted = "Install one of them" if package is None else f"There is no {package!r} here"
            raise ImportError(
                f"A frame needs pandas or polars. {wanted}: pip install 'bookcast[pandas]'"
            )
        sides = (("bid", self.bids), ("ask", self.asks))
        # Whole numbers are integers in a book; a column has one type.
        rows = [
            (side, place, float(one[0]), float(one[1]), one[2])
            for side, levels in sides
            for place, one in enumerate(levels, 1)
        ]
        names = ("side", "level", "price", "size", "orders")
        columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
        return import_module(found).DataFrame(columns)


class LevelTexts:
    """The levels of a book as its checksum has them: of most, the text stays as it was."""

    def __init__(self) -> None:
        self._bids: dict[float, str] = {}
        self._asks: dict[float, str] = {}

    def change(self, data: Book | Sides) -> None:
        """Write the levels that have changed; a whole book changes none."""
        for texts, levels in ((self._bids, data.bids), (self._asks, data.asks)):
            for level in levels:
                if level[1]:
                    texts[level[0]] = _text(level)
                else:
                    texts.pop(level[0], None)

    def checksum(self, book: Book) -> int:
        """Return the checksum of the book that all changes together make."""
        bids, asks = self._bids, self._asks
        text = "".join(
            [
                *[bids[level[0]] for level in book.bids[:CHECKSUM_LEVELS]],
                *[asks[level[0]] for level in book.asks[:CHECKSUM_LEVELS]],
            ]
        )
        return zlib.crc32(text.encode())


EMPTY: Final = Book((), ())


def _text(level: BookLevel) -> str:
    return f"{number_text(level[0])}:{number_text(level[1])};"


def change_book(book: Book, data: Sides) -> Book | None:
    """Return a book after changes; None where a size makes no sense.

    A whole book changes an empty one.
    """
    bids = _change_side(book.bids, data.bids, _falling)
    asks = _change_side(book.asks, data.asks, _rising)
    return None if bids is None or asks is None else Book(bids, asks)


def _rising(level: BookLevel) -> float:
    return level[0]


def _falling(level: BookLevel) -> float:
    return -level[0]


def _change_side(
    side: Levels, changes: Sequence[BookLevel], order: Callable[[BookLevel], float]
) -> Levels | None:
    if not changes:
        return side
    levels = list(side)
    for level in changes:
        key = order(level)
        place = bisect_left(levels, key, key=order)
        is_there = place < len(levels) and levels[place][0] == level[0]
        size = level[1]
        if size > 0:
            levels[place : place + is_there] = (level,)
        elif size < 0:
            return None
        elif is_there:
            del levels[place]
    return tuple(levels)


def checksum(bids: Iterable[Any], asks: Iterable[Any]) -> int:
    """Return the checksum of a book, which its deltas prove themselves by.

    Each level is one of a book's, or a pair of price and size; numbers of any kind count by their
    value, so 134.0 is 134.
    """
    sides = [tuple(_level(level) for level in side) for side in (bids, asks)]
    return Book(*sides).checksum()


def _level(level: Any) -> BookLevel:
    # A row of a pandas frame is no mapping, but has keys; its ``size`` is how many they are.
    if isinstance(level, Mapping) or hasattr(level, "keys"):
        price, size = level["price"], level["size"] if "size" in level else level["volume"]
    elif hasattr(level, "price"):
        price, size = level.price, level.size
    else:
        price, size = level[0], level[1]
    return BookLevel(_number(price), _number(size))


def _number(number: Any) -> int | float:
    return number if type(number) in (int, float) else float(number)
