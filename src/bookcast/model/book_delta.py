"""The delta between two books, how to apply it, and the checksum that verifies the result.

A client that keeps a book from deltas does what :func:`apply` and :func:`checksum` do.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Final

from bookcast.model.market_data import CHECKSUM_LEVELS, Level
from bookcast.model.numbers import Number

MOST_DIGITS: Final = 21
MOST_ZEROS: Final = 5
"""With more digits before the point, or zeros after it, ECMAScript writes an exponent."""

Side = tuple[Level, ...]
"""One side of a book, best level first."""


def changes(before: Side, after: Side, *, highest_first: bool) -> Side:
    """Return the levels that changed from one side to another; a removed level has size 0.

    They are sorted best first, as the sides are.
    """
    if before == after:
        return ()
    old = {level.price: level for level in before}
    changed = [level for level in after if old.pop(level.price, None) != level]
    if old:
        changed += [Level(price, 0) for price in old]
        changed.sort(key=_price, reverse=highest_first)
    return tuple(changed)


def apply(side: Side, changed: Sequence[Level], *, highest_first: bool) -> Side:
    """Return one side after a delta, as a client computes it: size 0 removes a level."""
    levels = {level.price: level for level in side}
    for level in changed:
        if level.size:
            levels[level.price] = level
        else:
            levels.pop(level.price, None)
    return tuple(sorted(levels.values(), key=_price, reverse=highest_first))


def checksum(bids: Side, asks: Side) -> int:
    """Return the CRC-32 of the best levels of both sides, bids first, each as ``price:size;``."""
    text = "".join(
        [
            f"{number_text(level.price)}:{number_text(level.size)};"
            for side in (bids, asks)
            for level in side[:CHECKSUM_LEVELS]
        ]
    )
    return zlib.crc32(text.encode())


@lru_cache(maxsize=65_536)  # the same prices and sizes come again and again
def number_text(number: Number) -> str:
    """Return a number as ECMAScript's ``String(number)`` does. Integers must be below 2**53."""
    if type(number) is int:
        return str(number)
    text = repr(number)
    if "e" in text:
        return _without_pythons_exponent(text)
    if text.endswith(".0"):
        return "0" if text == "-0.0" else text[:-2]
    return text


def _without_pythons_exponent(text: str) -> str:
    """Return the number without an exponent where ECMAScript writes none.

    Python writes an exponent from 1e16 on and below 1e-4, ECMAScript from 1e21 on and below 1e-6.
    """
    sign, figures, exponent = Decimal(text).as_tuple()
    digits = "".join(map(str, figures))
    before_point = len(digits) + int(exponent)
    if before_point > MOST_DIGITS or before_point < -MOST_ZEROS:
        rest = digits[1:] and f".{digits[1:]}"
        written = f"{digits[0]}{rest}e{before_point - 1:+d}"
    elif before_point <= 0:
        written = f"0.{'0' * -before_point}{digits}"
    else:
        written = digits.ljust(before_point, "0")
    return "-" * sign + written


def _price(level: Level) -> Number:
    return level.price
