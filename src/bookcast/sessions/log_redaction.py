"""What the log shows of messages: their beginning, without secrets."""

from __future__ import annotations

import re
from typing import Final

from bookcast.protocol.actions import Message
from bookcast.protocol.v1 import messages as v1

SHOWN: Final = 200
"""This much of a message is shown, in bytes or characters."""

_SECRETS: Final = re.compile(rb'("(?:token|session)"\s*:\s*)"[^"]*"?')


def shown(message: Message) -> str:
    """Return the beginning of a message to a client; only its type if it contains a secret."""
    hidden = isinstance(message, v1.Welcome | v1.Resumed)
    return str(message.__struct_config__.tag) if hidden else str(message)[:SHOWN]


def without_secrets(data: bytes) -> bytes:
    """Return the beginning of a client's message, with tokens replaced."""
    if b"\\u" in data:
        return b"(escaped text)"  # an escape could hide the name of a secret field
    return _SECRETS.sub(rb'\1"(hidden)"', data[: 4 * SHOWN])[:SHOWN]
