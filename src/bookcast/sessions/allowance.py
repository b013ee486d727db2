"""How much a client may still say."""

from __future__ import annotations

from bookcast.errors import InvalidInput
from bookcast.limits import BURST_SECONDS, Refusals, TokenBucket
from bookcast.sessions.base import SessionRules


class Allowance:
    """Charges one client for its messages and publications, each at a rate of its own.

    Call it for each of them.
    """

    __slots__ = ("_messages", "_publications", "_refusals", "_refused", "_rules")

    def __init__(self, rules: SessionRules, refusals: Refusals) -> None:
        self._rules = rules
        self._refusals = refusals
        # Most clients say little and publish nothing.
        self._messages: TokenBucket | None = None
        self._publications: TokenBucket | None = None
        self._refused = 0

    def __call__(self, publication: bool) -> InvalidInput | None:  # noqa: FBT001 - a kind
        """Charge for a message; give the refusal when there have been too many."""
        rules = self._rules
        rate = rules.publish_rate if publication else rules.message_rate
        if publication:
            bucket = self._publications = self._publications or TokenBucket()
        else:
            bucket = self._messages = self._messages or TokenBucket()
        late = bucket.take(rate, rules.clock())
        if not late:
            self._refused = 0
            return None
        self._refused += 1
        self._refusals.add("publish_rate" if publication else "message_rate")
        what, name = ("messages", "MESSAGE_RATE")
        if publication:
            what, name = ("publications", "PUBLISH_RATE")
        return InvalidInput(
            "rate_limited",
            f"Too many {what}: {name} is {rate:g} a second. This one was not acted on",
            retry_after=late,
        )

    @property
    def is_abused(self) -> bool:
        """Whether the client goes on as if nothing had been refused to it."""
        rules = self._rules
        return self._refused > max(rules.message_rate, rules.publish_rate) * BURST_SECONDS
