"""Throttles repeated warnings to one a minute, with a count of those left out."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final

REPORT_SECONDS: Final = 60.0
"""The interval of repeated warnings and of reports of refusals, in seconds."""


class WarningThrottle:
    """Allows a warning at most once a minute for each key, and counts its occasions.

    If more than ``keys`` keys occur in a minute, warnings of further keys are dropped. ``clock``
    returns monotonic seconds.
    """

    __slots__ = ("_clock", "_keys", "_seen")

    def __init__(self, clock: Callable[[], float], keys: int = 100) -> None:
        self._clock = clock
        self._keys = keys
        # For each key, when it may warn next (soonest first), and how many warnings were held back.
        self._seen: dict[Hashable, tuple[float, int]] = {}

    def count(self, key: Hashable = None) -> int:
        """Count an occasion. Return how many there were since the last warning; 0: don't warn."""
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
