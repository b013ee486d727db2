"""The actions that a protocol decides on; the client's session performs them in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from bookcast.errors import InvalidInput
from bookcast.hub.hub import DeliveryReport
from bookcast.hub.placement import Placement
from bookcast.hub.view_spec import ViewSpec
from bookcast.ingest.schemas import PublishedUpdate
from bookcast.model.cursor import Cursor
from bookcast.model.topics import Topic
from bookcast.model.updates import Position

Message = msgspec.Struct
"""Any message of a protocol."""


class Send(NamedTuple):
    """Send a message to the client. ``refusal``: the error that it reports, if it reports one."""

    message: Message
    refusal: InvalidInput | None = None


class Subscribe(NamedTuple):
    """Subscribe the client to a topic. This replaces its earlier view of the topic.

    ``confirm`` makes the confirmation from the position where the client begins; it is sent first.
    None: send no confirmation. ``history``: begin this many updates back, in trades and candles.
    Otherwise a client that already had a view goes on from where it was.
    """

    topic: Topic
    spec: ViewSpec
    confirm: Callable[[Position | None], Message] | None
    history: int = 0


class Restore(NamedTuple):
    """Subscribe a returning client to topics, each from its cursor (None: unknown).

    ``answer`` makes the message that goes first, from the placement of each topic; None: there is
    none. ``whole``: begin with a whole book, even if the client has the newest one.
    """

    restored: Sequence[tuple[Topic, ViewSpec, Cursor | None]]
    answer: Callable[[Sequence[Placement]], Message] | None = None
    whole: bool = False


class Unsubscribe(NamedTuple):
    """Unsubscribe the client from a topic."""

    topic: Topic


class Resync(NamedTuple):
    """Send the client the whole state of a topic again."""

    topic: Topic


class Explain(NamedTuple):
    """Report what became of a topic's updates; ``answer`` makes the message."""

    topic: Topic
    answer: Callable[[DeliveryReport], Message]


class Publish(NamedTuple):
    """Publish an update for the client; ``answer`` and ``refuse`` make the answer to it."""

    update: PublishedUpdate
    answer: Callable[[Position], Message]
    refuse: Callable[[InvalidInput], Message]


class Resume(NamedTuple):
    """Take over the session that a token belongs to.

    ``restore`` returns the actions that go on with it. ``refuse`` makes the message if there is no
    such session.
    """

    token: str
    restore: Callable[[Mapping[Topic, tuple[ViewSpec, Cursor | None]]], Sequence[Action]]
    refuse: Callable[[InvalidInput], Message]


class Authenticate(NamedTuple):
    """Verify a credential; ``answer`` and ``refuse`` make the answer to it.

    ``answer`` gets the seconds until the credential expires, None if it never does.
    """

    credential: str
    answer: Callable[[float | None], Message]
    refuse: Callable[[InvalidInput], Message]


Action = (
    Send | Subscribe | Restore | Unsubscribe | Resync | Explain | Publish | Resume | Authenticate
)
