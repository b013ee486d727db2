"""Recognises data in futu-api's form. All other data are left to the usual reader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from bookcast.ingest import schemas
from bookcast.model.topics import Channel

_OUR_ROWS: Final[Mapping[Channel, frozenset[str]]] = {
    **schemas.OURS,
    "trades": frozenset({"size", "side", "timestamp", "id"}),
}
"""The same fields for each of several rows, for instance of a DataFrame."""

_MARKS: Final = {
    channel: tuple(f'"{field}"'.encode() for field in sorted(fields))
    for channel, fields in schemas.THEIRS.items()
}

_SPACE: Final = b" \t\r\n"


def in_vendor_form(channel: Channel, source: Any) -> Any:
    """Return the dict or the rows of data in futu-api's form; None for other data.

    ``source`` is JSON text as bytes, or what a JSON reader returns.
    """
    if isinstance(source, bytes):
        # Most publications are in bookcast's own form: avoid decoding those twice.
        is_list = source.lstrip(_SPACE).startswith(b"[")
        if not is_list and not any(mark in source for mark in _MARKS[channel]):
            return None
        try:
            source = msgspec.json.decode(source)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return None  # the usual reader reports what is wrong
    if isinstance(source, dict):
        return source if schemas.is_theirs(channel, source.keys()) else None
    if not isinstance(source, list) or _are_ours(channel, source):
        return None
    return source


def _are_ours(channel: Channel, rows: list[Any]) -> bool:
    return any(isinstance(row, dict) and row.keys() & _OUR_ROWS[channel] for row in rows)


def without_absent(value: Any) -> Any:
    """Return rows without unknown values: ``'N/A'``, ``''`` and null.

    In a list such a value becomes None, since its place can't be left out.
    """
    if isinstance(value, dict):
        return {key: without_absent(item) for key, item in value.items() if not _is_absent(item)}
    if isinstance(value, list | tuple):
        return [without_absent(item) for item in value]
    return None if _is_absent(value) else value


def _is_absent(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value in {"", "N/A"})
