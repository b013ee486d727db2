"""Converts what a program publishes in process to what a JSON reader returns.

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
"""The types of pandas' missing values, NaT and NA."""


def plain(value: Any, code: str, path: str = "") -> Any:
    """Return a value made only of dicts, lists, text, finite numbers, booleans and None.

    Decimals with a fraction stay decimals, so that a book's prices keep their digits. Dates and
    times become ISO 8601. An unknown object stays as it is, and the reader refuses it later.

    Args:
        value: what the program passed.
        code: the error's code.
        path: the place of the value in what the program passed.

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
    """Return the value of an object whose type JSON doesn't have."""
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
    """Return the rows of a DataFrame or the values of a Series; None for other objects."""
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
    """Return the value of a numpy scalar or array."""
    dtype = value.dtype
    names = getattr(dtype, "names", None)
    if names and getattr(value, "shape", ()):
        return plain([{name: row[name] for name in names} for row in value], code, path)
    if names:
        return plain({name: value[name] for name in names}, code, path)
    if dtype.kind == "M" and not hasattr(value, "tz"):  # numpy's times have no time zone
        return plain(value.astype("datetime64[us]").tolist(), code, path)
    if dtype.kind == "f" and dtype.itemsize != FLOAT64_BYTES:
        if getattr(value, "shape", ()):
            return plain(list(value), code, path)
        # A 32-bit 189.9 means 189.9, not 189.89999389648438.
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
    # A datetime and a pandas Timestamp are dates too.
    date: lambda value, _code, _path: value.isoformat(),
    time: lambda value, _code, _path: value.isoformat(),
    enum.Enum: lambda value, code, path: plain(value.value, code, path),
    str: lambda value, _code, _path: str(value),
    int: lambda value, _code, _path: int(value),
    Real: lambda value, code, path: _finite(float(value), code, path),
    bytes: lambda value, _code, _path: value,  # not a list of numbers
    Iterable: lambda value, code, path: plain(list(value), code, path),
}
"""The conversion of each kind of object; the first kind that fits counts."""
