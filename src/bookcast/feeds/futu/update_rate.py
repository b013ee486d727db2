"""Measures how often each topic gets data, to decide whether silence is unusual."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from typing import Final

from bookcast.model.topics import Topic

REMEMBERED: Final = 16
"""The number of arrivals stored per topic."""

QUIET_SECONDS: Final = 30.0
QUIET_GAPS: Final = 5
"""A topic is quiet after 30 s, or five times its usual gap, whichever is longer."""


class Rhythm:
    """The arrival times of each topic's data. ``clock`` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._arrivals: dict[Topic, deque[float]] = {}

    def note(self, topic: Topic) -> None:
        """Note that data of a topic have arrived."""
        arrivals = self._arrivals.get(topic)
        if arrivals is None:
            arrivals = self._arrivals[topic] = deque(maxlen=REMEMBERED)
        arrivals.append(self._clock())

    def heard_at(self, topic: Topic) -> float | None:
        """Return when data of a topic last arrived; None if never."""
        arrivals = self._arrivals.get(topic)
        return arrivals[-1] if arrivals else None

    def is_quiet(self, topic: Topic) -> bool:
        """Return whether a topic has had no data for longer than usual."""
        arrivals = self._arrivals.get(topic)
        if not arrivals:
            return True
        gaps = [after - before for before, after in pairwise(arrivals)]
        usual = median(gaps) if gaps else 0.0
        return self._clock() - arrivals[-1] > max(QUIET_SECONDS, QUIET_GAPS * usual)
