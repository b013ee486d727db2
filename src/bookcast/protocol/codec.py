"""Reads commands from bytes, and writes messages and updates as bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, Final, TypeVar

import msgspec

from bookcast.errors import InvalidInput, brief, explain
from bookcast.model import Book, Level, Sides, Update
from bookcast.protocol import messages
from bookcast.protocol.header import iso_utc, server_time
from bookcast.protocol.lenient import mended

T = TypeVar("T")

_encoder: Final = msgspec.json.Encoder()


_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_levels: Final = msgspec.json.Decoder(list[msgspec.Raw])


class _Head(msgspec.Struct):
    action: str


_head: Final = msgspec.json.Decoder(_Head)
_commands: Final[dict[str, msgspec.json.Decoder[messages.Command]]] = {
    str(kind.__struct_config__.tag): msgspec.json.Decoder(kind)
    for kind in (
        messages.Subscribe,
        messages.Unsubscribe,
        messages.Ping,
        messages.Authenticate,
    )
}


class UnknownAction(InvalidInput):
    """The action is not one of the protocol's. The wording is part of the base protocol."""

    def __init__(self) -> None:
        super().__init__("invalid_message", "Unknown action", path="action")


def decode_command(data: bytes | str) -> messages.Command:
    """Read what a client said.

    Raises:
        UnknownAction: for an action that doesn't exist.
        InvalidInput: for anything else that is wrong, with a sentence that names the place.
    """
    try:
        action = _head.decode(data).action
        if action not in _commands:
            raise UnknownAction
        return _commands[action].decode(data)
    except msgspec.ValidationError as error:
        raise invalid("invalid_message", error, "The message", messages.Command) from None
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise InvalidInput("invalid_json", not_json(error)) from None


def read(decoder: msgspec.json.Decoder[T], source: Any, code: str, whole: str) -> T:
    """Read a Struct from JSON text as bytes, or from what a JSON reader gave.

    Raises:
        InvalidInput: with ``code`` and the path of the fault when it isn't such a Struct; ``whole``
            is what to call all of it.
    """
    try:
        try:
            return _read_exact(decoder, source)
        except msgspec.ValidationError:
            return _read_exact(decoder, mended(decoder.type, source))
    except msgspec.ValidationError as error:
        raise invalid(code, error, whole, decoder.type) from None
    except (ValueError, RecursionError) as error:
        if not isinstance(source, bytes):
            raise InvalidInput(code, f"{whole} can't be written as JSON: {error}") from None
        raise bad_json(source, error, code) from None


def _read_exact(decoder: msgspec.json.Decoder[T], source: Any) -> T:
    if not isinstance(source, bytes):
        return msgspec.convert(source, decoder.type)
    source.decode()  # what isn't read is passed on, and must be text as well
    return decoder.decode(source)


def bad_json(text: bytes | str, error: Exception, code: str) -> InvalidInput:
    """Return the error for a text that isn't JSON.

    Some programs write NaN and infinities, which JSON doesn't have: then the error has ``code``,
    and the path of the number.
    """
    path = _not_finite(almost_json(text))
    if path is None:
        return InvalidInput("invalid_json", not_json(error))
    path = path.removeprefix(".")
    return InvalidInput(code, f"{path}: NaN and infinities aren't numbers here", path=path)


def almost_json(text: bytes | str) -> Any:
    """Return what Python's JSON reader makes of a text, None if it refuses the text as well.

    It accepts NaN, infinities and lone surrogates. The last can't be written again: they become
    question marks.
    """
    try:
        return _writable(json.loads(text))
    except (ValueError, RecursionError):
        return None


def _writable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_writable(key): _writable(item) for key, item in value.items()}
    return [_writable(item) for item in value] if isinstance(value, list) else value


def _not_finite(value: Any) -> str | None:
    """Return the path of the first number that isn't finite, None where all are."""
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    items: Iterable[tuple[Any, Any]]
    if isinstance(value, dict):
        items, form = value.items(), ".{}"
    elif isinstance(value, list):
        items, form = enumerate(value), "[{}]"
    else:
        return None
    # The path is built on the way back, or a long key would be copied for each of its items.
    for key, item in items:
        if (inner := _not_finite(item)) is not None:
            return form.format(key) + inner
    return None


def encode(message: msgspec.Struct) -> bytes:
    """Return a message as JSON."""
    return _encoder.encode(message)


def encode_update(spelling: str, update: Update, depth: int | None = None) -> bytes:
    """Write a book the way base clients see it, with so many levels on each side."""
    return _encoder.encode(
        messages.OrderbookUpdate(
            symbol=spelling,
            data=as_published(update, depth),
            timestamp=server_time(update),
        )
    )


def as_published(update: Update, depth: int | None = None) -> msgspec.Raw:
    """Return the book as its publisher wrote it, or that of a feed in the shape of Futu's levels.

    ``depth``: only so many levels on each side.
    """
    book = update.data
    assert isinstance(book, Book)
    if book.published is not None:
        return book.published if depth is None else _cut(book.published, depth)
    return _in_futus_shape(update, book.as_written(), depth)


def with_whole_numbers(update: Update, depth: int | None = None) -> msgspec.Raw:
    """Return the book in its publisher's shape, with whole prices and sizes as integers.

    ``depth``: only so many levels on each side.
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
    """Return a published level with the figures of the model in place of its own."""
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
    """Leave out levels past a depth; all else stays as it was, digit by digit."""
    fields: dict[str, Any] = _fields.decode(published)
    for side in ("bids", "asks"):
        fields[side] = _levels.decode(fields[side])[:depth]
    return msgspec.Raw(_encoder.encode(fields))


def _level(level: Level) -> dict[str, float | int]:
    written: dict[str, float | int] = {"price": level.price, "volume": level.size}
    if level.orders is not None:
        written["orders"] = level.orders
    return written


def invalid(
    code: str, error: msgspec.ValidationError, whole: str, kind: Any = None
) -> InvalidInput:
    """Turn a validation error into one for a person.

    ``whole`` is what to call the input; ``kind``: the type that it was read as.
    """
    path, sentence = explain(error, kind)
    return InvalidInput(code, sentence if path else f"{whole}: {sentence}", path=path)


def shown(value: Any) -> str:
    """Return a JSON value as text, cut where it is long."""
    return brief(_encoder.encode(value).decode())


def not_json(error: Exception) -> str:
    """Return in a sentence why a text isn't JSON."""
    if isinstance(error, RecursionError):
        return "Not valid JSON: it is nested too deeply"
    return f"Not valid JSON: {error}"
