"""Finds the setting that a misspelt name was meant to be."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Final

MIN_LENGTH: Final = 6
"""Shorter names are near too many words that mean something else."""

MAX_DISTANCE: Final = 2
"""Two letters swapped, one left out, one too many, one wrong, or two of these but the first."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that ``name`` is a misspelling of, or None.

    The letter case doesn't matter, and ``-`` stands for ``_``, as in a flag.
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
    """Return the three parts of a name. Two changes leave at least one of them as it was.

    An environment may have thousands of names. Most have none of the parts: no need to compare.
    """
    third = len(name) // 3
    return name[:third], name[third : 2 * third], name[2 * third :]


def edit_distance(a: str, b: str) -> int:
    """Return how many letters must be added, removed or replaced to make one name of the other.

    Counting ends above ``MAX_DISTANCE``.
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
