"""Limits on how much a caller may have or do, and counts of refusals."""

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
"""What wasn't used in this time may be used at once."""

MAX_BUCKETS: Final = 10_000

RETRY_SECONDS: Final = 5.0
"""A caller with too many connections may retry after this time."""


class TokenBucket:
    """Allows ``rate`` things a second, and a burst after a rest. Rate 0: no limit.

    The state is one number, the time at which the bucket will be full again (GCRA).
    """

    __slots__ = ("_full_at",)

    def __init__(self) -> None:
        self._full_at = 0.0

    def take(self, rate: float, now: float, count: int = 1) -> float:
        """Take ``count`` if the bucket has them. Return 0, else the seconds until it will."""
        if not rate:
            return 0.0
        full_at = max(self._full_at, now) + count / rate
        # A single thing passes now and then, however low the rate is.
        late = full_at - now - max(BURST_SECONDS, count / rate)
        if late > 1e-9:  # noqa: PLR2004 - a rounding error
            return late
        self._full_at = full_at
        return 0.0

    def is_full(self, now: float) -> bool:
        """Return whether the bucket is full again, so that it can be forgotten."""
        return self._full_at <= now


class TokenBuckets:
    """One token bucket per key; the number of buckets is bounded."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._buckets: dict[str, TokenBucket] = {}

    def take(self, key: str, now: float, count: int = 1) -> float:
        """Take ``count`` from a key's bucket. Return 0, or the seconds until it has them."""
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
        # Make room for many at once; else each new key of a flood would cost a look at all buckets.
        while len(self._buckets) > MAX_BUCKETS * 9 // 10:
            self._buckets.pop(next(iter(self._buckets)))


class Seats:
    """Counts how many of something each key has, up to ``limit``; 0: no limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._taken: Counter[str] = Counter()

    def take(self, key: str, *, beyond: int = 0) -> bool:
        """Take one if the key has less than ``limit`` and ``beyond`` together; return whether."""
        if self.limit and self._taken[key] >= self.limit + beyond:
            return False
        self._taken[key] += 1
        return True

    def count(self, key: str) -> int:
        """Return how many a key has."""
        return self._taken[key]

    def leave(self, key: str) -> None:
        """Release one that a key has taken."""
        self._taken[key] -= 1
        if self._taken[key] <= 0:
            del self._taken[key]


class Window:
    """Counts events of the last ``seconds``, to a twentieth of that time."""

    __slots__ = ("_counts", "_step", "_total")

    def __init__(self, seconds: float) -> None:
        self._step = seconds / WINDOW_STEPS
        # For each step that had events: its number, and how many.
        self._counts: deque[tuple[int, int]] = deque()
        self._total = 0

    def add(self, now: float) -> int:
        """Count an event. Return how many there were in the window."""
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
    """Refuses callers when the server has no room.

    A warning is logged once, and again only after a minute with room. ``clock``: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._full_at = -math.inf

    def refuse(self, count: int, limit: str) -> InvalidInput:
        """Return the refusal; ``limit`` names the setting that allows ``count`` connections."""
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
    """Counts refusals by the limit or rule that caused them.

    The log has only the numbers: with a line for each, any caller could fill the log.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._told: Counter[str] = Counter()
        self._tell_at = -math.inf

    @property
    @as_counter("bookcast_refusals", "What was refused, by the limit or rule", label="reason")
    def counts(self) -> Counter[str]:
        """The number of refusals for each reason."""
        return self._counts

    def add(self, reason: str) -> None:
        """Count a refusal."""
        self._counts[reason] += 1

    def note(self, refusal: InvalidInput) -> None:
        """Count a refusal that is sent to the caller."""
        self._counts[refusal.reason] += 1

    def report(self, now: float) -> None:
        """Log the refusals since the last time, once a minute; ``now``: monotonic seconds."""
        if now >= self._tell_at and self._counts != self._told:
            self._tell_at = now + REPORT_SECONDS
            self.tell()

    def tell(self) -> None:
        """Log the refusals since the last time, if there were any."""
        new, self._told = self._counts - self._told, self._counts.copy()
        if new:
            reasons = dict(new.most_common())
            logger.info("refused", extra={"count": new.total(), "reasons": reasons})


def too_many_of(address: str, limit: int) -> InvalidInput:
    """Return the refusal of an address that has too many connections."""
    return InvalidInput(
        "too_many_connections",
        f"{address} has {limit} connections already, MAX_CONNECTIONS_PER_ADDRESS; if that is a "
        "proxy of yours, add it to TRUSTED_PROXIES",
        retry_after=RETRY_SECONDS,
    )


def retry_after(seconds: float) -> str:
    """Return seconds as the value of a Retry-After header."""
    return str(max(1, math.ceil(seconds)))
