"""The clients connected to this node, and how many of them there may be."""

from __future__ import annotations

import logging

from bookcast.auth.principal import ANYONE, Principal
from bookcast.errors import InvalidInput
from bookcast.limits import RETRY_SECONDS, Seats
from bookcast.observability.counter import as_gauge, counter
from bookcast.sessions.ownership import SessionOwnership
from bookcast.sessions.session import Session

logger = logging.getLogger(__name__)


class Registry:
    """The connected clients.

    Args:
        ownership: finds the sessions that clients left behind.
        max_per_principal: connections of one principal; 0: no limit.
    """

    too_slow = counter("bookcast_connections_too_slow", "Clients closed because they took no data")
    accepted = counter("bookcast_connections_accepted", "Handshakes accepted")
    refused = counter("bookcast_handshakes_refused", "Handshakes refused")
    received = counter("bookcast_messages_received", "Messages of clients")

    def __init__(self, ownership: SessionOwnership, *, max_per_principal: int = 0) -> None:
        self.ownership = ownership
        self._principals = Seats(max_per_principal)
        self._sessions: set[Session] = set()

    def check_room(self, principal: Principal) -> None:
        """Check that a principal may have one more connection.

        Raises:
            InvalidInput: if it has the maximum already.
        """
        limit = self._principals.limit
        if limit and principal.kind != ANYONE and self._principals.count(principal.id) >= limit:
            raise InvalidInput(
                "too_many_connections",
                f"{principal.name} has {limit} connections already, "
                "MAX_CONNECTIONS_PER_PRINCIPAL; close one first",
                retry_after=RETRY_SECONDS,
            )

    def add(self, session: Session) -> None:
        """Add the session of an accepted client."""
        self._sessions.add(session)
        self.accepted += 1
        session.number = self.accepted
        if session.principal is not None:
            self._principals.take(session.principal.id, beyond=1)

    def identify(self, session: Session, principal: Principal) -> None:
        """Note a client's principal.

        Raises:
            InvalidInput: if that principal has too many connections already.
        """
        before = session.principal
        if before is not None and before.id == principal.id:
            return
        self.check_room(principal)
        self._principals.take(principal.id, beyond=1)
        if before is not None:
            self._principals.leave(before.id)
            self.ownership.withdraw(session)

    def leave(self, session: Session, *, delivered_before: float | None) -> None:
        """Remove a client that is gone.

        ``delivered_before``: updates sent before this time have reached it, so that it may come
        back. None: the session ends.
        """
        if session not in self._sessions:  # the client wasn't accepted
            session.close()
            return
        self._sessions.discard(session)
        if session.principal is not None:
            self._principals.leave(session.principal.id)
        self.ownership.leave(session, delivered_before=delivered_before)

    @as_gauge("bookcast_connections", "Clients connected")
    def __len__(self) -> int:
        return len(self._sessions)

    def check(self, now: float) -> None:
        """Check all sessions, and end those past their time; monotonic seconds."""
        for session in tuple(self._sessions):
            try:
                session.check(now)
            except Exception:
                logger.exception("a check met a fault of ours", extra=session.fields())
        self.ownership.check(now)

    def sessions(self) -> list[Session]:
        """Return the sessions of the connected clients."""
        return list(self._sessions)

    @as_gauge("bookcast_connections_held", "Clients that can't take data now")
    def held(self) -> list[Session]:
        """Return the sessions of clients that can't take data now."""
        return [session for session in self._sessions if not session.outbox.writable]

    @as_gauge("bookcast_subscriptions", "Subscriptions of all clients")
    def subscription_count(self) -> int:
        """Return the number of subscriptions of all connected clients."""
        return sum(session.subscription_count for session in self._sessions)
