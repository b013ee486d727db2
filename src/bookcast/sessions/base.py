"""What a session needs from outside: its rules, its client's transport, and publishing."""

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
"""For each update that was published together: its position, or the error that refused it."""


PublishAll = Callable[[Sequence[PublishedUpdate], Rights, str], Awaitable[Outcomes]]
"""Publishes updates in order, within the rights, with the principal's idempotency keys."""


PublishFrom = Callable[[Sequence[PublishedUpdate], Rights, str, Hashable], Awaitable[Outcomes]]
"""The same for one connection, which may be lost while it publishes."""


class SessionRules(msgspec.Struct, frozen=True):
    """The rules of every session. Times are in seconds, except ``heartbeat_ms``.

    Attributes:
        terms: the rules that the protocols need.
        slow_timeout: a client that takes no data for this long is closed.
        heartbeat_ms: a client that is sent nothing for this long gets a heartbeat.
        ping_interval: a client that is silent for this long gets a WebSocket ping.
        ping_timeout: a client that doesn't answer a ping within this time is closed.
        auth_timeout: a client must authenticate within this time.
        message_rate: messages a second from one client; 0: no limit.
        publish_rate: publications a second from one client; 0: no limit.
        now: returns seconds since 1970.
        clock: returns monotonic seconds.
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
    """A session's WebSocket connection."""

    heard_at: float
    """When the client last sent something, in monotonic seconds."""

    def backlog(self) -> int:
        """Return how many bytes wait in this process to be sent."""

    def ping(self, payload: bytes) -> None:
        """Send a WebSocket ping."""

    def end(self, code: CloseCode) -> None:
        """Close the connection."""

    def go_on(self) -> None:
        """Run what is pending in the session, though no message has come from the client."""
