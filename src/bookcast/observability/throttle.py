"""Keeps a warning from filling the log: it comes once a minute, with how often it was due."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final

REPORT_SECONDS: Final = 60.0
"""The log tells what was refused, and repeats a warning, no more often than this."""


class WarningThrottle:
    """Lets a warning through at most once a minute for each key, and counts how often it was due.

    Of more than ``keys`` in that time, the rest isn't let through at all. ``clock`` gives monotonic
    seconds.
    """

    __slots__ = ("_clock", "_keys", "_seen")

    def __init__(self, clock: Callable[[], float], keys: int = 100) -> None:
        self._clock = clock
        self._keys = keys
        # When each key may come next, the soonest first, and how often it was held back.
        self._seen: dict[Hashable, tuple[float, int]] = {}

    def count(self, key: Hashable = None) -> int:
        """Count an occasion; return how many there were since the last warning, 0: don't warn."""
        seen, now = self._seen, self._clock()
        next_at, held_back = seen.get(key, (now, 0))
        if now < next_at:
            seen[key] = (next_at, held_back + 1)
            return 0
        seen.pop(key, None)
        while len(seen) >= self._keys:
            oldest = next(iter(seen))
            if now < seen[oldest][0]:
                return 0
            del seen[oldest]
        seen[key] = (now + REPORT_SECONDS, 0)
        return 1 + held_back
