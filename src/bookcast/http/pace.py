"""What somebody was given last of a topic who may have one update in so many milliseconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from bookcast.model.topics import Topic
from bookcast.model.updates import Update

MAX_GIVEN: Final = 10_000
"""It is known of so many principals and topics; past that, the longest ago are forgotten."""


class Pace:
    """Answers everybody with the newest update, but no sooner than their interval allows.

    ``clock`` gives monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # What each was given last, and until when that is theirs: the longest ago first.
        self._given: dict[tuple[str, Topic], tuple[float, Update]] = {}

    def newest(self, who: str, newest: Update, interval_ms: int) -> Update:
        """Return the newest update of a topic, or the one that they had within their interval."""
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
        """Forget what isn't theirs any more, and what is too much."""
        while self._given:
            longest_ago = next(iter(self._given))
            if self._given[longest_ago][0] > now and len(self._given) < MAX_GIVEN:
                return
            del self._given[longest_ago]
