"""A view of one topic: each step is encoded, framed and compressed once for all its clients.

A step takes the clients of a view from the last update that they were sent to a newer one.
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
"""A view remembers at most this many catch-up steps, one per place that a client lagged at."""


class Outbox(Protocol):
    """A connection's outgoing queue, as the hub needs it.

    Attributes:
        writable: while False, nothing is sent.
        write: sends a frame at once.
        append: puts a frame into the queue for the next :meth:`flush`.
        shown: the client's subscriptions; only the hub changes it.
        may_see: returns whether the client has the right to a topic.
    """

    writable: bool
    write: Callable[[bytes], None]
    append: Callable[[bytes], None]
    shown: dict[Topic, Subscription]
    may_see: Callable[[Topic], bool]

    def put(self, frame: bytes) -> None:
        """Append a frame; flush at once if the queue is long."""

    def flush(self) -> None:
        """Write all queued frames in one write."""


class Subscription:
    """One client's part in a view.

    The view counts its updates once for all clients; this corrects the counts for one client, for
    the times when it lagged.

    Attributes:
        last_status: the last status that the client was sent.
        refused: the last refusal by the feed that the client was sent.
        history: number of past updates still owed to the client, until the feed has fetched them.
        left: the cursor of a returning client that waits until this node knows the topic, or has
            newer data.
        waits_until: when that wait ends, in the hub's seconds.
        began: where a lossless subscription began; None: it hasn't, or it isn't lossless.
        whole: the client gets the whole state first, even if it has the newest one.
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
        """Return the counts so far. What comes while a client lags isn't counted as sent yet."""
        since = self.view.tally() - self._mark
        return self._total + (since._replace(sent=0, gapped=0, unchanged=0) if lagging else since)

    def hold(self) -> None:
        """Note that from now on the view's frames don't go to this client: it lags."""
        self._total = self.tally(lagging=False)
        self._mark = self.view.tally()

    def catch_up(self, *, sent: int, gapped: int) -> None:
        """Note what a client was sent when it caught up: after a lag, or when it began."""
        if self._begun:
            self._total = self.tally(lagging=True) + DeliveryCounts(sent=sent, gapped=gapped)
        else:
            self._total = _beginning(sent, gapped)
            self._begun = True
        self._mark = self.view.tally()

    def delivered_cursor(self, last: Cursor | None) -> Cursor | None:
        """Return ``last``, but never a cursor before the client's first update."""
        began = self.began
        if began is None:
            return last
        if last is not None and (
            last.position.epoch != began.position.epoch or last.position.seq >= began.position.seq
        ):
            return last
        return Cursor(Position(began.position.epoch, began.position.seq - 1))

    def note_past(self, count: int) -> None:
        """Note that the client was sent this many updates from before it began."""
        self._total += DeliveryCounts(received=count, sent=count)


_NOTHING: Final = DeliveryCounts()


@lru_cache  # thousands of clients begin with the same counts
def _beginning(sent: int, gapped: int) -> DeliveryCounts:
    return DeliveryCounts(received=sent + gapped, sent=sent, gapped=gapped)


