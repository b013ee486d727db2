"""One client: its protocol, its outbox, and the hub's views that it sees."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Protocol

import msgspec

from bookcast.errors import CloseCode, InvalidInput
from bookcast.hub.hub import Hub
from bookcast.model import Position
from bookcast.protocol import codec
from bookcast.protocol.actions import Action, Explain, Hide, Message, Publish, Resync, Send, Show
from bookcast.protocol.connection import BaseConnection
from bookcast.protocol.connection_v1 import V1Connection
from bookcast.protocol.render import Frame
from bookcast.protocol.shapes import PublishedUpdate
from bookcast.sessions.outbox import Outbox

logger = logging.getLogger(__name__)

EARLY_SECONDS: Final = 1.0
"""Sessions are checked about twice a second; a heartbeat is rather early than late."""

PublishAll = Callable[[Sequence[PublishedUpdate]], Awaitable[Sequence[Position | InvalidInput]]]
"""Publishes updates in order, and gives the place of each or what is wrong with it."""


class SessionRules(msgspec.Struct, frozen=True):
    """What holds for every session. Times are in seconds, ``now`` gives those since 1970."""

    default_market: str = "US"
    max_subscriptions: int = 256
    slow_timeout: float = 30.0
    heartbeat_ms: int = 10_000
    now: Callable[[], float] = time.time


class Peer(Protocol):
    """The client's side of a session: its WebSocket."""

    def backlog(self) -> int:
        """Tell how many bytes wait in this process."""

    def end(self, code: CloseCode) -> None:
        """Close the connection."""


