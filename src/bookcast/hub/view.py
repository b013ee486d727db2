"""One way of showing one topic: each step is encoded, framed and compressed once for all.

A step takes the clients of a view from what they were shown last to something newer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Protocol

from bookcast.hub.counts import DeliveryCounts
from bookcast.hub.view_spec import RenderedStep, ViewSpec
from bookcast.model.cursor import Cursor
from bookcast.model.topics import Topic
from bookcast.model.updates import Position, Update

MAX_CATCH_UPS: Final = 64
"""So many places that clients were left at share what brings them up to date."""


class Outbox(Protocol):
    """What the hub needs of a connection's outgoing queue.

    ``append`` puts a frame into the queue for the next :meth:`flush`; ``write`` sends at once; both
    return None. While ``writable`` is False nothing is sent. ``shown`` is the hub's: what this
    client subscribed to. ``may_see`` returns whether it has the right to a topic.
    """

    writable: bool
    write: Callable[[bytes], None]
    append: Callable[[bytes], None]
    shown: dict[Topic, Subscription]
    may_see: Callable[[Topic], bool]

    def put(self, frame: bytes) -> None:
        """Append a frame; a queue that grows long is flushed at once."""

    def flush(self) -> None:
        """Write all frames in one go."""


class Subscription:
    """Counts for one client what its view counts for all, leaving out the times it was held.

    Attributes:
        last_status: what the client heard last of how the topic stands.
        refused: what it heard last of why a feed can't get the topic.
        history: so many updates from before it began are still owed to it.
        left: how far it was when it came back, while less is known here of the topic, or nothing.
        waits_until: how long it waits for more then, in the hub's seconds.
        began: what it was shown first, where it is to be shown every update.
        whole: it begins with a whole state, even where it has the newest.
    """

    __slots__ = (
        "_begun",
        "_mark",
        "_total",
        "began",
        "history",
        "last_status",
        "left",
        "outbox",
        "refused",
        "topic",
        "view",
        "waits_until",
        "whole",
    )

    def __init__(self, outbox: Outbox, topic: Topic, view: View) -> None:
        self.outbox = outbox
        self.topic = topic
        self.view = view
        self.last_status: tuple[object, ...] | None = None
        self.refused: str | None = None
        self.history = 0
        self.left: Cursor | None = None
        self.waits_until = math.inf
        self.began: Cursor | None = None
        self.whole = False
        self._begun = False
        self._total = _NOTHING
        self._mark = view.tally()

    def tally(self, *, lagging: bool) -> DeliveryCounts:
        """Return the counts so far. What comes while a client is held isn't counted as sent yet."""
        since = self.view.tally() - self._mark
        return self._total + (since._replace(sent=0, gapped=0, unchanged=0) if lagging else since)

    def hold(self) -> None:
        """Note that from now on the view's frames don't go to this client."""
        self._total = self.tally(lagging=False)
        self._mark = self.view.tally()

    def catch_up(self, *, sent: int, gapped: int) -> None:
        """Note what a client got that had been held; for a newcomer, that had come before."""
        if self._begun:
            self._total = self.tally(lagging=True) + DeliveryCounts(sent=sent, gapped=gapped)
        else:
            self._total = _beginning(sent, gapped)
            self._begun = True
        self._mark = self.view.tally()

    def delivered_cursor(self, last: Cursor | None) -> Cursor | None:
        """Return the place that a client has received, at least that before its first update."""
        began = self.began
        if began is None:
            return last
        if last is not None and (
            last.position.epoch != began.position.epoch or last.position.seq >= began.position.seq
        ):
            return last
        return Cursor(Position(began.position.epoch, began.position.seq - 1))

    def note_past(self, count: int) -> None:
        """Note that it was shown what had been before it began."""
        self._total += DeliveryCounts(received=count, sent=count)


_NOTHING: Final = DeliveryCounts()


@lru_cache  # thousands of clients begin with the same
def _beginning(sent: int, gapped: int) -> DeliveryCounts:
    return DeliveryCounts(received=sent + gapped, sent=sent, gapped=gapped)


