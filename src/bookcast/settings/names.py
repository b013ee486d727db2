"""Finds the setting that a misspelt name may mean."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Final

MIN_LENGTH: Final = 6
"""Shorter names are too similar to other words."""

MAX_DISTANCE: Final = 2
"""Two letters added, missing or wrong, or two swapped: a swap counts as two changes."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name of which ``name`` is a misspelling, or None.

    Letter case doesn't matter, and ``-`` counts as ``_``, as in flags.
    """
    written = name.strip("-").replace("-", "_").upper()
    if len(written) < MIN_LENGTH:
        return None
    found = [
        (distance, one)
        for one in known
        if len(one) >= MIN_LENGTH
        and any(part in written for part in _thirds(one))
        and (distance := edit_distance(written, one)) <= MAX_DISTANCE
    ]
    return min(found)[1] if found else None


@cache
def _thirds(name: str) -> tuple[str, str, str]:
    """Return a name in three parts. Two changes leave at least one part unchanged.

    An environment may have thousands of names. Most contain none of the parts, and needn't be
    compared.
    """
    third = len(name) // 3
    return name[:third], name[third : 2 * third], name[2 * third :]


def edit_distance(a: str, b: str) -> int:
    """Return how many letters must be added, removed or replaced to turn one name into the other.

    Counting stops above ``MAX_DISTANCE``.
    """
    if abs(len(a) - len(b)) > MAX_DISTANCE:
        return MAX_DISTANCE + 1
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        above, row = row, [i]
        for j, other in enumerate(b, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (letter != other)))
        if min(row) > MAX_DISTANCE:
            return MAX_DISTANCE + 1
    return row[-1]
