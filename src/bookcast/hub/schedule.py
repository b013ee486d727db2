"""When a view with an interval may send its next update."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final

from bookcast.hub.topic import LiveTopic
from bookcast.hub.view import View

CallLater = Callable[[float, Callable[[], None]], object]
"""Call a function after this many seconds; 0: as soon as the event loop can."""

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


class DueTimes:
    """Wakes topics when their views with an interval are due.

    Args:
        clock: monotonic seconds.
        call_later: the event loop's timer.
        on_due: is called with the topics of views that are due now.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        call_later: CallLater,
        on_due: Callable[[Iterable[LiveTopic]], None],
    ) -> None:
        self._clock = clock
        self._call_later = call_later
        self._on_due = on_due
        self._wakes: dict[float, dict[LiveTopic, None]] = {}

    def is_due(self, live: LiveTopic, view: View, count: int, now: float) -> bool:
        """Return whether a view shows something in this flush; if not, schedule its due time."""
        if not view.spec.interval_ms:
            return count > 0
        if not count and not view.pending:
            return False
        interval = view.spec.interval_ms / 1000
        if now < view.due - EARLY_SECONDS:
            view.pending = True
            self._wake_at(view.due, live)
            return False
        view.due = next_due(now, interval, view.due if view.pending else None)
        view.pending = False
        return True

    def _wake_at(self, due: float, live: LiveTopic) -> None:
        waking = self._wakes.get(due)
        if waking is None:
            waking = self._wakes[due] = {}
            self._call_later(due - self._clock(), lambda: self._wake(due))
        waking[live] = None

    def _wake(self, due: float) -> None:
        self._on_due(self._wakes.pop(due))
