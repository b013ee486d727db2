"""Times that publishers send: milliseconds since 1970, or ISO 8601 with an offset."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from bookcast.errors import InvalidInput, quoted
from bookcast.model.market_data import MAX_TIME_MS
from bookcast.model.numbers import Number, whole

MIN_TIME_MS: Final = 631_152_000_000
"""The beginning of 1990. No market data are older; an older time was written in seconds."""


def moment(value: Any, path: str) -> Number:
    """Return a time in milliseconds since 1970.

    Raises:
        InvalidInput: the value isn't a time, or is before 1990.
    """
    read = _read(value)
    if read is None:
        raise InvalidInput(
            "invalid_data",
            f"{path}: {quoted(value)} is neither milliseconds since 1970 nor ISO 8601 with an "
            "offset",
            path=path,
        )
    return not_before_1990(read, value, path)


def moment_if_any(value: Any, path: str) -> Number | None:
    """Return the time of a value; None if it isn't a time.

    Raises:
        InvalidInput: the time is before 1990.
    """
    read = _read(value)
    return None if read is None else not_before_1990(read, value, path)


def milliseconds(value: Any) -> Number | None:
    """Return the time of a book's ``timestamp``; None if it isn't a time, or is before 1990."""
    read = _read(value)
    return None if read is None or read < MIN_TIME_MS else read


def not_before_1990(read: Number, value: Any, path: str) -> Number:
    """Return a time that isn't before 1990.

    Args:
        read: the time in milliseconds since 1970.
        value: the time as it was written.
        path: the path of the field.

    Raises:
        InvalidInput: the time is before 1990.
    """
    if read >= MIN_TIME_MS:
        return read
    day = datetime.fromtimestamp(read / 1000, UTC).date().isoformat() if read >= 0 else "long ago"
    in_seconds = not isinstance(value, str) and MIN_TIME_MS <= read * 1000 <= MAX_TIME_MS
    advice = (
        f"it looks like seconds, and milliseconds are wanted: {round(read * 1000)}"
        if in_seconds
        else "times are milliseconds since 1970, or ISO 8601 with an offset"
    )
    raise InvalidInput(
        "invalid_data", f"{path}: {quoted(value)} is {day}, before 1990; {advice}", path=path
    )


def _read(value: Any) -> Number | None:
    if isinstance(value, str):
        try:
            read = datetime.fromisoformat(value)
            # A time without an offset may be in any time zone.
            return whole(round(read.timestamp() * 1000, 3)) if read.tzinfo is not None else None
        except (ValueError, OverflowError):
            return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return whole(value) if 0 <= value <= MAX_TIME_MS else None
    return None
