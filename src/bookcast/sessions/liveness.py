"""Whether one client is there, takes what it is sent, has heard of us, and has a valid token."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable
from typing import Final

from bookcast.errors import CloseCode
from bookcast.hub.view import Subscription
from bookcast.sessions.base import ClientTransport, SessionRules

EARLY_SECONDS: Final = 1.0
"""Sessions are checked about twice a second; a heartbeat is rather early than late."""

EXPIRY_NOTICE_SECONDS: Final = 60.0
"""So long before its token expires a client is told; of a short one, at half of its time."""

PROOF_SECONDS: Final = 1.0
"""What was sent so shortly before a client was last heard of may have crossed its word."""


class Liveness:
    """Watches over one connection. All times are in the rules' monotonic seconds.

    ``begun_at``: when something was last sent that was meant for this client alone, as the state at
    the beginning of a subscription.
    """

    __slots__ = (
        "_asked",
        "_backlog",
        "_checked_at",
        "_expires_at",
        "_expiry_notice_at",
        "_peer",
        "_pinged_at",
        "_quiet_since",
        "_rules",
        "_said",
        "_since",
        "_stuck_since",
        "begun_at",
    )

    def __init__(self, peer: ClientTransport, rules: SessionRules) -> None:
        self._peer = peer
        self._rules = rules
        self._asked = b""
        self._said = False
        self._backlog = 0
        self._since = self.begun_at = rules.clock()
        self._expires_at: float | None = None
        self._expiry_notice_at = math.inf
        self._checked_at = self._quiet_since = self._stuck_since = self._pinged_at = 0.0

    def judge(
        self, now: float, *, is_known: bool, is_asking: bool, is_writable: bool
    ) -> CloseCode | None:
        """Return the code to end the connection with, None if it goes on.

        Args:
            now: monotonic seconds.
            is_known: it is known who the client is.
            is_asking: something of the client is pending, perhaps another token.
            is_writable: the client can take data.
        """
        if not is_known and not is_asking and now - self._since >= self._rules.auth_timeout:
            return CloseCode.REFUSED
        left = self.seconds_left()
        # While another token is being looked at, the old one holds.
        if left is not None and left <= 0 and not is_asking:
            return CloseCode.TOKEN_EXPIRED
        return self.judge_answer(now) if is_writable else self.judge_progress(now)

    def age(self, now: float) -> float:
        """Return the seconds since the connection began."""
        return now - self._since

    # Is its token valid?

    def note_expiry(self, expires_at: float | None) -> None:
        """Note when the client's token expires, in seconds since 1970; None: never."""
        if expires_at == self._expires_at:
            return
        self._expires_at, self._expiry_notice_at = expires_at, math.inf
        left = self.seconds_left()
        if expires_at is not None and left is not None:
            self._expiry_notice_at = expires_at - min(EXPIRY_NOTICE_SECONDS, left / 2)

    def seconds_left(self) -> float | None:
        """Return the seconds until the token expires, None if it never does."""
        return None if self._expires_at is None else self._expires_at - self._rules.now()

    def take_expiry_notice(self) -> float | None:
        """Return the seconds left if the client is to be told now; once for each token."""
        if self._rules.now() < self._expiry_notice_at:
            return None
        self._expiry_notice_at = math.inf
        return self.seconds_left()

    # Is it there?

    def ask(self) -> None:
        """Ask the client whether it is there; the answer goes to :meth:`is_answer`."""
        self._asked = self._asked or secrets.token_bytes(8)  # one answer is for all who ask
        self._peer.ping(self._asked)

    def is_answer(self, payload: bytes) -> bool:
        """Return whether a pong is what was asked for."""
        answers = bool(self._asked) and payload == self._asked
        if answers:
            self._asked = b""
        return answers

    def judge_answer(self, now: float) -> CloseCode | None:
        """Ping a client that has been silent; return the code to end with if it stays so."""
        # While it wasn't listened to, it couldn't say anything.
        heard_at = max(self._peer.heard_at, self.begun_at)
        if self._pinged_at > heard_at:
            late = now - self._pinged_at >= self._rules.ping_timeout
            return CloseCode.HEARTBEAT_MISSED if late else None
        if now - heard_at >= self._rules.ping_interval:
            self._pinged_at = now
            self._peer.ping(b"")
        return None

    def delivered_before(self) -> float:
        """Return the time before which all that was sent has reached the client.

        Something of the client came after that.
        """
        return self._peer.heard_at - PROOF_SECONDS

    # Does it take what it is sent?

    def hold(self, now: float) -> None:
        """Note that it can't take anything now."""
        self._stuck_since = now
        self._backlog = self._peer.backlog()

    def judge_progress(self, now: float) -> CloseCode | None:
        """Return the code to end with if it has taken nothing for too long."""
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
        """Return whether nothing was said to it for long, nor shown in its views."""
        since, self._checked_at = self._checked_at, now
        if self._said or any(one.view.shown_at >= since for one in shown):
            self._said = False
            self._quiet_since = now
            return False
        return now - self._quiet_since >= self._rules.heartbeat_ms / 1000 - EARLY_SECONDS
