"""Batches of publications: an unreadable update gets an error and doesn't stop the others."""

from __future__ import annotations

import json
import re
from typing import Final

import msgspec

from bookcast.errors import InvalidInput
from bookcast.ingest.json_input import almost_json, bad_json, read
from bookcast.ingest.schemas import PublishedBatch, PublishedUpdate


class _Batch(msgspec.Struct):
    updates: list[msgspec.Raw]


_batch: Final = msgspec.json.Decoder(PublishedBatch)
_raw_batch: Final = msgspec.json.Decoder(_Batch)
_update: Final = msgspec.json.Decoder(PublishedUpdate)
_any: Final = json.JSONDecoder()
_SPACE: Final = re.compile(r"[ \t\n\r]*")


def decode_batch(text: bytes) -> list[PublishedUpdate | InvalidInput]:
    """Return the updates of a batch, or the error of each unreadable one.

    An update's data are read later, when it is published.

    Raises:
        InvalidInput: the text isn't a batch at all.
    """
    try:
        return [*read(_batch, text, "invalid_data", "The batch").updates]
    except InvalidInput as error:
        if not error.path.startswith("updates["):
            raise
    return [_read(one) for one in _split(text)]


def _read(text: bytes) -> PublishedUpdate | InvalidInput:
    try:
        return read(_update, text, "invalid_data", "The update")
    except InvalidInput as error:
        said = almost_json(text)
        return (
            error.about(said.get("channel"), said.get("symbol"))
            if isinstance(said, dict)
            else error
        )


def _split(text: bytes) -> list[bytes]:
    """Return the text of each update.

    Raises:
        InvalidInput: the batch isn't JSON, even if NaN and infinities are allowed.
    """
    try:
        return [bytes(one) for one in _raw_batch.decode(text).updates]
    except (msgspec.DecodeError, RecursionError) as fault:
        try:
            json.loads(text)
            return [one.encode() for one in _split_almost_json(text.decode())]
        except (ValueError, RecursionError):
            raise bad_json(text, fault, "invalid_data") from None


def _split_almost_json(text: str) -> list[str]:
    """Return the text of each update of a batch that only Python's JSON reader accepts."""
    updates: list[str] = []
    at = _past_space(text, text.index("{") + 1)
    while text[at] != "}":
        name, at = _any.raw_decode(text, at)
        at = _past_space(text, _past_space(text, at) + 1)  # skip the colon
        if name == "updates" and text[at] == "[":
            updates, at = _split_list(text, at)
        else:
            _, at = _any.raw_decode(text, at)
        at = _past_comma(text, at)
    return updates


def _split_list(text: str, at: int) -> tuple[list[str], int]:
    """Return the text of each item of a list, and where the list ends."""
    items: list[str] = []
    at = _past_space(text, at + 1)
    while text[at] != "]":
        _, end = _any.raw_decode(text, at)
        items.append(text[at:end])
        at = _past_comma(text, end)
    return items, at + 1


def _past_comma(text: str, at: int) -> int:
    at = _past_space(text, at)
    return _past_space(text, at + 1) if text[at] == "," else at


def _past_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None  # the pattern also matches an empty text
    return found.end()
