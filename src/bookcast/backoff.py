"""How long to wait before the next attempt."""

from __future__ import annotations


def delay(failures: int, chance: float, *, first: float, most: float) -> float:
    """Give the seconds to wait after so many failures in a row.

    They double from ``first`` up to ``most``. ``chance``, 0 to 1, takes away up to half, so that
    many who lost the same peer don't come back to it all at once.
    """
    return min(most, first * 2.0 ** min(failures - 1, 30)) * (0.5 + chance / 2)
