"""Converts what a program passes in process to what a JSON reader returns.

Numbers of numpy, decimals, dates, and tables of pandas and polars are recognised by their methods;
none of these packages is imported.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import date, time
from decimal import Decimal
from numbers import Real
from typing import Any, Final

from bookcast.errors import InvalidInput

_ATOMS: Final = frozenset({int, str, bool, type(None)})

FLOAT64_BYTES: Final = 8

_MISSING: Final = frozenset({"NaTType", "NAType"})
"""What pandas writes where there is nothing: NaT and NA."""


def plain(value: Any, code: str, path: str = "") -> Any:
    """Return a value made of dicts, lists, text, finite numbers, true, false and None alone.

    Decimals with a fraction stay decimals, so that a book's prices go on digit by digit. Dates and
    times become ISO 8601. What isn't known stays as it is, and is refused where it is read.

    Args:
        value: what was handed over.
        code: of the error.
        path: where the value stands in what was handed over.

    Raises:
        InvalidInput: for a number that isn't finite, with its path.
    """
    kind = type(value)
    if kind in _ATOMS:
        return value
    if kind is float:
        return _finite(value, code, path)
    try:
        if isinstance(value, Mapping):
            dot = "." if path else ""
            return {
                _key(key): plain(item, code, f"{path}{dot}{key}") for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [
                item if type(item) in _ATOMS else plain(item, code, f"{path}[{index}]")
                for index, item in enumerate(value)
            ]
    except RecursionError:
        raise InvalidInput(code, "The data are nested too deeply, or contain themselves") from None
    return _foreign(value, code, path)


def _foreign(value: Any, code: str, path: str) -> Any:
    """Return the value of an object that JSON doesn't have."""
    if type(value).__name__ in _MISSING:
        return None
    if hasattr(value, "dtype") and hasattr(value, "tolist") and not hasattr(value, "index"):
        return _from_numpy(value, code, path)
    table = _rows(value)
    if table is not None:
        return plain(table, code, path)
    for kind, convert in _CONVERSIONS.items():
        if isinstance(value, kind):
            return convert(value, code, path)
    return value


def _from_decimal(value: Decimal, code: str, path: str) -> Decimal | int:
    if not value.is_finite():
        raise _not_finite(value, code, path)
    return int(value) if value.as_tuple().exponent == 0 else value


def _rows(value: Any) -> Any:
    """Return the rows of a DataFrame, or the values of a Series; None for what is neither."""
    if hasattr(value, "to_dicts"):  # polars
        return value.to_dicts()
    if not (hasattr(value, "to_dict") and hasattr(value, "index")):
        return None
    if hasattr(value, "columns"):
        named = any(name is not None for name in value.index.names)
        return (value.reset_index() if named else value).to_dict("records")
    is_counted = not any(isinstance(label, str) for label in value.index)
    return value.tolist() if is_counted else value.to_dict()


def _from_numpy(value: Any, code: str, path: str) -> Any:
    """Return the value of a scalar or an array of numpy."""
    dtype = value.dtype
    names = getattr(dtype, "names", None)
    if names and getattr(value, "shape", ()):
        return plain([{name: row[name] for name in names} for row in value], code, path)
    if names:
        return plain({name: value[name] for name in names}, code, path)
    if dtype.kind == "M" and not hasattr(value, "tz"):  # numpy's times have no zone
        return plain(value.astype("datetime64[us]").tolist(), code, path)
    if dtype.kind == "f" and dtype.itemsize != FLOAT64_BYTES:
        if getattr(value, "shape", ()):
            return plain(list(value), code, path)
        # 189.9 of 32 bits is meant as 189.9, and isn't 189.89999389648438.
        return _finite(float(str(value)), code, path)
    return plain(value.tolist(), code, path)


def _key(key: Any) -> Any:
    return key if type(key) in _ATOMS else str(key)


def _finite(value: float, code: str, path: str) -> float:
    if not math.isfinite(value):
        raise _not_finite(value, code, path)
    return value


def _not_finite(value: Any, code: str, path: str) -> InvalidInput:
    name = "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"  # noqa: PLR0124 - NaN alone differs from itself
    where = f"{path}: " if path else ""
    return InvalidInput(
        code, f"{where}{name} isn't a number here; leave out what isn't known", path=path
    )


_CONVERSIONS: Final[Mapping[type, Callable[[Any, str, str], Any]]] = {
    Decimal: _from_decimal,
    # A datetime and a Timestamp are dates.
    date: lambda value, _code, _path: value.isoformat(),
    time: lambda value, _code, _path: value.isoformat(),
    enum.Enum: lambda value, code, path: plain(value.value, code, path),
    str: lambda value, _code, _path: str(value),
    int: lambda value, _code, _path: int(value),
    Real: lambda value, code, path: _finite(float(value), code, path),
    bytes: lambda value, _code, _path: value,  # no list of numbers
    Iterable: lambda value, code, path: plain(list(value), code, path),
}
"""How kinds of objects are read; the first that fits counts."""