class View:
    """The subscribers of one spec, and where they stand (``cursor``): what they were shown last.

    ``live`` holds those who can take data; ``lagging`` those who can't, with what they were shown
    last; ``waiting`` those of them who came back with more than is known here. ``shown_at`` is when
    it showed something last, ``due`` when a view with an interval may show something again,
    ``pending`` that it will. Times are the hub's seconds.
    """

    __slots__ = (
        "_appends",
        "_catch_ups",
        "_outboxes",
        "_tally",
        "_writes",
        "cursor",
        "due",
        "gapped",
        "lagging",
        "live",
        "newly_lagging",
        "pending",
        "received",
        "sent",
        "shown_at",
        "spec",
        "unchanged",
        "unreadable_until",
        "unsent_count",
        "waiting",
    )

    def __init__(self, spec: ViewSpec, cursor: Cursor | None) -> None:
        self.spec = spec
        self.cursor = cursor
        self.live: dict[Subscription, None] = {}
        self.lagging: dict[Subscription, Cursor | None] = {}
        self.waiting: set[Subscription] = set()
        self.newly_lagging = 0
        """Of them, those for whom nothing has come since."""
        self.due = self.shown_at = 0.0
        self.unreadable_until = 0.0
        """Until then its clients aren't told again that something can't be read."""
        self.pending = False
        self.unsent_count = 0
        """Updates that came since the view showed something, in a view with an interval."""
        self.received = 0
        self.sent = 0
        self.gapped = 0
        self.unchanged = 0
        self._tally = DeliveryCounts()
        # Frames from a place that some client was left at to where the view stands.
        self._catch_ups: dict[Position | None, RenderedStep] = {}
        self._writes: tuple[Callable[[bytes], None], ...] | None = None
        self._appends: tuple[Callable[[bytes], None], ...] | None = None
        self._outboxes: tuple[Outbox, ...] | None = None

    def advance(self, shown: RenderedStep, now: float) -> None:
        """Take note that the ready clients are shown something newer."""
        if shown.frames:
            self.shown_at = now
        if shown.cursor is not self.cursor:
            self.cursor = shown.cursor
            self._catch_ups.clear()
        self.sent += shown.updates
        self.gapped += shown.gapped

    def forget(self) -> None:
        """Show everybody what comes next as if they had been shown nothing."""
        self.cursor = None
        self.pending = False
        self.unsent_count = 0
        self._catch_ups.clear()
        self.lagging = dict.fromkeys(self.lagging)

    def tally(self) -> DeliveryCounts:
        """Return the counts of updates since the view began; the same object until one comes."""
        tally = DeliveryCounts(self.received, self.sent, self.gapped, self.unchanged)
        if tally != self._tally:
            self._tally = tally
        return self._tally

    @property
    def newest(self) -> Update:
        """The update that its clients were shown last; something was."""
        assert self.cursor is not None
        assert self.cursor.base is not None  # a view stands only where it has shown something
        return self.cursor.base

    def catch_up_from(
        self, last: Cursor | None, render: Callable[[Update], RenderedStep]
    ) -> RenderedStep:
        """Return what takes a client from ``last`` to where the view is, rendered once for all."""
        if self.cursor is None or self.cursor is last:
            return RenderedStep(b"", self.cursor, 0)
        key = None if last is None else last.position
        shown = self._catch_ups.get(key)
        if shown is None:
            if len(self._catch_ups) >= MAX_CATCH_UPS:
                self._catch_ups.clear()
            shown = self._catch_ups[key] = render(self.newest)
        return shown

    def hold(self, subscription: Subscription, last: Cursor | None) -> None:
        """Show nothing more to a client, who was shown ``last``."""
        if self.live.pop(subscription, subscription) is None:
            self._forget_tuples()
        self.lagging[subscription] = last
        self.newly_lagging += 1

    def let_go(self, subscription: Subscription) -> Cursor | None:
        """Make a held client ready again. Return where it was held."""
        last = self.lagging.pop(subscription)
        self.waiting.discard(subscription)
        self.live[subscription] = None
        self._forget_tuples()
        return last

    def leave(self, subscription: Subscription) -> None:
        """Forget a client."""
        if self.live.pop(subscription, subscription) is None:
            self._forget_tuples()
        self.lagging.pop(subscription, None)
        self.waiting.discard(subscription)

    # The ready clients' outboxes, and bound methods of theirs: kept for as long as nobody comes or
    # goes, so that the flush runs through them without a line of bytecode in between.

    def outboxes(self) -> tuple[Outbox, ...]:
        """Return the outboxes of the clients that are ready."""
        if self._outboxes is None:
            self._outboxes = tuple(subscription.outbox for subscription in self.live)
        return self._outboxes

    def writes(self) -> tuple[Callable[[bytes], None], ...]:
        """Return the methods that write to them at once."""
        if self._writes is None:
            self._writes = tuple(outbox.write for outbox in self.outboxes())
        return self._writes

    def appends(self) -> tuple[Callable[[bytes], None], ...]:
        """Return the methods that append to what their next flush writes."""
        if self._appends is None:
            self._appends = tuple(outbox.append for outbox in self.outboxes())
        return self._appends

    def _forget_tuples(self) -> None:
        self._writes = self._appends = self._outboxes = None
