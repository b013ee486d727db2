"""What the hub knows of one topic with clients on this node: its log, views and status.

:mod:`bookcast.hub.hub` sends its updates.
"""

from __future__ import annotations

from bookcast.engine.interests import Interest
from bookcast.hub.status import Status
from bookcast.hub.view import View
from bookcast.hub.view_spec import ViewSpec
from bookcast.model.cursor import Cursor
from bookcast.model.history import Gap
from bookcast.model.topic_log import StateLog, Step
from bookcast.model.updates import Position, Update


class LiveTopic:
    """A topic that clients of this node see.

    Attributes:
        interest: keeps the topic wanted.
        log: what this node shows of the topic.
        unreadable: the gap of unreadable updates after the newest readable one; None: no gap.
        untold: subscribers haven't been notified of that gap yet.
    """

    __slots__ = ("interest", "log", "status", "topic", "unreadable", "untold", "views")

    def __init__(self, interest: Interest) -> None:
        self.interest = interest
        self.log = interest.log
        self.topic = interest.log.topic
        self.status = Status("pending")
        self.unreadable: Gap | None = None
        self.untold = False
        self.views: dict[ViewSpec, View] = {}
        if self.log.unreadable is not None:
            self.skip(self.log.unreadable)
            self.untold = False  # each new subscriber is notified when it begins

    @property
    def conflates(self) -> bool:
        """Whether a client that lags misses updates, and gets the newest instead."""
        return self.log.conflates

    def skip(self, position: Position) -> None:
        """Note that the update at a position can't be read."""
        gap = self.unreadable
        if gap is None or not self.untold or gap.epoch != position.epoch:
            gap = Gap(position.epoch, position.seq, None, "unreadable")
        self.unreadable = gap._replace(to_seq=position.seq)
        self.untold = True

    def missing_after(self, cursor: Cursor | None) -> Gap | None:
        """Return the gap of unreadable updates after a view's cursor; None: there is none."""
        gap, place = self.unreadable, cursor.position if cursor is not None else None
        if gap is None or gap.to_seq is None or place is None or place.epoch != gap.epoch:
            return gap
        return gap._replace(from_seq=place.seq + 1) if place.seq < gap.to_seq else None

    def forget(self) -> None:
        """Forget everything: the topic was removed. The next update begins anew."""
        self.unreadable, self.untold = None, False
        for view in self.views.values():
            view.forget()

    def step(self, view: View) -> Step:
        """Return a view's step of a flush: all updates that came; with an interval, the newest."""
        log = self.log
        assert log.flushed is not None  # a flush comes after the first update
        if isinstance(log, StateLog) and not view.spec.lossless:
            return Step(None, [log.flushed] if view.spec.interval_ms else log.taken)
        cursor = view.cursor or (log.start() if view.spec.lossless else None)
        return self.catch_up(view.spec, cursor, log.flushed)

    def catch_up(self, spec: ViewSpec, cursor: Cursor | None, newest: Update) -> Step:
        """Return the step that takes a client from a cursor to a newer update.

        For a state that is only the newest one, unless the view is lossless.
        """
        if self.conflates and (cursor is None or not spec.lossless):
            return Step(None, [newest])
        return self.log.since(cursor, newest)

    def resuming(self, spec: ViewSpec, cursor: Cursor, last: Cursor | None) -> Cursor | None:
        """Return the cursor from which a returning client goes on; None: before everything.

        ``cursor``: where its view stands. ``last``: where the client stands; None: unknown.
        """
        if last is None:
            if not self.conflates:
                return cursor
            return self.log.start() if spec.lossless else None
        if last.position == cursor.position:
            return cursor
        # If the old state is gone from this node, no delta can start from it.
        return last if last.base is not None or spec.lossless or not self.conflates else None

    def delivered(self, view: View, before: float) -> Cursor | None:
        """Return a view's cursor as it was at a moment, in the hub's seconds; None: unknown."""
        if not self.conflates or view.shown_at <= before or view.cursor is None:
            return view.cursor
        last = self.log.before(before) if view.spec.lossless else None
        return Cursor.at(last) if last is not None else None

    def beginning(self, cursor: Cursor | None, history: int) -> Cursor | None:
        """Return the cursor where a new client begins. It then catches up to its view's cursor.

        For a state that is None, since the client gets the whole state. For trades and candles it
        is the view's cursor, or the place before the requested history. A new client of candles
        gets the newest candle in any case.
        """
        if self.conflates or cursor is None:
            return None
        past = self.log.last(history, cursor.position)
        if past:
            return Cursor.before(past[0])
        if self.topic.channel == "trades":
            return cursor
        return Cursor(Position(cursor.position.epoch, cursor.position.seq - 1))

    def view(self, spec: ViewSpec) -> View:
        """Return the view of a spec; make it if there is none."""
        view = self.views.get(spec)
        if view is None:
            if spec.lossless and isinstance(self.log, StateLog):
                self.log.keep_all()
            flushed = self.log.flushed
            cursor = Cursor.at(flushed) if flushed is not None else None
            view = self.views[spec] = View(spec, cursor)
        return view

    def is_behind(self, spec: ViewSpec, last: Cursor | None) -> bool:
        """Return whether a view stands before a client's cursor.

        ``last`` None: what the client has is unknown, so take all that this node has shown.
        """
        view, has = self.views.get(spec), last or self.log.flushed
        if view is None or view.cursor is None or has is None:
            return False
        return has.position.is_past(view.cursor.position)

    def is_waited_for(self) -> bool:
        """Return whether the next update needs a flush: some view isn't waiting for a timer."""
        return any(not view.pending for view in self.views.values())

    def subscriber_count(self, *, conflating: bool = False) -> int:
        """Return the number of subscribers of all views, or of those that may miss some updates."""
        return sum(
            len(view.live) + len(view.lagging)
            for view in self.views.values()
            if not (conflating and (view.spec.interval_ms or view.spec.lossless))
        )
