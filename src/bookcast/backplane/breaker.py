"""A circuit breaker: whether Redis may be called, and when to probe it again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

from bookcast import backoff
from bookcast.observability.counter import counter
from bookcast.timing import Times


class BreakerTimes(Times, frozen=True, kw_only=True):
    """The intervals of a breaker, in seconds.

    Attributes:
        first: the first delay before a probe. Delays grow up to ``most``, with jitter.
        most: the longest delay.
        steady: if the breaker opens again sooner than this, the delays aren't reset.
    """

    LONGER: ClassVar = (("most", 1, "first"), ("steady", 2, "most"))

    first: float = 0.2
    most: float = 1.0
    steady: float = 10.0


class Breaker:
    """Closed while Redis works; open from a failure until a probe succeeds.

    Args:
        clock: monotonic seconds.
        random: returns 0 to 1. It shortens each delay by up to half, so that many nodes don't
            probe at the same moment.
        opens: called with the reason when it opens.
        times: the intervals.
    """

    opened = counter("bookcast_engine_outages", "How often Redis was away")

    def __init__(
        self,
        clock: Callable[[], float],
        random: Callable[[], float],
        opens: Callable[[str], None] = lambda _reason: None,
        times: BreakerTimes | None = None,
    ) -> None:
        self._times = times or BreakerTimes()
        self._opens = opens
        self._clock = clock
        self._random = random
        self._attempts = 0
        self._closed_at = -math.inf
        self.is_open = False
        self.reason = ""
        """Why it is open, in words."""
        self.since = 0.0
        """When it last opened, in the clock's seconds."""

    def fail(self, reason: str) -> None:
        """Note a failure: the breaker opens, if it was closed."""
        self.reason = reason
        if self.is_open:
            return
        now = self._clock()
        if now - self._closed_at > self._times.steady:
            self._attempts = 0  # else it was closed only briefly
        self.is_open = True
        self.opened += 1
        self.since = now
        self._opens(reason)

    def succeed(self) -> None:
        """Note that a probe succeeded: the breaker closes."""
        self.is_open = False
        self.reason = ""
        self._closed_at = self._clock()

    def wait(self) -> float:
        """Return the seconds until the next probe."""
        self._attempts += 1
        return backoff.delay(
            self._attempts, self._random(), first=self._times.first, most=self._times.most
        )
