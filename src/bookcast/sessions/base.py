"""What a session needs of what surrounds it: rules, the client's side, and where sessions meet."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from bookcast.auth.principal import Rights
from bookcast.errors import CloseCode, InvalidInput
from bookcast.ingest.schemas import PublishedUpdate
from bookcast.model.updates import Position
from bookcast.protocol.subscriptions import ConnectionRules

if TYPE_CHECKING:
    pass

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

    terms: ConnectionRules = ConnectionRules()
    slow_timeout: float = 30.0
    heartbeat_ms: int = 10_000
    ping_interval: float = 20.0
    ping_timeout: float = 20.0
    auth_timeout: float = 10.0
    message_rate: float = 0.0
    publish_rate: float = 0.0
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic


class ClientTransport(Protocol):
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
