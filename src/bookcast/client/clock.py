"""Time and chance, as the client sees them. Tests move the loop's clock, and throw the dice."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable


class Clock:
    """The timers of an event loop, and the time of day.

    Silence is measured by the time of day: unlike a loop's own time it goes on while a machine
    sleeps. ``now``: returns milliseconds since 1970. ``chance``: returns a number from 0 to 1.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        now: Callable[[], float] = lambda: time.time() * 1000,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.loop = loop
        self.now = now
        self._chance = chance

    def after(self, milliseconds: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Call back once after a time. Return what cancels that."""
        return self.loop.call_later(max(0.0, milliseconds) / 1000, callback)

    def backoff(self, attempt: int, first: float, longest: float) -> float:
        """Return the delay before an attempt: exponential, capped, with full jitter."""
        return self._chance() * min(longest, first * 2.0 ** min(attempt, 30))
