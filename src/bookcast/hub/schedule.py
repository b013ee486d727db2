"""When a view with an interval may send its next update."""

from __future__ import annotations

import math
from typing import Final

PHASES: Final = 4
"""Views with the same interval are due at this many common moments in it."""

EARLY_SECONDS: Final = 0.002
"""Timers are allowed to be this much early."""


def next_due(now: float, interval: float, due: float | None) -> float:
    """Return when a view that sends something now may send the next; all in seconds.

    ``due`` is when the view was due now; None: it was quiet. A busy view goes on at its own rhythm.
    A view that was quiet, or is far behind, goes on at one of a few moments that all views of the
    interval share, so that a client gets the updates of several busy topics in one write.
    """
    if due is not None and now - due < interval / 2:
        return due + interval
    grid = interval / PHASES
    return grid * math.ceil((now + interval) / grid)
