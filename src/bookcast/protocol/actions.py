"""What a protocol decides; its session does it, in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from bookcast.errors import InvalidInput
from bookcast.hub.hub import Placement, Word
from bookcast.hub.view import ViewSpec
from bookcast.model import Position, Topic
from bookcast.model.cursor import Cursor
from bookcast.protocol.shapes import PublishedUpdate

Message = msgspec.Struct
"""Any message of a protocol."""


class Send(NamedTuple):
    """Send this message to the client; ``refusal``: what it says that was wrong."""

    message: Message
    refusal: InvalidInput | None = None


class Show(NamedTuple):
    """Show a topic to the client from now on, however it saw it before.

    ``confirm`` makes the message that goes first, if any, from the position that the client begins
    with. ``history``: begin so many updates back, where every update counts; else it goes on from
    where it was.
    """

    topic: Topic
    spec: ViewSpec
    confirm: Callable[[Position | None], Message] | None
    history: int = 0


class Restore(NamedTuple):
    """Go on showing topics to a client that comes back, each from what it has of it, if known.

    ``answer`` makes the message that goes first, if any, of each one's position and of whether
    nothing is missing. ``whole``: books begin with a whole one, even where it has the newest.
    """

    restored: Sequence[tuple[Topic, ViewSpec, Cursor | None]]
    answer: Callable[[Sequence[Placement]], Message] | None = None
    whole: bool = False


class Hide(NamedTuple):
    """Show a topic to the client no more."""

    topic: Topic


class Resync(NamedTuple):
    """Show the client the whole state of a topic once more."""

    topic: Topic


class Explain(NamedTuple):
    """Answer what the client was sent of a topic; ``answer`` makes the message."""

    topic: Topic
    answer: Callable[[Word], Message]


class Publish(NamedTuple):
    """Publish for the client; ``answer`` makes the message of the outcome."""

    update: PublishedUpdate
    answer: Callable[[Position], Message]
    refuse: Callable[[InvalidInput], Message]


class Resume(NamedTuple):
    """Take over the session that a token is for.

    ``restore`` decides what of it goes on, ``refuse`` makes the message when there is none.
    """

    token: str
    restore: Callable[[Mapping[Topic, tuple[ViewSpec, Cursor | None]]], Sequence[Action]]
    refuse: Callable[[InvalidInput], Message]


class Authenticate(NamedTuple):
    """Find out whose credential it is; ``answer`` and ``refuse`` make the message of the outcome.

    ``answer`` is given the seconds until it expires, None when it doesn't.
    """

    credential: str
    answer: Callable[[float | None], Message]
    refuse: Callable[[InvalidInput], Message]


Action = Send | Show | Restore | Hide | Resync | Explain | Publish | Resume | Authenticate
