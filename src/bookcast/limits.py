"""How much of something anybody may have or do, and a count of who was refused it."""

from __future__ import annotations

import logging
import math
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from bookcast.errors import InvalidInput
from bookcast.observability.counter import as_counter
from bookcast.observability.throttle import REPORT_SECONDS

logger = logging.getLogger(__name__)

BURST_SECONDS: Final = 10.0
"""What wasn't used for so long may be used at once."""

MAX_BUCKETS: Final = 10_000

RETRY_SECONDS: Final = 5.0
"""Whoever has connections enough may try again after this."""


class TokenBucket:
    """Lets ``rate`` things a second through, and more at once after a rest. Rate 0: everything.

    It is a single number, the time at which the bucket will be full again (GCRA).
    """

    __slots__ = ("_full_at",)

    def __init__(self) -> None:
        self._full_at = 0.0

    def take(self, rate: float, now: float, count: int = 1) -> float:
        """Take so much if it is there. Return 0, or else the seconds until it will be."""
        if not rate:
            return 0.0
        full_at = max(self._full_at, now) + count / rate
        # A single thing is let through now and then, however low the rate.
        late = full_at - now - max(BURST_SECONDS, count / rate)
        if late > 1e-9:  # noqa: PLR2004 - a rounding error
            return late
        self._full_at = full_at
        return 0.0

    def is_full(self, now: float) -> bool:
        """Return whether the bucket is full again, and needs no memory."""
        return self._full_at <= now


class TokenBuckets:
    """A bucket for each of many, bounded in number."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._buckets: dict[str, TokenBucket] = {}

    def take(self, key: str, now: float, count: int = 1) -> float:
        """Take so much of a key's bucket if it is there. Return 0, or the seconds until then."""
        if not self._rate:
            return 0.0
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= MAX_BUCKETS:
                self._tidy(now)
            bucket = self._buckets[key] = TokenBucket()
        return bucket.take(self._rate, now, count)

    def _tidy(self, now: float) -> None:
        self._buckets = {k: one for k, one in self._buckets.items() if not one.is_full(now)}
        # Room for many at once, or each newcomer of a flood would cost a look at all of them.
        while len(self._buckets) > MAX_BUCKETS * 9 // 10:
            self._buckets.pop(next(iter(self._buckets)))


class Seats:
    """Counts what each has of something, up to ``limit``; 0: no limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._taken: Counter[str] = Counter()

    def take(self, key: str, *, beyond: int = 0) -> bool:
        """Take one if there is one left; ``beyond`` the limit there may be so many more."""
        if self.limit and self._taken[key] >= self.limit + beyond:
            return False
        self._taken[key] += 1
        return True

    def count(self, key: str) -> int:
        """Return how many a key has."""
        return self._taken[key]

    def leave(self, key: str) -> None:
        """Return one seat of a key to those that are free."""
        self._taken[key] -= 1
        if self._taken[key] <= 0:
            del self._taken[key]


class Window:
    """Counts events of the last ``seconds``, to a twentieth of that."""

    __slots__ = ("_counts", "_step", "_total")

    def __init__(self, seconds: float) -> None:
        self._step = seconds / WINDOW_STEPS
        # Each step that had events: its number, and how many.
        self._counts: deque[tuple[int, int]] = deque()
        self._total = 0

    def add(self, now: float) -> int:
        """Count one, and return how many there were in the window."""
        step = int(now / self._step)
        if self._counts and self._counts[-1][0] == step:
            self._counts[-1] = (step, self._counts[-1][1] + 1)
        else:
            self._counts.append((step, 1))
        self._total += 1
        while self._counts[0][0] <= step - WINDOW_STEPS:
            self._total -= self._counts.popleft()[1]
        return self._total


WINDOW_STEPS: Final = 20


class Full:
    """Refuses who finds no room on the server.

    The log has it once, and again only when there was room for a minute. ``clock``: monotonic
    seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._full_at = -math.inf

    def refuse(self, count: int, limit: str) -> InvalidInput:
        """Return the refusal; ``limit`` names what allows no more than ``count`` connections."""
        now = self._clock()
        refusal = InvalidInput(
            "server_full",
            f"The server has its {count} connections, {limit}",
            retry_after=RETRY_SECONDS,
        )
        if now - self._full_at > REPORT_SECONDS:
            logger.warning("the server is full: %s", refusal.message, extra={"count": count})
        self._full_at = now
        return refusal


class Refusals:
    """Counts who was refused something, by the limit or the rule that did it.

    The log has them as numbers: a line for each would let anybody fill it.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._told: Counter[str] = Counter()
        self._tell_at = -math.inf

    @property
    @as_counter("bookcast_refusals", "What was refused, by the limit or rule", label="reason")
    def counts(self) -> Counter[str]:
        """How many were refused, by the reason."""
        return self._counts

    def add(self, reason: str) -> None:
        """Count one."""
        self._counts[reason] += 1

    def note(self, refusal: InvalidInput) -> None:
        """Count one that somebody is told."""
        self._counts[refusal.reason] += 1

    def report(self, now: float) -> None:
        """Log what was refused since the last time, once a minute; ``now``: monotonic seconds."""
        if now >= self._tell_at and self._counts != self._told:
            self._tell_at = now + REPORT_SECONDS
            self.tell()

    def tell(self) -> None:
        """Log what was refused since the last time, if anything was."""
        new, self._told = self._counts - self._told, self._counts.copy()
        if new:
            reasons = dict(new.most_common())
            logger.info("refused", extra={"count": new.total(), "reasons": reasons})


def too_many_of(address: str, limit: int) -> InvalidInput:
    """Make the refusal of an address with connections enough."""
    return InvalidInput(
        "too_many_connections",
        f"{address} has {limit} connections already, MAX_CONNECTIONS_PER_ADDRESS; if that is a "
        "proxy of yours, add it to TRUSTED_PROXIES",
        retry_after=RETRY_SECONDS,
    )


def retry_after(seconds: float) -> str:
    """Write seconds as the header Retry-After has them."""
    return str(max(1, math.ceil(seconds)))
