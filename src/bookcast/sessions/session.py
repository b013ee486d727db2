"""One client's session: its protocol, its outbox, and its views in the hub."""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from typing import Any, Final

import msgspec

from bookcast.auth.gate import keys_unavailable
from bookcast.auth.jwks import UnknownKey
from bookcast.auth.principal import ANYONE, Principal
from bookcast.engine.interests import Interest
from bookcast.errors import IN_BAND, CloseCode, InvalidInput
from bookcast.model.cursor import START
from bookcast.model.topics import Topic
from bookcast.protocol.actions import (
    Action,
    Authenticate,
    Explain,
    Message,
    Restore,
    Resync,
    Send,
    Subscribe,
    Unsubscribe,
)
from bookcast.protocol.base.connection import BaseConnection
from bookcast.protocol.subscriptions import SavedSubscriptions
from bookcast.protocol.v1.connection import V1Connection
from bookcast.sessions import pending
from bookcast.sessions.base import ClientTransport, PublishAll
from bookcast.sessions.liveness import Liveness
from bookcast.sessions.log_redaction import shown, without_secrets
from bookcast.sessions.lost import LostSession
from bookcast.sessions.message_budget import MessageBudget
from bookcast.sessions.outbox import Outbox
from bookcast.sessions.shared_parts import SessionParts

_encode: Final = msgspec.json.Encoder().encode

logger = logging.getLogger(__name__)


