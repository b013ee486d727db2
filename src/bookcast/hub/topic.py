"""What the hub knows of one topic that clients here see: its log, its views, how it stands."""

from __future__ import annotations

from bookcast.engine.interests import Interest
from bookcast.hub.status import Status
from bookcast.hub.view import View
from bookcast.hub.view_spec import ViewSpec
from bookcast.model.cursor import Cursor
from bookcast.model.history import Gap
from bookcast.model.log import StateLog, Step
from bookcast.model.updates import Position, Update


class LiveTopic:
    """A topic that somebody here sees. ``interest`` keeps it wanted, ``log`` is what is shown.

    Attributes:
        unreadable: the updates that came last and can't be read, since others could be;
            ``untold``: nobody has been told of them yet.
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
            self.untold = False  # whoever subscribes is told at once

    @property
    def conflates(self) -> bool:
        """Whether a client that can't take data misses updates, and gets the newest instead."""
        return self.log.conflates

    def skip(self, position: Position) -> None:
        """Note that the update at a position can't be read."""
        gap = self.unreadable
        if gap is None or not self.untold or gap.epoch != position.epoch:
            gap = Gap(position.epoch, position.seq, None, "unreadable")
        self.unreadable = gap._replace(to_seq=position.seq)
        self.untold = True

    def missing_after(self, cursor: Cursor | None) -> Gap | None:
        """Return the updates after what a view shows that can't be read; None: there are none."""
        gap, place = self.unreadable, cursor.position if cursor is not None else None
        if gap is None or gap.to_seq is None or place is None or place.epoch != gap.epoch:
            return gap
        return gap._replace(from_seq=place.seq + 1) if place.seq < gap.to_seq else None

    def forget(self) -> None:
        """Know nothing any more: the topic was removed. What comes next begins anew."""
        self.unreadable, self.untold = None, False
        for view in self.views.values():
            view.forget()

    def step(self, view: View) -> Step:
        """Return what a flush shows in a view: all that came, or with an interval the newest."""
        log = self.log
        assert log.flushed is not None  # nothing is flushed before something came
        if isinstance(log, StateLog) and not view.spec.lossless:
            return Step(None, [log.flushed] if view.spec.interval_ms else log.taken)
        cursor = view.cursor or (log.start() if view.spec.lossless else None)
        return self.catch_up(view.spec, cursor, log.flushed)

    def catch_up(self, spec: ViewSpec, cursor: Cursor | None, newest: Update) -> Step:
        """Return what leads a client from a place to a newer update.

        Of a state that is the newest one, unless the client is to be shown every one.
        """
        if self.conflates and (cursor is None or not spec.lossless):
            return Step(None, [newest])
        return self.log.since(cursor, newest)

    def resuming(self, spec: ViewSpec, cursor: Cursor, last: Cursor | None) -> Cursor | None:
        """Return the place where a client goes on that was there before; None: before everything.

        ``cursor``: where its view stands. ``last``: what the client has, if anybody knows.
        """
        if last is None:
            if not self.conflates:
                return cursor
            return self.log.start() if spec.lossless else None
        if last.position == cursor.position:
            return cursor
        # Of a state that nobody has any more, no delta can lead on.
        return last if last.base is not None or spec.lossless or not self.conflates else None

    def delivered(self, view: View, before: float) -> Cursor | None:
        """Return what a view's clients had been shown before a moment, in the hub's seconds."""
        if not self.conflates or view.shown_at <= before or view.cursor is None:
            return view.cursor
        last = self.log.before(before) if view.spec.lossless else None
        return Cursor.at(last) if last is not None else None

    def beginning(self, cursor: Cursor | None, history: int) -> Cursor | None:
        """Return the place where a newcomer begins, who is then caught up to where its view is.

        That is before the whole state; or, where every update counts, where the view stands, or
        before the newest of the history. A newcomer to candles is shown the newest in any case.
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
        """Return the view of a spec, made when there is none."""
        view = self.views.get(spec)
        if view is None:
            if spec.lossless and isinstance(self.log, StateLog):
                self.log.keep_all()
            flushed = self.log.flushed
            cursor = Cursor.at(flushed) if flushed is not None else None
            view = self.views[spec] = View(spec, cursor)
        return view

    def is_behind(self, spec: ViewSpec, last: Cursor | None) -> bool:
        """Return whether a view has not yet shown what somebody has.

        Of somebody of whom nobody knows what they have, that is all that was shown here.
        """
        view, has = self.views.get(spec), last or self.log.flushed
        if view is None or view.cursor is None or has is None:
            return False
        return has.position.is_past(view.cursor.position)

    def is_waited_for(self) -> bool:
        """Return whether some view shows the next update without being woken for it."""
        return any(not view.pending for view in self.views.values())

    def subscriber_count(self, *, conflating: bool = False) -> int:
        """Return the count of subscribers of all views, or of those that may miss some updates."""
        return sum(
            len(view.live) + len(view.lagging)
            for view in self.views.values()
            if not (conflating and (view.spec.interval_ms or view.spec.lossless))
        )
