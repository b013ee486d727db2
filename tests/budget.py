"""How much random tests may do: little while somebody waits, much by command (``make fuzz``)."""

from __future__ import annotations

import os

SHARE = float(os.environ.get("BOOKCAST_FUZZ", "0.25"))
"""The share of its examples that a random test is run with."""

LEAST = 5


def examples(count: int) -> int:
    """Return how many examples a test runs that has so many in full."""
    return max(min(LEAST, count), round(count * SHARE))


def seconds(count: float) -> int:
    """Return how long a guided search may take that has so many seconds in full."""
    return max(1, round(count * SHARE))
