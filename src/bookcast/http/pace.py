"""What a reader with a minimum interval was given last of each topic."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from bookcast.model.topics import Topic
from bookcast.model.updates import Update

MAX_GIVEN: Final = 10_000
"""At most this many pairs of reader and topic are remembered; the oldest are forgotten."""


class Pace:
    """Answers each reader with the newest update, but no sooner than its interval allows.

    ``clock`` returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # The last update given to each reader, and the time until when it is given again; oldest
        # first.
        self._given: dict[tuple[str, Topic], tuple[float, Update]] = {}

    def newest(self, who: str, newest: Update, interval_ms: int) -> Update:
        """Return a topic's newest update, or the one that the reader got within its interval."""
        if not interval_ms:
            return newest
        key, now = (who, newest.topic), self._clock()
        given = self._given.get(key)
        if given is not None and now < given[0]:
            return given[1]
        self._given.pop(key, None)
        self._forget(now)
        self._given[key] = now + interval_ms / 1000, newest
        return newest

    def __len__(self) -> int:
        return len(self._given)

    def _forget(self, now: float) -> None:
        """Forget updates whose interval is over, and the oldest ones if there are too many."""
        while self._given:
            longest_ago = next(iter(self._given))
            if self._given[longest_ago][0] > now and len(self._given) < MAX_GIVEN:
                return
            del self._given[longest_ago]
