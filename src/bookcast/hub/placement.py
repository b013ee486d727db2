"""Where a client's subscription begins: now, some updates back, or where it stood before."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from bookcast.hub.step_renderer import StepRenderer
from bookcast.hub.topic import LiveTopic
from bookcast.hub.view import Subscription, View
from bookcast.model.cursor import Cursor
from bookcast.model.updates import Position


class Placement(NamedTuple):
    """The place where a client's subscription begins.

    Attributes:
        position: None when nothing is known of the topic yet.
        recovered: nothing is missing between what the client has and what it will be sent.
    """

    position: Position | None
    recovered: bool = False


class Placer:
    """Places new subscriptions. A client waits for data that are newer than this node's.

    Args:
        steps: renders what a returning client missed, to find the gaps in it.
        clock: monotonic seconds.
        patience: seconds that a returning client waits if its cursor is newer than this node's
            data. With several nodes, one may be behind for a moment.
    """

    def __init__(self, steps: StepRenderer, clock: Callable[[], float], patience: float) -> None:
        self._steps = steps
        self._clock = clock
        self._patience = patience

    def place_now(
        self, live: LiveTopic, subscription: Subscription, last: Cursor | None, history: int
    ) -> Placement:
        """Begin at the view's cursor. ``last``: what an earlier subscription sent the client."""
        view = subscription.view
        beginning = live.beginning(view.cursor, history)
        if last is not None and view.cursor is not None and beginning is not None and not history:
            resumed = live.resuming(view.spec, view.cursor, last)
            place = beginning.position
            if resumed is not None and (
                resumed.position.epoch != place.epoch or resumed.position.seq < place.seq
            ):
                beginning = resumed
        view.hold(subscription, beginning)
        begun = beginning or view.cursor
        if begun is None:
            subscription.history = history  # sent when the feed has fetched it
        return Placement(begun.position if begun is not None else None)

    def place_after(
        self, live: LiveTopic, subscription: Subscription, last: Cursor | None
    ) -> Placement:
        """Go on after ``last``, the client's cursor from an earlier connection; None: unknown."""
        view, place = subscription.view, last.position if last is not None else None
        cursor = view.cursor
        if cursor is None:
            self._wait(subscription, last)
            return Placement(None)
        if self._patience and place is not None and place.is_past(cursor.position):
            self._wait(subscription, last)
            self.bound_wait(subscription)
            return Placement(place, recovered=True)
        beginning = self.resume(live, subscription, cursor, last)
        view.hold(subscription, beginning)
        if place is None:
            return Placement(cursor.position)
        if live.conflates:
            known = place.epoch == cursor.position.epoch and not place.is_past(cursor.position)
            return Placement(cursor.position if beginning is None else place, recovered=known)
        return self._place_among_events(live, view, beginning, place)

    def resume(
        self, live: LiveTopic, subscription: Subscription, cursor: Cursor, last: Cursor | None
    ) -> Cursor | None:
        """Return the cursor from which a returning client goes on, at a view's ``cursor``.

        Where this node's own epoch replaces the client's in an outage, its place is kept: that
        epoch may go on afterwards, and then the client must not be sent what it has.
        """
        view = subscription.view
        if (
            last is not None
            and not live.conflates
            and cursor.position.is_local
            and last.position.epoch != cursor.position.epoch
        ):
            view.before_outage[subscription] = last
        return None if subscription.whole else live.resuming(view.spec, cursor, last)

    def go_back(self, subscription: Subscription, last: Cursor) -> None:
        """Let a client wait for this node's data at an earlier place, and go on after it."""
        view = subscription.view
        if subscription in view.live:
            subscription.hold()
        self._wait(subscription, last)
        self.bound_wait(subscription)

    def _place_among_events(
        self, live: LiveTopic, view: View, beginning: Cursor | None, place: Position
    ) -> Placement:
        """Return where a client of trades or candles goes on, and whether updates are missing."""
        shown = view.catch_up_from(
            beginning, lambda newest: self._steps.between(live, view, beginning, newest)
        )
        gap = shown.gap
        if gap is None:
            # What waits for the next flush may be of a new epoch, and then comes with a gap.
            newest = live.log.newest
            return Placement(
                place, recovered=newest is None or newest.position.epoch == place.epoch
            )
        if gap.from_seq is not None:
            return Placement(Position(gap.epoch, gap.from_seq - 1))
        following = live.catch_up(view.spec, beginning, view.newest).updates
        if not following:
            return Placement(view.newest.position)
        return Placement(Cursor.before(following[0]).position)

    def _wait(self, subscription: Subscription, last: Cursor | None) -> None:
        """Send a client nothing until this node knows the topic, and newer data than ``last``."""
        subscription.left = last
        subscription.view.hold(subscription, None)
        if last is not None:
            subscription.view.waiting.add(subscription)

    def bound_wait(self, subscription: Subscription) -> None:
        """Bound how long a client waits: another node isn't ahead of this one for longer."""
        subscription.waits_until = self._clock() + self._patience
