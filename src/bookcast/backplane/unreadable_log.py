"""Counts data of other nodes that this node can't read, and logs them once a minute."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from bookcast.observability.counter import counter

logger = logging.getLogger(__name__)

MINUTE: Final = 60.0
"""Seconds between log lines at least, and how long the node counts as degraded afterwards."""


class UnreadableLog:
    """Counts data that can't be read. ``clock`` returns monotonic seconds."""

    count = counter(
        "bookcast_engine_unreadable", "What other nodes wrote and this one couldn't read"
    )

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_at: float | None = None
        self._logged_at: float | None = None
        self._last = ""
        self._unlogged = 0

    def note(self, what: str, why: object) -> None:
        """Count data that can't be read. ``what`` names them, ``why`` is the decoder's reason."""
        self.count += 1
        self._unlogged += 1
        self._last_at = self._clock()
        self._last = f"{what}: {why}"
        self.check()

    def check(self) -> None:
        """Log what hasn't been logged yet, once a minute at most. Call it regularly."""
        now = self._clock()
        if not self._unlogged or (self._logged_at is not None and now - self._logged_at < MINUTE):
            return
        logger.warning(
            "this node can't read what another wrote, which may be of a later release: %d since "
            "this was logged last, the newest is %s",
            self._unlogged,
            self._last,
        )
        self._logged_at, self._unlogged = now, 0

    @property
    def trouble(self) -> str | None:
        """A sentence about the newest unreadable data of the last minute, or None."""
        if self._last_at is None or self._clock() - self._last_at >= MINUTE:
            return None
        return f"this node can't read what another wrote: {self._last}"
