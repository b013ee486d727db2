"""How long to wait before the next attempt."""

from __future__ import annotations


def delay(failures: int, chance: float, *, first: float, most: float) -> float:
    """Return the seconds to wait before the next attempt, after so many failures in a row.

    The delay doubles from ``first`` up to ``most``. ``chance``, 0 to 1, shortens it by up to half,
    so that many clients that lost the same peer don't come back all at once.
    """
    return min(most, first * 2.0 ** min(failures - 1, 30)) * (0.5 + chance / 2)
