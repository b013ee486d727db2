"""Limits on how many messages and publications a client may send."""

from __future__ import annotations

from typing import Final

from bookcast.errors import InvalidInput
from bookcast.limits import BURST_SECONDS, TokenBucket, Window
from bookcast.sessions.base import SessionRules

ABUSE_SECONDS: Final = BURST_SECONDS
MESSAGE_ABUSE: Final = 10.0
PUBLISH_ABUSE: Final = 20.0
"""A client abuses a rate if more than this times the rate were refused in ABUSE_SECONDS."""


class MessageBudget:
    """Charges one client for its messages and publications, each at its own rate.

    Call it once for each message, and once for each publication.
    """

    __slots__ = ("_messages", "_publications", "_rules", "is_abused")

    def __init__(self, rules: SessionRules) -> None:
        self._rules = rules
        # Most clients send few messages and publish nothing, so these are made when needed.
        self._messages: _Charged | None = None
        self._publications: _Charged | None = None
        self.is_abused = False
        """Whether the client goes on sending though it has been refused many times."""

    def __call__(self, publication: bool) -> InvalidInput | None:  # noqa: FBT001 - a kind
        """Charge for one message. Return the refusal if there have been too many."""
        rules = self._rules
        if publication:
            charged = self._publications = self._publications or _Charged()
            rate, abuse = rules.publish_rate, PUBLISH_ABUSE
        else:
            charged = self._messages = self._messages or _Charged()
            rate, abuse = rules.message_rate, MESSAGE_ABUSE
        now = rules.clock()
        late = charged.take(rate, now)
        if not late:
            return None
        self.is_abused = self.is_abused or charged.refuse(now) > abuse * rate
        what, setting = ("messages", "MESSAGE_RATE")
        if publication:
            what, setting = ("publications", "PUBLISH_RATE")
        return InvalidInput(
            "rate_limited",
            f"Too many {what}: {setting} is {rate:g} a second. This one was not acted on",
            retry_after=late,
            reason=setting.lower(),
        )


class _Charged(TokenBucket):
    """A token bucket that counts how often it was found empty lately."""

    __slots__ = ("_refused",)

    def __init__(self) -> None:
        super().__init__()
        self._refused: Window | None = None

    def refuse(self, now: float) -> int:
        """Count a refusal. Return how many there were in the last ABUSE_SECONDS."""
        self._refused = self._refused or Window(ABUSE_SECONDS)
        return self._refused.add(now)
