"""Whether a client is alive, takes its data, needs a heartbeat, and has a valid token."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable
from typing import Final

from bookcast.errors import CloseCode
from bookcast.hub.view import Subscription
from bookcast.sessions.base import ClientTransport, SessionRules

EARLY_SECONDS: Final = 1.0
"""Sessions are checked about twice a second, so a heartbeat is sent a little early, not late."""

EXPIRY_NOTICE_SECONDS: Final = 60.0
"""A client is notified this long before its token expires; or at half of a shorter time left."""

PROOF_SECONDS: Final = 1.0
"""Data sent this shortly before the client was last heard may not have arrived by then."""


class Liveness:
    """Watches one connection. All times are in the rules' monotonic seconds.

    ``begun_at``: when data were last sent to this client alone, for instance the state at the
    beginning of a subscription.
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
        "_sent_message",
        "_since",
        "_stuck_since",
        "begun_at",
    )

    def __init__(self, peer: ClientTransport, rules: SessionRules) -> None:
        self._peer = peer
        self._rules = rules
        self._asked = b""
        self._sent_message = False
        self._backlog = 0
        self._since = self.begun_at = rules.clock()
        self._expires_at: float | None = None
        self._expiry_notice_at = math.inf
        self._checked_at = self._quiet_since = self._stuck_since = self._pinged_at = 0.0

    def judge(
        self, now: float, *, is_known: bool, is_asking: bool, is_writable: bool
    ) -> CloseCode | None:
        """Return the code to close the connection with; None: it goes on.

        Args:
            now: monotonic seconds.
            is_known: the client is authenticated.
            is_asking: an action of the client is pending, perhaps with another token.
            is_writable: the client can take data.
        """
        if not is_known and not is_asking and now - self._since >= self._rules.auth_timeout:
            return CloseCode.REFUSED
        left = self.seconds_left()
        # While another token is being verified, the old one stays valid.
        if left is not None and left <= 0 and not is_asking:
            return CloseCode.TOKEN_EXPIRED
        return self.judge_answer(now) if is_writable else self.judge_progress(now)

    def age(self, now: float) -> float:
        """Return the seconds since the connection began."""
        return now - self._since

    # The token

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
        """Return the seconds left if the client is to be notified now; once for each token."""
        if self._rules.now() < self._expiry_notice_at:
            return None
        self._expiry_notice_at = math.inf
        return self.seconds_left()

    # Whether the client is alive

    def ask(self) -> None:
        """Ping the client; :meth:`is_answer` recognises the answer."""
        self._asked = self._asked or secrets.token_bytes(8)  # one pong answers all who ask
        self._peer.ping(self._asked)

    def is_answer(self, payload: bytes) -> bool:
        """Return whether a pong answers :meth:`ask`."""
        answers = bool(self._asked) and payload == self._asked
        if answers:
            self._asked = b""
        return answers

    def judge_answer(self, now: float) -> CloseCode | None:
        """Ping a silent client. Return the code to close with if it doesn't answer in time."""
        # While the client lagged, nothing was read from it: count its silence from the end of that.
        heard_at = max(self._peer.heard_at, self.begun_at)
        if self._pinged_at > heard_at:
            late = now - self._pinged_at >= self._rules.ping_timeout
            return CloseCode.HEARTBEAT_MISSED if late else None
        if now - heard_at >= self._rules.ping_interval:
            self._pinged_at = now
            self._peer.ping(b"")
        return None

    def delivered_before(self) -> float:
        """Return a time: updates sent before it have reached the client.

        The client sent something afterwards, at least a second later.
        """
        return self._peer.heard_at - PROOF_SECONDS

    # Whether the client takes its data

    def hold(self, now: float) -> None:
        """Note that the client can't take data now."""
        self._stuck_since = now
        self._backlog = self._peer.backlog()

    def judge_progress(self, now: float) -> CloseCode | None:
        """Return the code to close with if the client has taken no data for too long."""
        backlog = self._peer.backlog()
        if backlog != self._backlog:
            self._backlog, self._stuck_since = backlog, now
        elif now - self._stuck_since >= self._rules.slow_timeout:
            return CloseCode.TOO_SLOW
        return None

    # Whether the client needs a heartbeat

    def note_said(self) -> None:
        """Note that a message was sent to the client."""
        self._sent_message = True

    def is_silent(self, now: float, shown: Iterable[Subscription]) -> bool:
        """Return whether the client was sent nothing for long, neither messages nor updates."""
        since, self._checked_at = self._checked_at, now
        if self._sent_message or any(one.view.shown_at >= since for one in shown):
            self._sent_message = False
            self._quiet_since = now
            return False
        return now - self._quiet_since >= self._rules.heartbeat_ms / 1000 - EARLY_SECONDS
