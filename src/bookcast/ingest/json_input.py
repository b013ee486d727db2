"""Reads JSON from people and programs. An error names the place and says what is wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, Final, TypeVar

import msgspec

from bookcast.errors import InvalidInput, brief, explain
from bookcast.ingest.lenient import mended

T = TypeVar("T")

_encoder: Final = msgspec.json.Encoder()


def read(decoder: msgspec.json.Decoder[T], source: Any, code: str, whole: str) -> T:
    """Return a Struct from JSON text as bytes, or from what a JSON reader returned.

    Raises:
        InvalidInput: with ``code`` and the path of the wrong field. ``whole`` names the whole input
            in the message.
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
    source.decode()  # fields that aren't read are passed on, and must be valid text too
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
    """Return what Python's JSON reader returns for a text; None if it refuses the text too.

    It accepts NaN, infinities and lone surrogates. Lone surrogates can't be encoded again, so they
    become question marks.
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
    """Return the path of the first number that isn't finite; None if all are finite."""
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    items: Iterable[tuple[Any, Any]]
    if isinstance(value, dict):
        items, form = value.items(), ".{}"
    elif isinstance(value, list):
        items, form = enumerate(value), "[{}]"
    else:
        return None
    # The path is built on the way back; else a long key would be copied for each of its items.
    for key, item in items:
        if (inner := _not_finite(item)) is not None:
            return form.format(key) + inner
    return None


def invalid(
    code: str, error: msgspec.ValidationError, whole: str, kind: Any = None
) -> InvalidInput:
    """Return the error to send for a validation error.

    ``whole`` names the whole input in the message; ``kind``: the type that it was read as.
    """
    path, sentence = explain(error, kind)
    return InvalidInput(code, sentence if path else f"{whole}: {sentence}", path=path)


def shown(value: Any) -> str:
    """Return a JSON value as text, cut if it is long."""
    return brief(_encoder.encode(value).decode())


def not_json(error: Exception) -> str:
    """Return a sentence that says why a text isn't JSON."""
    if isinstance(error, RecursionError):
        return "Not valid JSON: it is nested too deeply"
    return f"Not valid JSON: {error}"