class Session:
    """Does what the protocol decides, and tells the hub.

    Args:
        client_id: as the client connected.
        peer: its WebSocket.
        write: sends bytes at once.
        v1: it speaks ``bookcast.v1``, else the base protocol.
        deflate: it can take compressed messages.
        hub, frame, rules: what all sessions share.
    """

    __slots__ = (
        "_backlog",
        "_checked_at",
        "_closed",
        "_connection",
        "_deferred",
        "_frame",
        "_hub",
        "_peer",
        "_quiet_since",
        "_rules",
        "_said",
        "_stuck_since",
        "client_id",
        "outbox",
    )

    def __init__(
        self,
        client_id: str,
        *,
        peer: Peer,
        write: Callable[[bytes], None],
        v1: bool,
        deflate: bool,
        hub: Hub,
        frame: Frame,
        rules: SessionRules,
    ) -> None:
        self.client_id = client_id
        self.outbox = Outbox(write)
        self._peer = peer
        self._hub = hub
        self._frame = frame
        self._rules = rules
        self._connection = (
            V1Connection(
                client_id=client_id,
                session=secrets.token_urlsafe(16),
                default_market=rules.default_market,
                max_subscriptions=rules.max_subscriptions,
                deflate=deflate,
                heartbeat_ms=rules.heartbeat_ms,
                now=rules.now,
            )
            if v1
            else BaseConnection(
                default_market=rules.default_market,
                max_subscriptions=rules.max_subscriptions,
                deflate=deflate,
            )
        )
        # What the client published, and what it said since: publishing takes time.
        self._deferred: list[Action] = []
        self._closed = self._said = False
        self._backlog = 0
        self._checked_at = self._quiet_since = self._stuck_since = 0.0

    @property
    def subscription_count(self) -> int:
        """How many topics this client sees."""
        return len(self._connection.subscriptions)

    @property
    def backlog(self) -> int:
        """How many bytes wait in this process for the client to take."""
        return self._peer.backlog()

    # What the client says

    def open(self, symbols: Sequence[str]) -> None:
        """Begin with these symbols, as if the client had subscribed to each."""
        self._do(self._connection.open(symbols))
        self.outbox.flush()

    def receive(self, data: bytes) -> None:
        """Act on one text message of the client. Answers wait for the outbox's next flush."""
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("client %r says %r", self.client_id, data[:200])
        self._do(self._connection.receive(data))

    def receive_binary(self, _data: bytes) -> None:
        """Refuse a binary message."""
        message = "Binary messages are not understood; send JSON as text"
        self._do(self._connection.refuse(InvalidInput("invalid_message", message)))

    @property
    def has_to_publish(self) -> bool:
        """Whether the client published something that :meth:`publish` has still to do."""
        return bool(self._deferred)

    @property
    def is_deferring(self) -> bool:
        """Whether something waits for a publication: nothing more is to be received till then."""
        return bool(self._deferred) and not isinstance(self._deferred[-1], Publish)

    async def publish(self, publish: PublishAll) -> None:
        """Publish what the client sent, answer for each, and do what it said after that."""
        actions, self._deferred = self._deferred, []
        updates = [action.update for action in actions if isinstance(action, Publish)]
        outcomes = iter(await publish(updates))
        if self._closed:
            return
        for action in actions:
            if not isinstance(action, Publish):
                self._perform(action)
            elif isinstance(outcome := next(outcomes), InvalidInput):
                self._say(action.refuse(outcome))
            else:
                self._say(action.answer(outcome))
        if len(actions) == len(updates):
            self._hub.join(self.outbox)
        else:
            self.outbox.flush()

    def close(self) -> None:
        """End all subscriptions, and say no more."""
        self._deferred.clear()
        self.outbox.clear()
        self._do(self._connection.close())
        self._closed = True

    # What the client can take

    def hold(self, now: float) -> None:
        """Send nothing more: the client can't take it. ``now``: monotonic seconds."""
        self.outbox.writable = False
        self._stuck_since = now
        self._backlog = self._peer.backlog()
        self._hub.hold(self.outbox)

    def catch_up(self) -> None:
        """Send the newest of what the client missed: it can take data again."""
        self.outbox.writable = True
        self._hub.catch_up(self.outbox)

    def check(self, now: float) -> None:
        """End what is stuck, and break a long silence; call it regularly, in monotonic seconds."""
        if not self.outbox.writable:
            self._check_progress(now)
        elif isinstance(self._connection, V1Connection):
            self._check_silence(now, self._connection)

    def _check_progress(self, now: float) -> None:
        backlog = self._peer.backlog()
        if backlog != self._backlog:
            self._backlog, self._stuck_since = backlog, now
        elif now - self._stuck_since >= self._rules.slow_timeout:
            logger.info("client %r has taken nothing for too long", self.client_id)
            self._peer.end(CloseCode.TOO_SLOW)

    def _check_silence(self, now: float, connection: V1Connection) -> None:
        since, self._checked_at = self._checked_at, now
        if self._said or any(
            subscription.view.shown_at >= since for subscription in self.outbox.shown.values()
        ):
            self._said = False
            self._quiet_since = now
        elif now - self._quiet_since >= self._rules.heartbeat_ms / 1000 - EARLY_SECONDS:
            self._say(connection.heartbeat())
            self.outbox.flush()

    # What the protocol decides

    def _do(self, actions: Iterable[Action]) -> None:
        for action in actions:
            if self._deferred or isinstance(action, Publish):
                self._deferred.append(action)
            else:
                self._perform(action)

    def _perform(self, action: Send | Show | Hide | Resync | Explain) -> None:
        match action:
            case Send(message):
                self._say(message)
            case Show(topic, spec, confirm, history):
                logger.debug("client %r sees %s", self.client_id, topic)
                place = self._hub.subscribe(self.outbox, topic, spec, history=history)
                self._say(confirm(place))
                self._hub.begin(self.outbox, topic)
            case Hide(topic):
                logger.debug("client %r no longer sees %s", self.client_id, topic)
                self._hub.unsubscribe(self.outbox, topic)
            case Resync(topic):
                self._hub.resync(self.outbox, topic)
            case Explain(topic, answer):
                self._say(answer(self._hub.word(self.outbox, topic)))

    def _say(self, message: Message) -> None:
        if message.__struct_config__.tag == "error":
            logger.info("client %r refused: %s", self.client_id, getattr(message, "message", ""))
        else:
            logger.debug("client %r is told %s", self.client_id, message)
        self._said = True
        self.outbox.put(self._frame(codec.encode(message), False))  # noqa: FBT003 - for one alone
