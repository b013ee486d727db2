"""Whole numbers are stored and sent as integers, so that they print as ``134``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import is_
from typing import Any, NamedTuple, TypeVar, overload

import msgspec

Number = int | float
"""A finite number. Whole ones become integers where data enter a node; others stay floats."""

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)


@overload
def whole(value: Number) -> Number: ...
@overload
def whole(value: T) -> T: ...
def whole(value: Any) -> Any:
    """Return a whole number as an integer (-0.0 as 0), and anything else unchanged."""
    return int(value) if type(value) is float and value.is_integer() else value


def with_whole(data: S) -> S:
    """Return a Struct with whole numbers as integers, also in nested Structs and tuples.

    Where nothing changes, it is the same Struct.
    """
    changed: dict[str, Any] = {}
    for name, value in zip(data.__struct_fields__, msgspec.structs.astuple(data), strict=True):
        kind = type(value)
        if kind is float:
            if value.is_integer():
                changed[name] = int(value)
        elif kind is tuple or isinstance(value, msgspec.Struct):
            made = all_with_whole(value) if kind is tuple else with_whole(value)
            if made is not value:
                changed[name] = made
    return msgspec.structs.replace(data, **changed) if changed else data


def all_with_whole(values: tuple[S, ...]) -> tuple[S, ...]:
    """Return Structs with whole numbers as integers; the same tuple where nothing changes."""
    made = tuple([with_whole(value) for value in values])
    return values if all(map(is_, made, values)) else made


class Bounds(NamedTuple):
    """The highest and the lowest price of a candle."""

    high: Number
    low: Number


def bounds(high: Number, low: Number, others: Sequence[Number]) -> Bounds:
    """Return a candle's high and low, corrected where they miss another price by rounding.

    Resampling leaves such noise: 0.1 + 0.2 is the float next to 0.3. If a bound misses another
    price by one float, it becomes that price. A bound that misses by more stays.
    """
    highest, lowest = max(others), min(others)
    return Bounds(
        highest if high < highest <= math.nextafter(high, math.inf) else high,
        lowest if low > lowest >= math.nextafter(low, -math.inf) else low,
    )
