"""What all sessions of a node share. ``S`` is the class of the sessions themselves."""

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
    """Who is connected."""

    def identify(self, session: S_contra, principal: Principal) -> None:
        """Take note of who a client is.

        Raises:
            InvalidInput: when that principal has connections enough.
        """


class Ownership(Protocol[S_contra]):
    """Where sessions find what they left behind."""

    def enter(self, session: S_contra) -> None:
        """Look for what a client left behind."""

    def answered(self, session: S_contra) -> None:
        """Take note that a client that was asked whether it is there is."""

    def reclaim(
        self, token: str, session: S_contra, restore: Callable[[SavedSubscriptions], None]
    ) -> bool | Awaitable[bool]:
        """Resume the session of a token in a new connection, wherever it was.

        ``restore`` is given what it saw. Returns False if that principal has no such session.

        Raises:
            InvalidInput: when nobody can tell now.
        """

    def changed(self, session: S_contra) -> None:
        """Take note that a client sees something else than before."""


class SessionParts(msgspec.Struct, Generic[S], frozen=True):
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
    home: SessionHost[S]
    ownership: Ownership[S]
    gate: Gate
    refusals: Refusals
    rules: SessionRules
