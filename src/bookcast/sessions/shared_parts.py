"""What all sessions of a node share. ``S`` is the class of the sessions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

import msgspec

from bookcast.auth.gate import Gate
from bookcast.auth.principal import Principal
from bookcast.engine.base import Engine
from bookcast.hub.hub import Hub
from bookcast.limits import Refusals
from bookcast.protocol.render import Frame
from bookcast.protocol.subscriptions import SavedSubscriptions
from bookcast.sessions.base import SessionRules

S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)


class SessionHost(Protocol[S_contra]):
    """The registry of connected clients."""

    def identify(self, session: S_contra, principal: Principal) -> None:
        """Note a client's principal.

        Raises:
            InvalidInput: if that principal has too many connections already.
        """


class Ownership(Protocol[S_contra]):
    """Finds the sessions that clients left behind."""

    def enter(self, session: S_contra) -> None:
        """Look for what a client left behind."""

    def answered(self, session: S_contra) -> None:
        """Note that a client answered the ping that asked whether it is alive."""

    def reclaim(
        self, token: str, session: S_contra, restore: Callable[[SavedSubscriptions], None]
    ) -> bool | Awaitable[bool]:
        """Resume the session of a token in a new connection, whichever node had it.

        ``restore`` is called with what the client saw. Returns False if the principal has no such
        session.

        Raises:
            InvalidInput: if the other nodes can't be asked now.
        """

    def changed(self, session: S_contra) -> None:
        """Note that a client's subscriptions have changed."""


class SessionParts(msgspec.Struct, Generic[S], frozen=True):
    """What all sessions of a node share.

    Attributes:
        hub: shows topics to clients.
        engine: opens topics, and has their logs.
        frame: makes WebSocket frames from texts.
        home: the registry of connected clients.
        ownership: finds the sessions that clients left behind.
        gate: authenticates clients, and returns their rights.
        refusals: counts refusals by reason.
        rules: limits and times.
    """

    hub: Hub
    engine: Engine
    frame: Frame
    home: SessionHost[S]
    ownership: Ownership[S]
    gate: Gate
    refusals: Refusals
    rules: SessionRules
