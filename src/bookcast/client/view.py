"""How a topic is wanted: by each subscription, and over the wire for all of them."""

from __future__ import annotations

from typing import Literal, NamedTuple

Mode = Literal["full", "delta"]


class View(NamedTuple):
    """How a topic is seen.

    ``depth``: levels of a book on each side, None for all. ``history``: past trades or candles that
    come first.
    """

    depth: int | None
    mode: Mode
    interval_ms: int
    history: int


def union(one: View, other: View) -> View:
    """Return the view that holds everything of both: deepest, fastest, longest."""
    return View(
        None if one.depth is None or other.depth is None else max(one.depth, other.depth),
        other.mode if one.mode == "full" else one.mode,
        min(one.interval_ms, other.interval_ms),
        max(one.history, other.history),
    )


def is_same(one: View, other: View | None) -> bool:
    """Return whether two views show the same. History is sent once, and doesn't count."""
    return other is not None and one[:3] == other[:3]


def levels(view: View | None) -> float:
    """Return how many levels a view shows of each side."""
    return float("inf") if view is None or view.depth is None else view.depth