class Session:
    """A client's session. It performs its protocol's actions, in the order of :mod:`pending`.

    Args:
        client_id: the client's id, from its address.
        principal: the client's principal; None before it has authenticated.
        peer: its WebSocket.
        write: sends bytes at once.
        address: where the client connects from.
        speaks_v1: the client speaks ``bookcast.v1``, else the base protocol.
        deflate: the client can take compressed messages.
        parts: what all sessions share.
    """

    __slots__ = (
        "_budget",
        "_connection",
        "_declined",
        "_key",
        "_key_before",
        "_liveness",
        "_peer",
        "_symbols",
        "address",
        "client_id",
        "is_connected",
        "number",
        "outbox",
        "parts",
        "pending",
        "principal",
        "token",
    )

    def __init__(
        self,
        client_id: str,
        *,
        principal: Principal | None,
        peer: ClientTransport,
        write: Callable[[bytes], None],
        address: str,
        speaks_v1: bool,
        deflate: bool,
        parts: SessionParts[Session],
    ) -> None:
        self.client_id = client_id
        self.number = 0
        """The number of the connection at this node."""
        self.address = address
        self.principal = principal
        self.outbox = Outbox(write, self._may_see)
        self._peer = peer
        self.parts = parts
        self.token = secrets.token_urlsafe(16) if speaks_v1 else ""
        """The secret with which the session may be resumed; a base client has none."""
        # Two strings instead of a tuple save memory: every idle connection has them.
        self._key = self._key_before = ""
        self._liveness = Liveness(peer, parts.rules)
        self._budget = MessageBudget(parts.rules)
        rights = principal.rights if principal is not None else None
        self._connection = (
            V1Connection(
                parts.rules.terms,
                client_id=client_id,
                session=self.token,
                deflate=deflate,
                heartbeat_ms=parts.rules.heartbeat_ms,
                now=parts.rules.now,
                rights=rights,
                authenticate_within_ms=round(parts.rules.auth_timeout * 1000),
                charge=self._budget,
            )
            if speaks_v1
            else BaseConnection(
                parts.rules.terms, rights=rights, deflate=deflate, charge=self._budget
            )
        )
        self._symbols: Sequence[str] = ()
        self.pending: pending.Queue = pending.NOTHING_PENDING
        """The actions that wait; see :mod:`pending`."""
        # Topics that the client unsubscribed from while it may still be given its earlier session.
        # None: it can't be given one any more.
        self._declined: set[Topic] | None = None
        self.is_connected = True
        """Whether the client is connected."""
        self._liveness.note_expiry(principal.expires_at if principal is not None else None)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the session, its own first; empty until the client is authenticated.

        There are two if it resumes the session of another token.
        """
        return tuple(key for key in (self._key, self._key_before) if key)

    @keys.setter
    def keys(self, keys: tuple[str, ...]) -> None:
        self._key, self._key_before = (*keys, "", "")[:2]

    def fields(self, topic: Topic | None = None) -> dict[str, object]:
        """Return the client's fields in log lines, with those of a topic."""
        fields: dict[str, object] = {"client_id": self.client_id, "connection": self.number}
        if topic is not None:
            fields |= {"channel": topic.channel, "symbol": topic.symbol}
        return fields

    @property
    def principal_id(self) -> str:
        """The principal's id, for the log; empty before the client has authenticated."""
        if self.principal is None:
            return ""
        return ANYONE if self.principal.kind == ANYONE else self.principal.id

    @property
    def age(self) -> float:
        """Seconds since the connection began."""
        return self._liveness.age(self.parts.rules.clock())

    @property
    def id(self) -> tuple[str, str]:
        """The principal's id, and the client's id."""
        return (self.principal.id if self.principal is not None else "", self.client_id)

    @property
    def subscription_count(self) -> int:
        """Number of topics that the client is subscribed to."""
        return len(self._connection.subscriptions)

    @property
    def backlog(self) -> int:
        """Number of bytes that wait in this process to be sent."""
        return self._peer.backlog()

    def _may_see(self, topic: Topic) -> bool:
        rights = self._connection.rights
        return rights is not None and rights.allows("read", topic)

    # Messages from the client

    def open(self, symbols: Sequence[str]) -> None:
        """Welcome the client, and subscribe it to the symbols in its address."""
        self._symbols = symbols
        pending.add(self, self._connection.welcome())
        if self.principal is not None:
            self._enter()
        self.outbox.flush()

    def receive(self, data: bytes) -> None:
        """Act on one text message. Answers wait for the outbox's next flush."""
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("message received: %r", without_secrets(data), extra=self.fields())
        pending.add(self, self._connection.receive(data))
        self._end_abuse()

    def refuse(self, refusal: InvalidInput) -> None:
        """Send a client that isn't let in the reason."""
        pending.add(self, self._connection.refuse(refusal))
        self.outbox.flush()

    def receive_binary(self, _data: bytes) -> None:
        """Refuse a binary message."""
        message = "Binary messages are not understood; send JSON as text"
        charged = self._budget(False)  # noqa: FBT003 - no publication
        refusal = charged or InvalidInput("invalid_message", message)
        pending.add(self, self._connection.refuse(refusal))
        self._end_abuse()

    def _end_abuse(self) -> None:
        if self._budget.is_abused:
            self._peer.end(CloseCode.POLICY)

    def receive_pong(self, payload: bytes) -> None:
        """Note that the client is alive, if the pong answers the challenge."""
        if self._liveness.is_answer(payload):
            self.parts.ownership.answered(self)

    @property
    def has_to_wait(self) -> bool:
        """Whether actions are pending, so that :meth:`work` has something to do."""
        return bool(self.pending)

    @property
    def may_receive(self) -> bool:
        """Whether the client's next message may be received now."""
        return self.outbox.writable and not pending.blocks(self.pending)

    def work(self, publish: PublishAll) -> Coroutine[Any, Any, None]:
        """Perform the pending actions."""
        return pending.run(self, publish)

    # Authentication

    def authenticate(self, action: Authenticate, *, asked_for_keys: bool = False) -> bool:
        """Verify a credential, and answer. Return False if the keys have to be fetched first."""
        if not self.is_connected:
            return True
        before = self.id
        try:
            principal = self.parts.gate.verify(action.credential)
            self._take_principal(principal)
        except UnknownKey:
            if not asked_for_keys:
                return False
            refusal = keys_unavailable()
            self.say(action.refuse(refusal), refusal)
        except InvalidInput as refusal:
            self.say(action.refuse(refusal), refusal)
            if self.principal is None:
                self.outbox.flush()
                self._peer.end(IN_BAND.get(refusal.code, CloseCode.REFUSED))
        else:
            self.say(action.answer(self._liveness.seconds_left()))
            self._entitle(principal, enter=self.id != before)
        if self.is_connected:
            self.outbox.flush()
        return True

    def _take_principal(self, principal: Principal) -> None:
        before = self.principal
        if before is not None and before.kind != ANYONE and before.id != principal.id:
            raise InvalidInput(
                "forbidden", "A connection stays with whom it began; connect anew as somebody else"
            )
        self.parts.home.identify(self, principal)
        self.principal = principal
        self._liveness.note_expiry(principal.expires_at)

    def _entitle(self, principal: Principal, *, enter: bool) -> None:
        self.perform_now(self._connection.entitle(principal.rights))
        if enter:
            self._enter()

    def _enter(self) -> None:
        # With lossless books, the earlier session has more of a symbol than its newest book. So the
        # symbols in the address wait for :meth:`has_entered`.
        if not self.parts.rules.terms.keeps_all:
            self._open_symbols()
        self.parts.ownership.enter(self)

    def has_entered(self) -> None:
        """Note that the search for the client's earlier session is over."""
        is_run = bool(self.pending)  # the queue is being run, and so is what is appended now
        self._open_symbols()
        if self.pending and not is_run:
            self._peer.go_on()

    def _open_symbols(self) -> None:
        symbols, self._symbols = self._symbols, ()
        if symbols:
            pending.add(self, self._connection.open(symbols))

    def renew(self) -> None:
        """Look up the client's principal again: keys, secrets or rights have changed."""
        if self.principal is None or not self.is_connected:
            return
        principal = self.parts.gate.renewed(self.principal)
        if principal is None:
            self._peer.end(CloseCode.TOKEN_EXPIRED)
            return
        changed = principal.rights != self.principal.rights
        self.principal = principal
        self._liveness.note_expiry(principal.expires_at)
        if changed:
            self._entitle(principal, enter=False)
            self.outbox.flush()

    # Earlier and later connections of the client

    def challenge(self) -> None:
        """Ping the client to learn whether it is alive; see :meth:`receive_pong`."""
        self._liveness.ask()

    def lose(self, code: CloseCode = CloseCode.HEARTBEAT_MISSED) -> None:
        """Close the connection: the client is dead, or another connection has its session."""
        self._peer.end(code)

    @property
    def expects(self) -> bool:
        """Whether the client may still be given the session of an earlier connection."""
        return self._declined is not None

    @expects.setter
    def expects(self, value: bool) -> None:
        if not value:
            self._declined = None
        elif self._declined is None:
            self._declined = set()

    @property
    def declined(self) -> Collection[Topic]:
        """Topics that the client unsubscribed from while it may still be given its session."""
        return self._declined or ()

    def leave_behind(self, delivered_before: float) -> LostSession:
        """End the session, and return what the client leaves behind.

        ``delivered_before``: updates sent before this time have reached the client.
        """
        if self._liveness.begun_at > delivered_before:
            delivered_before = -math.inf  # a later start or catch-up went to this client alone
        self._end()
        left = self.parts.hub.disconnect(self.outbox, delivered_before)
        return LostSession(
            self.keys,
            {
                # A subscription may not have reached the hub yet: its topic is still being read.
                topic: (spec, left[topic][0] if topic in left else None)
                for topic, spec in self._connection.subscriptions.items()
            },
            [interest for _, interest in left.values()],
            token=self.token,
            address=self.address,
            fields=self.fields(),
        )

    def close(self) -> None:
        """End the session and all its subscriptions."""
        self._end()
        self.perform_now(self._connection.close())

    def _end(self) -> None:
        pending.drop(self)
        self.is_connected = False
        self.outbox.clear()
        self.outbox.writable = False

    def delivered_before(self) -> float:
        """Return a time: updates sent before it have reached the client."""
        return self._liveness.delivered_before()

    def go_on_with(self, seen: SavedSubscriptions) -> None:
        """Go on with the subscriptions of an earlier connection, from whichever node."""
        assert isinstance(self._connection, BaseConnection)
        self.perform_now(self._connection.adopt(seen, self.declined))
        self.outbox.flush()

    def seen(self) -> SavedSubscriptions:
        """Return the client's subscriptions, without cursors: those are known when it is lost."""
        return {topic: (spec, None) for topic, spec in self._connection.subscriptions.items()}

    # Back-pressure and silence

    def hold(self, now: float) -> None:
        """Send nothing more: the client can't take data. ``now``: monotonic seconds."""
        self.outbox.writable = False
        self._liveness.hold(now)
        self.parts.hub.hold(self.outbox)

    def catch_up(self) -> None:
        """Send the client what it missed: it can take data again."""
        self.outbox.writable = True
        self._liveness.begun_at = self.parts.rules.clock()
        self.parts.hub.catch_up(self.outbox)

    def check(self, now: float) -> None:
        """Close a dead or slow client, or send a heartbeat. Call it regularly; monotonic s."""
        verdict = self._liveness.judge(
            now,
            is_known=self.principal is not None,
            is_asking=self.has_to_wait,
            is_writable=self.outbox.writable,
        )
        if verdict is CloseCode.REFUSED:
            self.parts.refusals.add("auth_timeout")
        if verdict is not None:
            self._peer.end(verdict)
        elif self.outbox.writable and isinstance(self._connection, V1Connection):
            self._send_due(now, self._connection)

    def go_away(self, seconds: float) -> None:
        """Announce when to come back, if the client's protocol has a message for that."""
        if isinstance(self._connection, V1Connection) and self.outbox.writable:
            self.say(self._connection.going_away(seconds))
            self.outbox.flush()

    def _send_due(self, now: float, connection: V1Connection) -> None:
        """Send what is due: the notice that the token expires, or a heartbeat."""
        left = self._liveness.take_expiry_notice()
        if left is not None:
            self.say(connection.expiring(left))
            self.outbox.flush()
        elif self._liveness.is_silent(now, self.outbox.shown.values()):
            self.say(connection.heartbeat())
            self.outbox.flush()

    # The protocol's actions

    def perform_now(self, actions: Iterable[Action]) -> None:
        """Perform actions ahead of what is pending."""
        for action in actions:
            self.perform(
                action, [self.parts.engine.open_now(one) for one in pending.topics_of(action)]
            )

    def still_asks_for(self, action: Action) -> bool:
        """Return False if the client has lost the right to all topics of an action meanwhile."""
        topics = pending.topics_of(action)
        return not topics or any(topic in self._connection.subscriptions for topic in topics)

    def perform(self, action: Action, opened: Sequence[Interest]) -> None:
        """Perform one action. ``opened``: an interest in each topic that it subscribes to."""
        match action:
            case Send(message, refusal):
                self.say(message, refusal)
            case Subscribe(topic, spec, confirm, history):
                logger.debug("topic subscribed", extra=self.fields(topic))
                place = self.parts.hub.subscribe(self.outbox, opened[0], spec, history=history)
                self._liveness.begun_at = self.parts.rules.clock()
                if confirm is not None:
                    self.say(confirm(place.position))
                self.parts.hub.start(self.outbox, [topic])
                self.parts.ownership.changed(self)
            case Restore():
                self._restore(action, opened)
            case Unsubscribe(topic):
                logger.debug("topic unsubscribed", extra=self.fields(topic))
                self.parts.hub.unsubscribe(self.outbox, topic)
                if self._declined is not None:
                    self._declined.add(topic)
                if self.is_connected:
                    self.parts.ownership.changed(self)
            case Resync(topic):
                self.parts.hub.resync(self.outbox, topic)
            case Explain(topic, answer):
                self.say(answer(self.parts.hub.word(self.outbox, topic)))

    def _restore(self, action: Restore, opened: Sequence[Interest]) -> None:
        restored, answer, whole = action
        places = [
            self.parts.hub.subscribe(self.outbox, interest, spec, since or START, whole=whole)
            for interest, (_, spec, since) in zip(opened, restored, strict=True)
        ]
        self._liveness.begun_at = self.parts.rules.clock()
        if answer is not None:
            self.say(answer(places))
        topics = [topic for topic, _, _ in restored]
        for topic in topics:
            logger.debug("topic resumed", extra=self.fields(topic))
        self.parts.hub.start(self.outbox, topics)
        self.parts.ownership.changed(self)

    def say(self, message: Message, refusal: InvalidInput | None = None) -> None:
        """Send a message. ``refusal``: the error that it reports, which is counted."""
        if refusal is not None:
            self.parts.refusals.note(refusal)
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("message sent: %s", shown(message), extra=self.fields())
        self._liveness.note_said()
        self.outbox.put(self.parts.frame(_encode(message), False))  # noqa: FBT003 - for one alone