class View:
    """The subscribers of one spec, and where they stand.

    Attributes:
        cursor: the last update that the live subscribers were sent; None: nothing yet.
        live: subscribers that can take data. They have no cursor of their own.
        lagging: subscribers that can't take data, each with its own cursor.
        waiting: those of ``lagging`` that came back with a cursor newer than this node's data.
        before_outage: where clients stood that came back in an outage, when this node's own epoch
            replaced theirs. Their epoch may go on afterwards.
        shown_at: when the view last sent something, in the hub's seconds.
        due: when a view with an interval may send again, in the hub's seconds.
        pending: updates wait for ``due``.
    """

    __slots__ = (
        "_appends",
        "_catch_ups",
        "_outboxes",
        "_tally",
        "_writes",
        "before_outage",
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
        self.before_outage: dict[Subscription, Cursor] = {}
        self.newly_lagging = 0
        """How many clients of ``lagging`` haven't missed an update yet."""
        self.due = self.shown_at = 0.0
        self.unreadable_until = 0.0
        """Until this time its clients get no further gap of unreadable updates."""
        self.pending = False
        self.unsent_count = 0
        """Updates since the view last sent something; for a view with an interval."""
        self.received = 0
        self.sent = 0
        self.gapped = 0
        self.unchanged = 0
        self._tally = DeliveryCounts()
        # Catch-up steps: from a lagging client's position to the view's cursor.
        self._catch_ups: dict[Position | None, RenderedStep] = {}
        self._writes: tuple[Callable[[bytes], None], ...] | None = None
        self._appends: tuple[Callable[[bytes], None], ...] | None = None
        self._outboxes: tuple[Outbox, ...] | None = None

    def advance(self, shown: RenderedStep, now: float) -> None:
        """Note that the live clients were sent a step."""
        if shown.frames:
            self.shown_at = now
        if shown.cursor is not self.cursor:
            self.cursor = shown.cursor
            self._catch_ups.clear()
        self.sent += shown.updates
        self.gapped += shown.gapped

    def forget(self) -> None:
        """Forget all cursors, so that the next update is sent to all clients as their first."""
        self.cursor = None
        self.pending = False
        self.unsent_count = 0
        self._catch_ups.clear()
        self.lagging = dict.fromkeys(self.lagging)

    def tally(self) -> DeliveryCounts:
        """Return the counts since the view began; the same object until an update comes."""
        tally = DeliveryCounts(self.received, self.sent, self.gapped, self.unchanged)
        if tally != self._tally:
            self._tally = tally
        return self._tally

    @property
    def newest(self) -> Update:
        """The last update that the live clients were sent. Only for a view that has a cursor."""
        assert self.cursor is not None
        assert self.cursor.base is not None  # a view's cursor is always at an update that it sent
        return self.cursor.base

    def catch_up_from(
        self, last: Cursor | None, render: Callable[[Update], RenderedStep]
    ) -> RenderedStep:
        """Return the step from ``last`` to the view's cursor, rendered once for all clients."""
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
        """Make a client lagging, at the cursor ``last``."""
        if self.live.pop(subscription, subscription) is None:
            self._forget_tuples()
        self.lagging[subscription] = last
        self.newly_lagging += 1

    def let_go(self, subscription: Subscription) -> Cursor | None:
        """Make a lagging client live again. Return the cursor where it lagged."""
        last = self.lagging.pop(subscription)
        self.waiting.discard(subscription)
        self.live[subscription] = None
        self._forget_tuples()
        return last

    def leave(self, subscription: Subscription) -> None:
        """Remove a client."""
        if self.live.pop(subscription, subscription) is None:
            self._forget_tuples()
        self.lagging.pop(subscription, None)
        self.waiting.discard(subscription)
        self.before_outage.pop(subscription, None)

    # The outboxes of the live clients, and their bound methods, are cached until a client joins or
    # leaves. So the flush calls them all with no bytecode in between.

    def outboxes(self) -> tuple[Outbox, ...]:
        """Return the outboxes of the live clients."""
        if self._outboxes is None:
            self._outboxes = tuple(subscription.outbox for subscription in self.live)
        return self._outboxes

    def writes(self) -> tuple[Callable[[bytes], None], ...]:
        """Return the live clients' methods that write at once."""
        if self._writes is None:
            self._writes = tuple(outbox.write for outbox in self.outboxes())
        return self._writes

    def appends(self) -> tuple[Callable[[bytes], None], ...]:
        """Return the live clients' methods that append to the next flush."""
        if self._appends is None:
            self._appends = tuple(outbox.append for outbox in self.outboxes())
        return self._appends

    def _forget_tuples(self) -> None:
        self._writes = self._appends = self._outboxes = None
