"""Exponential back-off with jitter."""

from __future__ import annotations


def delay(failures: int, chance: float, *, first: float, most: float) -> float:
    """Return the seconds to wait before the next attempt, after ``failures`` in a row.

    The delay doubles from ``first`` up to ``most``. ``chance`` is a random number from 0 to 1; it
    shortens the delay by up to half, so that many clients don't retry at the same moment.
    """
    return min(most, first * 2.0 ** min(failures - 1, 30)) * (0.5 + chance / 2)
