"""Whether one client is there, takes what it is sent, and has heard of us lately."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Final

from bookcast.errors import CloseCode
from bookcast.hub.subscription import Subscription
from bookcast.sessions.base import Peer, SessionRules

EARLY_SECONDS: Final = 1.0
"""Sessions are checked about twice a second; a heartbeat is rather early than late."""

PROOF_SECONDS: Final = 1.0
"""What was sent so shortly before a client was last heard of may have crossed its word."""


class Watch:
    """Watches over one connection. All times are in the rules' monotonic seconds.

    ``begun_at``: when something was last sent that was meant for this client alone, as the state at
    the beginning of a subscription.
    """

    __slots__ = (
        "_asked",
        "_backlog",
        "_checked_at",
        "_peer",
        "_pinged_at",
        "_quiet_since",
        "_rules",
        "_said",
        "_since",
        "_stuck_since",
        "begun_at",
    )

    def __init__(self, peer: Peer, rules: SessionRules) -> None:
        self._peer = peer
        self._rules = rules
        self._asked = b""
        self._said = False
        self._backlog = 0
        self._since = self.begun_at = rules.clock()
        self._checked_at = self._quiet_since = self._stuck_since = self._pinged_at = 0.0

    def is_unknown_for(self, now: float) -> bool:
        """Tell whether the client has had its time to say who it is."""
        return now - self._since >= self._rules.auth_timeout

    def age(self, now: float) -> float:
        """Return the seconds since the connection began."""
        return now - self._since

    # Is it there?

    def ask(self) -> None:
        """Ask the client whether it is there; the answer goes to :meth:`is_answer`."""
        self._asked = self._asked or secrets.token_bytes(8)  # one answer is for all who ask
        self._peer.ping(self._asked)

    def is_answer(self, payload: bytes) -> bool:
        """Tell whether a pong is what was asked for."""
        answers = bool(self._asked) and payload == self._asked
        if answers:
            self._asked = b""
        return answers

    def judge_answer(self, now: float) -> CloseCode | None:
        """Ping a client that has been silent; give the code to end with when it stays so."""
        # While it wasn't listened to, it couldn't say anything.
        heard_at = max(self._peer.heard_at, self.begun_at)
        if self._pinged_at > heard_at:
            late = now - self._pinged_at >= self._rules.ping_timeout
            return CloseCode.HEARTBEAT_MISSED if late else None
        if now - heard_at >= self._rules.ping_interval:
            self._pinged_at = now
            self._peer.ping(b"")
        return None

    def proof(self) -> float:
        """Tell until when what was sent has surely come: the client was heard of after that."""
        return self._peer.heard_at - PROOF_SECONDS

    # Does it take what it is sent?

    def hold(self, now: float) -> None:
        """Note that it can't take anything now."""
        self._stuck_since = now
        self._backlog = self._peer.backlog()

    def judge_progress(self, now: float) -> CloseCode | None:
        """Give the code to end with when it has taken nothing for too long."""
        backlog = self._peer.backlog()
        if backlog != self._backlog:
            self._backlog, self._stuck_since = backlog, now
        elif now - self._stuck_since >= self._rules.slow_timeout:
            return CloseCode.TOO_SLOW
        return None

    # Has it heard of us?

    def note_said(self) -> None:
        """Note that something was said to it."""
        self._said = True

    def is_silent(self, now: float, shown: Iterable[Subscription]) -> bool:
        """Tell whether nothing was said to it for long, nor shown in its views."""
        since, self._checked_at = self._checked_at, now
        if self._said or any(one.view.shown_at >= since for one in shown):
            self._said = False
            self._quiet_since = now
            return False
        return now - self._quiet_since >= self._rules.heartbeat_ms / 1000 - EARLY_SECONDS
