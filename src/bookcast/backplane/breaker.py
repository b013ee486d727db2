"""A circuit breaker: whether to ask somebody who may be away, and when to look again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

from bookcast import backoff
from bookcast.observability.counter import counter
from bookcast.timing import Times


class BreakerTimes(Times, frozen=True, kw_only=True):
    """When to look again, in seconds.

    ``first`` and ``most``: the waits between looks grow from the one to the other, with jitter.
    ``steady``: where it opens again sooner than this, they don't begin anew.
    """

    LONGER: ClassVar = (("most", 1, "first"), ("steady", 2, "most"))

    first: float = 0.2
    most: float = 1.0
    steady: float = 10.0


class Breaker:
    """Closed while all is well; open from a failure until somebody has looked and found it well.

    Args:
        clock: monotonic seconds.
        random: 0 to 1; takes away up to half of each wait, so that many nodes don't come back at
            the same moment.
        opens: called when it opens, with the reason.
        times: when to look again.
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
        """When it opened last, in the clock's seconds."""

    def fail(self, reason: str) -> None:
        """Note a failure: it opens, if it wasn't open."""
        self.reason = reason
        if self.is_open:
            return
        now = self._clock()
        if now - self._closed_at > self._times.steady:
            self._attempts = 0  # else it was well for a moment only
        self.is_open = True
        self.opened += 1
        self.since = now
        self._opens(reason)

    def succeed(self) -> None:
        """Note that somebody has looked, and all is well."""
        self.is_open = False
        self.reason = ""
        self._closed_at = self._clock()

    def wait(self) -> float:
        """Return the seconds until the next look."""
        self._attempts += 1
        return backoff.delay(
            self._attempts, self._random(), first=self._times.first, most=self._times.most
        )
