"""Idempotency keys of publishers: checked, and bound to their principal and topic."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from bookcast.errors import InvalidInput
from bookcast.model.topics import Topic
from bookcast.model.updates import Idempotency

HEADER: Final = "Idempotency-Key"

MAX_LENGTH: Final = 128

_SIZE: Final = 16
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


def once(
    key: str, principal: str, topic: Topic, source: Any, *, path: str, part: int = 0
) -> Idempotency:
    """Return the hashes of key and content by which a retry is recognised.

    Each principal has its own keys for each topic.

    Args:
        key: the publisher's key.
        principal: the publisher's principal.
        topic: the topic of the publication.
        source: what was sent, JSON text as bytes or what a JSON reader returns. White space and the
            order of fields make no difference.
        path: names the key in the error.
        part: tells apart several publications of one message to the same topic.

    Raises:
        InvalidInput: the key is empty or too long.
    """
    if not 1 <= len(key) <= MAX_LENGTH:
        raise InvalidInput(
            "invalid_message",
            f"{path}: a key has 1 to {MAX_LENGTH} characters, this one has {len(key)}",
            path=path,
        )
    content = msgspec.json.decode(source) if isinstance(source, bytes) else source
    name = f"{principal}\0{topic}\0{key}" + (f"\0{part}" if part else "")
    return Idempotency(_hash(name.encode()), _hash(_encode(content)))


def _hash(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=_SIZE).digest()
