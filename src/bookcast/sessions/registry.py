"""All sessions of this node."""

from __future__ import annotations

import logging

from bookcast.sessions.session import Session

logger = logging.getLogger(__name__)


class Registry:
    """Who is connected, and who has been."""

    def __init__(self) -> None:
        self._sessions: set[Session] = set()
        self.accepted = 0
        """Connections accepted since the start."""
        self.refused = 0
        """Handshakes refused since the start."""
        self.too_slow = 0
        """Connections closed since the start because they took nothing."""
        self.received = 0
        """Messages received since the start."""

    def add(self, session: Session) -> None:
        """Note a session that begins."""
        self._sessions.add(session)
        self.accepted += 1

    def remove(self, session: Session) -> None:
        """Forget a session that ended."""
        self._sessions.discard(session)

    def __len__(self) -> int:
        return len(self._sessions)

    def check(self, now: float) -> None:
        """End the sessions that are stuck, and break long silences; monotonic seconds."""
        for session in tuple(self._sessions):
            try:
                session.check(now)
            except Exception:
                logger.exception("checking client %r met a fault of ours", session.client_id)

    def held(self) -> list[Session]:
        """List the sessions that can't take data now."""
        return [session for session in self._sessions if not session.outbox.writable]

    def subscription_count(self) -> int:
        """Count the subscriptions of all sessions."""
        return sum(session.subscription_count for session in self._sessions)
