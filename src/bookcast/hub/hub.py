"""The fan-out. An update marks its topic dirty and schedules one flush for all that is dirty.

The clock, the timer and the renderer are passed in: nothing here waits, sends or encodes by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from itertools import repeat
from operator import call

from bookcast.hub.topic import LiveTopic
from bookcast.hub.view import Outbox, Render, View, ViewSpec
from bookcast.model import Topic, Update

logger = logging.getLogger(__name__)

CallLater = Callable[[float, Callable[[], None]], object]
"""Calls a function after so many seconds (0: as soon as the event loop can)."""


class Hub:
    """Sends each update once per view to every subscriber that can take it.

    Args:
        render: gives the finished frame of an update in a view.
        clock: monotonic seconds.
        call_later: the event loop's timer.
        want: asked to begin delivering a topic, which may deliver its newest update at once.
        release: asked to stop delivering it.
        batch_seconds: under load a flush waits at most this long for company; 0: never.
    """

    def __init__(
        self,
        *,
        render: Render,
        clock: Callable[[], float],
        call_later: CallLater,
        want: Callable[[Topic], None],
        release: Callable[[Topic], None],
        batch_seconds: float = 0.0,
    ) -> None:
        self._render = render
        self._clock = clock
        self._call_later = call_later
        self._want = want
        self._release = release
        self._batch_seconds = batch_seconds
        self._topics: dict[Topic, LiveTopic] = {}
        self._dirty: dict[Topic, LiveTopic] = {}
        self._scheduled = False
        self._not_before = 0.0
        self.delivered = 0
        """Frames handed to outboxes."""
        self.conflated = 0
        """Frames that a newer one replaced before a subscriber could take them."""

    # From the engine

    def deliver(self, update: Update) -> None:
        """Let an update of a wanted topic go out with the next flush."""
        live = self._topics.get(update.topic)
        if live is None:
            logger.debug("%s seq %d: nobody here wants it", update.topic, update.position.seq)
            return
        if live.add(update):
            self.conflated += live.subscriber_count()
            logger.debug("%s seq %d: displaced an older one", update.topic, update.position.seq)
        self._dirty[update.topic] = live
        self._schedule()

    # From the sessions

    def subscribe(
        self, outbox: Outbox, topic: Topic, spec: ViewSpec, replaces: ViewSpec | None = None
    ) -> None:
        """Show a topic to a client from now on, beginning with its newest state if there is one.

        The state shown first is the one that the view's other subscribers were sent last, so that
        all of them go on from the same place.
        """
        live = self._topics.get(topic)
        newly_wanted = live is None
        if live is None:
            live = self._topics[topic] = LiveTopic()
        if replaces is not None and replaces != spec:
            self._leave(live, outbox, replaces)
        view = live.view(spec, self._render)
        view.held[outbox] = None
        self._catch_up_in(view, outbox)
        if newly_wanted:
            # The engine may deliver the newest state at once: the next flush takes it along.
            self._want(topic)

    def unsubscribe(self, outbox: Outbox, topic: Topic, spec: ViewSpec) -> None:
        """Show the topic to this client no more."""
        live = self._topics.get(topic)
        if live is None:
            return
        self._leave(live, outbox, spec)
        if not live.views:
            del self._topics[topic]
            self._dirty.pop(topic, None)
            self._release(topic)

    def hold(self, outbox: Outbox, shown: Mapping[Topic, ViewSpec]) -> None:
        """Send nothing more to a client that can't take it, in none of the views shown to it."""
        for topic, spec in shown.items():
            view = self._find(topic, spec)
            if view is not None and view.ready.pop(outbox, None) is not None:
                view.held[outbox] = view.emitted

    def catch_up(self, outbox: Outbox, shown: Mapping[Topic, ViewSpec]) -> None:
        """Give a client that can take data again ONE frame per view it fell behind in."""
        for topic, spec in shown.items():
            if not outbox.writable:
                break  # it took some, and then no more
            self._catch_up_in(self._find(topic, spec), outbox)
        outbox.flush()

    def _find(self, topic: Topic, spec: ViewSpec) -> View | None:
        """Give a view that a client sees, or None while it is still being shown to it."""
        live = self._topics.get(topic)
        return live.views.get(spec) if live is not None else None

    def _catch_up_in(self, view: View | None, outbox: Outbox) -> None:
        if view is None or not outbox.writable or outbox not in view.held:
            return
        last = view.held.pop(outbox)
        view.ready[outbox] = outbox.write
        frame = view.last_frame()
        if frame is not None and view.emitted is not last:
            self.delivered += 1
            outbox.put(frame)

    def subscriber_count(self, topic: Topic) -> int:
        """Count this node's subscribers of a topic."""
        live = self._topics.get(topic)
        return live.subscriber_count() if live is not None else 0

    def topics(self) -> dict[Topic, int]:
        """Give each wanted topic and its number of subscribers."""
        return {topic: live.subscriber_count() for topic, live in self._topics.items()}

    # The flush

    def flush(self) -> None:
        """Send what waits: each view's frames to its subscribers, then one write per outbox."""
        started = self._clock()
        self._scheduled = False
        dirty, self._dirty = self._dirty, {}
        # An outbox has one view of a topic at most: when a single topic is dirty, there is nothing
        # to join, and each frame is written right away.
        touched: list[Outbox] | None = [] if len(dirty) > 1 else None
        for topic, live in dirty.items():
            try:
                self._emit(topic, live, touched)
            except Exception:
                # One topic that can't be shown must not take the others' updates with it.
                logger.exception("%s can't be shown", topic)
        for outbox in touched or ():
            outbox.flush()
        # Under load, collect for about as long as sending takes: fewer and larger writes.
        took = self._clock() - started
        self._not_before = started + min(2 * took, self._batch_seconds)

    def _emit(self, topic: Topic, live: LiveTopic, touched: list[Outbox] | None) -> None:
        updates = live.take()
        count = len(updates)
        for view in live.views.values():
            before = view.emitted
            frames = [view.emit(update) for update in updates]
            chunk = frames[0] if count == 1 else b"".join(frames)
            # Copies: a write may find a client full, which then moves from ready to held.
            if touched is None:
                # Each write returns None, so any() runs through them all, with no bytecode between
                # two system calls: measured, a tenth of a frame's whole cost.
                writes = tuple(view.ready.values())
                any(map(call, writes, repeat(chunk)))
                self.delivered += count * len(writes)
            else:
                for outbox in tuple(view.ready):
                    if not outbox.frames:
                        touched.append(outbox)
                    outbox.put(chunk)
                    self.delivered += count
            for outbox, last in view.held.items():
                if last is not view.emitted:
                    # One frame will bring it up to date; the others it never sees.
                    unseen = count - 1 if last is before else count
                    outbox.conflated += unseen
                    self.conflated += unseen
            if logger.isEnabledFor(logging.DEBUG):
                logger.debug(
                    "%s seq %d as %s: sent to %d, held back for %d that can't take it now",
                    topic,
                    updates[-1].position.seq,
                    view.spec.spelling,
                    len(view.ready),
                    len(view.held),
                )

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._call_later(max(0.0, self._not_before - self._clock()), self.flush)

    def _leave(self, live: LiveTopic, outbox: Outbox, spec: ViewSpec) -> None:
        view = live.views.get(spec)
        if view is None:
            return
        view.ready.pop(outbox, None)
        view.held.pop(outbox, None)
        if not view.ready and not view.held:
            del live.views[spec]
