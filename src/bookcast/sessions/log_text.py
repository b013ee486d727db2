"""What the log shows of messages: their beginning, and no secret."""

from __future__ import annotations

import re
from typing import Final

from bookcast.protocol.actions import Message
from bookcast.protocol.v1 import messages as v1

SHOWN: Final = 200
"""So much of a message is shown, in bytes or characters."""

_SECRETS: Final = re.compile(rb'("(?:token|session)"\s*:\s*)"[^"]*"?')


def shown(message: Message) -> str:
    """Return the beginning of a message to a client. Two kinds hold a secret: of those the name."""
    hidden = isinstance(message, v1.Welcome | v1.Resumed)
    return str(message.__struct_config__.tag) if hidden else str(message)[:SHOWN]


def without_secrets(data: bytes) -> bytes:
    """Return the beginning of a client's message."""
    if b"\\u" in data:
        return b"(escaped text)"  # where a name could hide
    return _SECRETS.sub(rb'\1"(hidden)"', data[: 4 * SHOWN])[:SHOWN]
