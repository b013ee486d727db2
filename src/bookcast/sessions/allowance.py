"""How much a client may still say."""

from __future__ import annotations

from typing import Final

from bookcast.errors import InvalidInput
from bookcast.limits import BURST_SECONDS, TokenBucket, Window
from bookcast.sessions.base import SessionRules

ABUSE_SECONDS: Final = BURST_SECONDS
MESSAGE_ABUSE: Final = 10.0
PUBLISH_ABUSE: Final = 20.0
"""A client abuses a rate when more than so many times that were refused in ABUSE_SECONDS."""


class Allowance:
    """Charges one client for its messages and publications, each at a rate of its own.

    Call it for each of them.
    """

    __slots__ = ("_messages", "_publications", "_rules", "is_abused")

    def __init__(self, rules: SessionRules) -> None:
        self._rules = rules
        # Most clients say little and publish nothing.
        self._messages: _Rate | None = None
        self._publications: _Rate | None = None
        self.is_abused = False
        """Whether the client goes on as if nothing had been refused to it."""

    def __call__(self, publication: bool) -> InvalidInput | None:  # noqa: FBT001 - a kind
        """Charge for a message; return the refusal when there have been too many."""
        now = self._rules.clock()
        if publication:
            rate = self._publications = self._publications or _Rate(
                "publications", "PUBLISH_RATE", self._rules.publish_rate, PUBLISH_ABUSE
            )
        else:
            rate = self._messages = self._messages or _Rate(
                "messages", "MESSAGE_RATE", self._rules.message_rate, MESSAGE_ABUSE
            )
        refusal = rate.charge(now)
        if refusal is not None:
            self.is_abused = self.is_abused or rate.is_abused
        return refusal


class _Rate:
    """One rate: ``what`` is charged by ``setting``.

    ``abuse``: more than so many times the rate, refused in ABUSE_SECONDS, is abuse.
    """

    __slots__ = ("_abuse", "_bucket", "_rate", "_refused", "_setting", "_what", "is_abused")

    def __init__(self, what: str, setting: str, rate: float, abuse: float) -> None:
        self._what = what
        self._setting = setting
        self._rate = rate
        self._abuse = abuse
        self._bucket = TokenBucket()
        self._refused: Window | None = None
        self.is_abused = False

    def charge(self, now: float) -> InvalidInput | None:
        late = self._bucket.take(self._rate, now)
        if not late:
            return None
        self._refused = self._refused or Window(ABUSE_SECONDS)
        self.is_abused = self._refused.add(now) > self._abuse * self._rate
        return InvalidInput(
            "rate_limited",
            f"Too many {self._what}: {self._setting} is {self._rate:g} a second. "
            "This one was not acted on",
            retry_after=late,
            reason=self._setting.lower(),
        )
