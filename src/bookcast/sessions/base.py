"""What a session needs of what surrounds it: rules, the client's side, and where sessions meet."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from bookcast.auth.gate import Gate
from bookcast.auth.principal import Principal, Rights
from bookcast.engine.base import Engine
from bookcast.errors import CloseCode, InvalidInput
from bookcast.hub.hub import Hub
from bookcast.limits import Refusals
from bookcast.model import Position
from bookcast.protocol.connection import Parked, Terms
from bookcast.protocol.render import Frame
from bookcast.protocol.shapes import PublishedUpdate

if TYPE_CHECKING:
    from bookcast.sessions.session import Session

Outcomes = Sequence[Position | InvalidInput]
"""The position of each update that was published together, or what is wrong with it."""


PublishAll = Callable[[Sequence[PublishedUpdate], Rights, str], Awaitable[Outcomes]]
"""Publishes updates in order, as far as rights go, under the idempotency keys of a principal."""


PublishFrom = Callable[[Sequence[PublishedUpdate], Rights, str, Hashable], Awaitable[Outcomes]]
"""The same for a connection, which may be lost."""


class SessionRules(msgspec.Struct, frozen=True):
    """What holds for every session. Times are in seconds, ``now`` gives those since 1970.

    ``message_rate``, ``publish_rate``: messages and publications a second; 0: no limit.
    """

    terms: Terms = Terms()
    slow_timeout: float = 30.0
    heartbeat_ms: int = 10_000
    ping_interval: float = 20.0
    ping_timeout: float = 20.0
    auth_timeout: float = 10.0
    message_rate: float = 0.0
    publish_rate: float = 0.0
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic


class Peer(Protocol):
    """The client's side of a session: its WebSocket."""

    heard_at: float
    """When something of it came last, in monotonic seconds."""

    def backlog(self) -> int:
        """Return how many bytes wait in this process."""

    def ping(self, payload: bytes) -> None:
        """Ask whether it is there."""

    def end(self, code: CloseCode) -> None:
        """Close the connection."""

    def go_on(self) -> None:
        """Do what the session has to do without the client having said anything."""


class Home(Protocol):
    """Who is connected."""

    def identify(self, session: Session, principal: Principal) -> None:
        """Take note of who a client is.

        Raises:
            InvalidInput: when that principal has connections enough.
        """


class Ownership(Protocol):
    """Where sessions find what they left behind."""

    def enter(self, session: Session) -> None:
        """Look for what a client left behind."""

    def answered(self, session: Session) -> None:
        """Take note that a client that was asked whether it is there is."""

    def reclaim(
        self, token: str, session: Session, restore: Callable[[Parked], None]
    ) -> bool | Awaitable[bool]:
        """Resume the session of a token in a new connection, wherever it was.

        ``restore`` is given what it saw. Returns False if that principal has no such session.

        Raises:
            InvalidInput: when nobody can tell now.
        """

    def changed(self, session: Session) -> None:
        """Take note that a client sees something else than before."""


class SessionParts(msgspec.Struct, frozen=True):
    """What all sessions of a node share.

    Attributes:
        hub: shows topics to clients.
        engine: opens topics, and has what is known of them.
        frame: makes WebSocket frames of texts.
        home: who is connected.
        ownership: where sessions find what they left behind.
        gate: who somebody is, and what they may do.
        refusals: counts who was refused what.
        rules: limits and times.
    """

    hub: Hub
    engine: Engine
    frame: Frame
    home: Home
    ownership: Ownership
    gate: Gate
    refusals: Refusals
    rules: SessionRules
