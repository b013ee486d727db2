"""What a protocol decides; its session does it, in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from bookcast.errors import InvalidInput
from bookcast.hub.hub import Word
from bookcast.hub.view import ViewSpec
from bookcast.model import Position, Topic
from bookcast.protocol.shapes import PublishedUpdate

Message = msgspec.Struct
"""Any message of a protocol."""


class Send(NamedTuple):
    """Send this message to the client."""

    message: Message


class Show(NamedTuple):
    """Show a topic to the client from now on, however it saw it before.

    ``confirm`` makes the message that goes first, from the position that the client begins with.
    ``history``: begin so many updates back, where every update counts.
    """

    topic: Topic
    spec: ViewSpec
    confirm: Callable[[Position | None], Message]
    history: int = 0


class Hide(NamedTuple):
    """Show a topic to the client no more."""

    topic: Topic


class Resync(NamedTuple):
    """Show the client the whole state of a topic once more."""

    topic: Topic


class Explain(NamedTuple):
    """Tell the client what it was sent of a topic; ``answer`` makes the message."""

    topic: Topic
    answer: Callable[[Word], Message]


class Publish(NamedTuple):
    """Publish for the client; ``answer`` makes the message of the outcome."""

    update: PublishedUpdate
    answer: Callable[[Position], Message]
    refuse: Callable[[InvalidInput], Message]


Action = Send | Show | Hide | Resync | Explain | Publish
