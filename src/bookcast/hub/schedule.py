"""When a view with an interval may show something again."""

from __future__ import annotations

import math
from typing import Final

PHASES: Final = 4
"""Views of one interval come together at so many moments in it."""

EARLY_SECONDS: Final = 0.002
"""Timers are allowed to be this much early."""


def next_due(now: float, interval: float, due: float | None) -> float:
    """Return when a view that showed something now may show the next; all in seconds.

    ``due`` is when a busy view was due. A view that was quiet (None) or is far behind goes on at
    one of a few moments that all views of the interval share, so that the updates of several busy
    topics go to a client in one write.
    """
    if due is not None and now - due < interval / 2:
        return due + interval
    grid = interval / PHASES
    return grid * math.ceil((now + interval) / grid)
