"""The fan-out. An update marks its topic dirty and schedules one flush for all dirty topics.

The hub is given its clocks, timer and renderer. It does no I/O and encodes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from bookcast.engine.interests import Interest
from bookcast.hub.batch import Batch, to_all
from bookcast.hub.counts import DeliveryCounts
from bookcast.hub.placement import Placement, Placer
from bookcast.hub.schedule import CallLater, DueTimes
from bookcast.hub.status import Status
from bookcast.hub.status_notifier import StatusNotifier
from bookcast.hub.step_renderer import StepRenderer
from bookcast.hub.topic import LiveTopic
from bookcast.hub.view import Outbox, Subscription, View
from bookcast.hub.view_spec import Renderer, ViewSpec
from bookcast.model.cursor import NOW, Cursor, Since
from bookcast.model.feed_state import FeedState
from bookcast.model.history import Gap
from bookcast.model.symbol_list import FeedList
from bookcast.model.topic_log import MAX_WAITING, Step, TopicLog
from bookcast.model.topics import Channel, Topic
from bookcast.model.updates import Position, PublisherGone, Update
from bookcast.observability.counter import counter

logger = logging.getLogger(__name__)

REST: Final = 5.0
"""Under load the next flush begins no sooner than the last one's duration times this."""


UNREADABLE_SECONDS: Final = 60.0
"""A view's subscribers are notified of unreadable updates at most once in this many seconds."""


class DeliveryReport(NamedTuple):
    """What became of one topic's updates for one client: the answer to `why`.

    Attributes:
        tally: counts, including updates since the last flush.
        queued: how many of them are still to be sent; the others were conflated.
        lagging: the client can't take data now.
        view: how the client sees the topic.
        status: the topic's status now.
        last_update_ms: when the newest update came, milliseconds since 1970; None: there is none.
    """

    tally: DeliveryCounts
    queued: int
    lagging: bool
    view: ViewSpec
    status: Status
    last_update_ms: float | None


class Hub:
    """Sends each update once per view to every subscriber that can take it.

    Args:
        renderer: makes finished frames.
        clock: monotonic seconds.
        now: seconds since 1970.
        call_later: the event loop's timer.
        batch_seconds: under load a flush waits at most this long for more updates; 0: never.
        max_queue_bytes: bound of what a lagging client is sent at once when it catches up.
        stale_after: per channel, seconds without an update until a topic is stale; 0: never.
        patience: seconds that a returning client waits if its cursor is newer than this node's
            data. With several nodes, one may be behind for a moment.
        supply: returns the state of a topic at its feed; None when no feed has the topic.
        gone: returns a value if the publisher of a topic's newest update is gone, else None.
        lacking: returns the feed's symbol list if a topic's symbol is missing from it, else None.
        observe: is called with each update's latency from the feed to the sockets, in seconds.
    """

    delivered = counter("bookcast_messages_delivered", "Updates sent")
    conflated = counter(
        "bookcast_messages_conflated",
        "Updates that a newer one replaced before a client could take them",
    )
    gapped = counter("bookcast_messages_gapped", "Updates that clients were told are lost")

    def __init__(
        self,
        *,
        renderer: Renderer,
        clock: Callable[[], float],
        now: Callable[[], float],
        call_later: CallLater,
        batch_seconds: float = 0.0,
        max_queue_bytes: int = 1 << 20,
        stale_after: Mapping[Channel, float] | None = None,
        patience: float = 0.0,
        supply: Callable[[Topic], FeedState | None] = lambda _topic: None,
        gone: Callable[[Topic], PublisherGone | None] = lambda _topic: None,
        lacking: Callable[[Topic], FeedList | None] = lambda _topic: None,
        observe: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self._renderer = renderer
        self._clock = clock
        self._now = now
        self._call_later = call_later
        self._batch_seconds = batch_seconds
        self._steps = StepRenderer(renderer, max_queue_bytes)
        self._patience = patience
        self._placer = Placer(self._steps, clock, patience)
        self._due_times = DueTimes(clock, call_later, self._on_due)
        self._notifier = StatusNotifier(
            renderer, now, stale_after or {}, supply, gone, lacking=lacking
        )
        self._observe = observe
        self._topics: dict[Topic, LiveTopic] = {}
        self._dirty: dict[Topic, LiveTopic] = {}
        self._before_flush: list[Callable[[], None]] = []
        self._joining: set[Outbox] = set()
        self._backfilled: dict[Topic, LiveTopic] = {}
        self._exclusive_count = 0
        self._scheduled = False
        self._not_before = 0.0

    # From the engine

    def notice(self, log: TopicLog) -> None:
        """Schedule a flush that sends what was appended to a topic's log."""
        live = self._topics.get(log.topic)
        if live is None:
            log.flush_unread()
            logger.debug("%s: nobody here sees it", log.topic)
        elif not log.waiting_count():
            self._backfilled[log.topic] = live  # a backfill: it is older than the demand
            self._schedule()
        elif live.is_waited_for():
            self._dirty[log.topic] = live
            self._schedule()
        else:
            log.trim()

    def note_unreadable(self, topic: Topic, position: Position) -> None:
        """Note that this node can't read an update. Subscribers are notified once a minute.

        For trades and candles the gap is sent before the next update; for states with the next
        :meth:`check`.
        """
        live = self._topics.get(topic)
        if live is None:
            return
        if topic in self._dirty:
            self.flush()  # send the updates before the unreadable one
        live.skip(position)
        if live.conflates:
            self._notify_unreadable(live)

    def _notify_unreadable(self, live: LiveTopic) -> None:
        gap, live.untold = live.unreadable, False
        assert gap is not None  # the caller has checked that there is an unreadable update
        now = self._clock()
        for view in live.views.values():
            if now < view.unreadable_until:
                continue
            view.unreadable_until = now + UNREADABLE_SECONDS
            words = self._renderer.gap(view.spec, live.topic, gap)
            for subscription in tuple(view.live) if words else ():
                subscription.outbox.put(words)
                subscription.outbox.flush()

    def forget(self, topic: Topic) -> None:
        """Forget a topic's data because the topic was removed, and notify its subscribers."""
        live = self._topics.get(topic)
        if live is None:
            return
        live.forget()
        self._dirty.pop(topic, None)
        self._backfilled.pop(topic, None)
        self._notifier.check(live)

    # From the sessions

    def subscribe(
        self,
        outbox: Outbox,
        interest: Interest,
        spec: ViewSpec,
        since: Since = NOW,
        *,
        history: int = 0,
        whole: bool = False,
    ) -> Placement:
        """Subscribe a client to a topic. This replaces the client's earlier view of the topic.

        Nothing is sent yet: call :meth:`start`.

        Args:
            outbox: the client's outgoing queue.
            interest: keeps the topic wanted while the client sees it.
            spec: how the client sees the topic.
            since: where the client goes on. NOW is the view's cursor, so that all its clients share
                each step. A client that is subscribed already misses nothing by NOW.
            history: begin this many updates back; for trades and candles only.
            whole: send the whole state first, even if the client has the newest one.
        """
        topic = interest.log.topic
        if since == NOW:
            before = outbox.shown.get(topic)
            last = (
                before.view.lagging.get(before, before.view.cursor) if before is not None else None
            )
            live, subscription = self._enter(outbox, interest, spec, last, known=before is not None)
            return self._placer.place_now(live, subscription, last, history)
        last = since if isinstance(since, Cursor) else None
        live, subscription = self._enter(outbox, interest, spec, last, known=True)
        subscription.whole = whole and live.conflates
        return self._placer.place_after(live, subscription, last)

    def _end_overdue_waits(self, live: LiveTopic, view: View, cursor: Cursor) -> None:
        """Show waiting clients what this node has: the newer data didn't come in time."""
        now = self._clock()
        for subscription in tuple(view.waiting):
            if now < subscription.waits_until:
                continue
            view.waiting.discard(subscription)
            view.lagging[subscription] = self._placer.resume(
                live, subscription, cursor, subscription.left
            )
            subscription.left = None
            if subscription.outbox.writable:
                self._catch_up(subscription)
                subscription.outbox.flush()

    def disconnect(
        self, outbox: Outbox, delivered_before: float
    ) -> dict[Topic, tuple[Cursor | None, Interest]]:
        """Remove a client from all views: its connection is lost, and the client may come back.

        Args:
            outbox: the client's outgoing queue.
            delivered_before: updates sent before this time, in the hub's seconds, have reached the
                client.

        Returns:
            Per topic the cursor of the last update that has reached the client, None when unknown;
            and an interest that keeps the topic wanted until the client is back or its session
            ends.
        """
        left: dict[Topic, tuple[Cursor | None, Interest]] = {}
        for topic, subscription in tuple(outbox.shown.items()):
            live, view = self._topics[topic], subscription.view
            last = view.lagging.get(subscription, view.cursor)
            if last == view.cursor or view.shown_at > delivered_before:
                last = live.delivered(view, delivered_before)
            if view.spec.lossless:
                last = subscription.delivered_cursor(last)
            # A saved cursor has no base: if the book has changed meanwhile, the client gets it
            # whole.
            left[topic] = (
                Cursor(last.position) if last is not None else None,
                live.interest.share(),
            )
            self.unsubscribe(outbox, topic)
        return left

    def start(self, outbox: Outbox, topics: Iterable[Topic]) -> None:
        """Bring a client that has just subscribed to where its views stand."""
        for topic in topics:
            subscription = outbox.shown[topic]
            if outbox.writable:
                self._catch_up(subscription)
                self._notifier.tell(self._topics[topic], subscription)

    def resync(self, outbox: Outbox, topic: Topic) -> None:
        """Send a subscriber the whole state again, as if it were new."""
        subscription = outbox.shown[topic]
        live, view = self._topics[topic], subscription.view
        beginning = live.beginning(view.cursor, 0)
        if subscription in view.lagging:
            view.lagging[subscription] = beginning  # sent when the client can take data again
            return
        subscription.hold()
        view.hold(subscription, beginning)
        self._catch_up(subscription, again=True)

    def unsubscribe(self, outbox: Outbox, topic: Topic) -> None:
        """Stop sending a topic to a client."""
        live = self._topics.get(topic)
        if live is None:
            return
        self._leave(live, outbox)
        if not live.views:
            del self._topics[topic]
            self._dirty.pop(topic, None)
            live.interest.close()

    def hold(self, outbox: Outbox) -> None:
        """Mark all of a client's subscriptions as lagging: its connection can't take data now."""
        for subscription in outbox.shown.values():
            view = subscription.view
            if subscription in view.live:
                subscription.hold()
                view.hold(subscription, view.cursor)

    def catch_up(self, outbox: Outbox) -> None:
        """Send a client that can take data again ONE frame per view in which it fell behind."""
        for topic, subscription in outbox.shown.items():
            if not outbox.writable:
                break  # the connection is full again
            self._catch_up(subscription)
            self._notifier.tell(self._topics[topic], subscription)
        outbox.flush()

    def is_resting(self) -> bool:
        """Return whether there is load: what comes now waits for the next flush anyway."""
        return self._clock() < self._not_before

    def before_flush(self, function: Callable[[], None]) -> None:
        """Call a function when the next flush begins, so that the flush sends what it publishes."""
        self._before_flush.append(function)
        self._schedule()

    def join(self, outbox: Outbox) -> None:
        """Write an outbox with the next flush. It has answers that may wait that long.

        Frames of views never wait in this way: a flush might write newer frames before them.
        """
        self._joining.add(outbox)
        self._schedule()

    def word(self, outbox: Outbox, topic: Topic) -> DeliveryReport:
        """Return how many updates of a topic one client was sent, and how many still wait."""
        subscription = outbox.shown[topic]
        live, view = self._topics[topic], subscription.view
        lagging = subscription in view.lagging
        waiting, newest = live.log.waiting_count() + view.unsent_count, live.log.newest
        tally = subscription.tally(lagging=lagging) + DeliveryCounts(received=waiting)
        behind = view.lagging[subscription] != view.cursor if lagging else view.pending
        queued = max(0, tally.received - tally.sent - tally.gapped - tally.unchanged)
        if not (behind or waiting):
            queued = 0
        elif live.conflates:
            queued = 1 if lagging or view.spec.interval_ms else min(waiting, MAX_WAITING)
        return DeliveryReport(
            tally=tally,
            queued=queued,
            lagging=lagging,
            view=view.spec,
            status=self._notifier.judge(live),
            last_update_ms=newest.server_ms if newest is not None else None,
        )

    def judge(self, newest: Update, gone: PublisherGone | None) -> Status:
        """Return the status of a topic whose newest update is this one."""
        return self._notifier.judge_update(newest.topic, newest, gone)

    def subscriber_count(self, topic: Topic) -> int:
        """Return the number of this node's subscribers of a topic."""
        live = self._topics.get(topic)
        return live.subscriber_count() if live is not None else 0

    def topics(self) -> dict[Topic, int]:
        """Return each topic that has subscribers on this node, and their number."""
        return {topic: live.subscriber_count() for topic, live in self._topics.items()}

    # The flush

    def flush(self) -> None:
        """Send the waiting updates, each view's frames to its subscribers; one write per outbox."""
        started = self._clock()
        while self._before_flush:
            try:
                self._before_flush.pop(0)()
            except Exception:
                logger.exception("a function before the flush failed")
        self._scheduled = False
        backfilled, self._backfilled = self._backfilled, {}
        for live in backfilled.values():
            self._show_past(live)
        dirty, self._dirty = self._dirty, {}
        # An outbox has at most one view of a topic. So when a single topic is dirty, there is
        # nothing to join, and each frame is written at once.
        batch = Batch() if len(dirty) > 1 else None
        fresh = []
        for topic, live in dirty.items():
            try:
                if self._emit(live, started, batch):
                    fresh.append(live)
            except Exception:
                # A fault in one topic must not stop the updates of the others.
                logger.exception(
                    "%s can't be shown",
                    topic,
                    extra={"channel": topic.channel, "symbol": topic.symbol},
                )
        if batch is not None:
            batch.write()
        joining, self._joining = self._joining, set()
        for outbox in joining:
            outbox.flush()
        now_ms = self._now() * 1000
        for live in fresh:
            self._after_flush(live, now_ms)
        # Under load, collect for longer than sending takes: fewer and larger writes.
        took = self._clock() - started
        self._not_before = started + min(REST * took, self._batch_seconds)

    def check(self) -> None:
        """Notify subscribers of topics whose status has changed. Call it regularly.

        A client that has waited long enough for newer data is shown what this node has.
        """
        for live in tuple(self._topics.values()):
            if live.untold:
                self._notify_unreadable(live)
            self._notifier.check(live)
            for view in tuple(live.views.values()):
                if view.waiting and view.cursor is not None:
                    self._end_overdue_waits(live, view, view.cursor)

    def _emit(self, live: LiveTopic, now: float, batch: Batch | None) -> bool:
        """Send what is due in each view of a topic. Return whether any updates had come."""
        count, displaced = live.log.flush()
        if displaced:
            self.conflated += displaced * live.subscriber_count(conflating=True)
            logger.debug("%s: %d updates were displaced by newer ones", live.topic, displaced)
        for view in live.views.values():
            view.unsent_count += count
            if not self._due_times.is_due(live, view, count, now):
                continue
            view.received += view.unsent_count
            view.unsent_count = 0
            step = self._step(live, view, now)
            before = view.cursor
            shown = self._steps.render(live.topic, view.spec, before, step)
            view.unchanged += len(step.updates) - shown.updates
            view.advance(shown, now)
            if shown.frames:
                self.delivered += shown.updates * len(view.live)
                self.gapped += shown.gapped * len(view.live)
                if batch is None:
                    to_all(view.writes(), shown.frames)
                else:
                    batch.append(view, shown.frames)
                if live.conflates and view.lagging and not view.spec.lossless:
                    # A lagging client will be sent at most one of these updates.
                    self.conflated += shown.updates * len(view.lagging) - view.newly_lagging
                    view.newly_lagging = 0
            if view.waiting:
                self._catch_up_waiting(live, view, began=before is None)
            if logger.isEnabledFor(logging.DEBUG):
                logger.debug(
                    "%s seq %d as %s: %s to %d, held back for %d that can't take it now",
                    live.topic,
                    step.updates[-1].position.seq if step.updates else 0,
                    view.spec.requested_symbol,
                    "sent" if shown.frames else "nothing new",
                    len(view.live),
                    len(view.lagging),
                )
        live.log.trim()
        live.untold = live.untold and not count
        return count > 0

    def _step(self, live: LiveTopic, view: View, now: float) -> Step:
        """Return the step of a view that is due now."""
        step = live.step(view)
        if step.gap is not None and step.gap.reason == "unreadable":
            return self._limit_unreadable(view, step, now)
        if step.gap is not None and step.gap.reason == "engine_restored":
            self._end_outage(live, view, step.gap)
        return step

    def _end_outage(self, live: LiveTopic, view: View, gap: Gap) -> None:
        """Let clients whose epoch goes on after an outage go on where they stood in it."""
        for subscription, last in view.before_outage.items():
            if last.position.epoch == gap.epoch:
                # What other nodes published in the outage is missing, as for everybody here.
                subscription.outbox.put(self._renderer.gap(view.spec, live.topic, gap))
                self._placer.go_back(subscription, last)
        view.before_outage.clear()

    def _show_past(self, live: LiveTopic) -> None:
        """Begin the views after the backfilled past; send it to clients that asked for history."""
        for view in live.views.values():
            if view.cursor is not None or live.log.remembered is None:
                continue
            view.cursor = Cursor.at(live.log.remembered)
            for subscription in tuple(view.lagging):
                view.lagging[subscription] = live.beginning(view.cursor, subscription.history)
            self._catch_up_waiting(live, view, began=True)
            for subscription in tuple(view.live):
                if not subscription.history:
                    continue
                past = live.log.last(subscription.history, view.cursor.position)
                shown = self._renderer.updates(view.spec, None, past, unchanged_too=True)
                subscription.note_past(shown.updates)
                self.delivered += shown.updates
                subscription.outbox.put(shown.frames)
                subscription.outbox.flush()
                subscription.history = 0
        live.log.trim()

    def _catch_up_waiting(self, live: LiveTopic, view: View, *, began: bool) -> None:
        """Bring waiting clients up to date, if this node's data now reach their cursors.

        ``began``: the topic was unknown until now. From now on their wait is bounded.
        """
        for subscription in tuple(view.waiting):
            if subscription.outbox.writable:
                self._catch_up(subscription)
                subscription.outbox.flush()
            if began and subscription in view.waiting:
                self._placer.bound_wait(subscription)
        if view.waiting and view.cursor is not None and not self._patience:
            self._end_overdue_waits(live, view, view.cursor)

    def _limit_unreadable(self, view: View, step: Step, now: float) -> Step:
        """Leave out the gap of unreadable updates if one was sent within the last minute."""
        if now < view.unreadable_until:
            return step._replace(gap=None)
        view.unreadable_until = now + UNREADABLE_SECONDS
        return step

    def _catch_up(self, subscription: Subscription, *, again: bool = False) -> None:
        """Send a lagging client what it missed.

        ``again``: for a resync. What the client is sent doesn't count as sent a second time.
        """
        view = subscription.view
        if subscription not in view.lagging:
            return
        live = self._topics[subscription.topic]
        if subscription in view.waiting:
            left, cursor = subscription.left, view.cursor
            if cursor is None or (left is not None and left.position.is_past(cursor.position)):
                return  # wait until this node has newer data
            view.lagging[subscription] = self._placer.resume(live, subscription, cursor, left)
            subscription.left = None
        last = view.let_go(subscription)
        view.newly_lagging = min(view.newly_lagging, len(view.lagging))
        shown = view.catch_up_from(
            last, lambda newest: self._steps.between(live, view, last, newest)
        )
        subscription.catch_up(sent=0 if again else shown.updates, gapped=shown.gapped)
        if view.spec.lossless and subscription.began is None:
            subscription.began = view.cursor
        self.delivered += shown.updates
        self.gapped += shown.gapped
        if shown.frames:
            subscription.outbox.put(shown.frames)
        if live.unreadable is not None and (gap := live.missing_after(view.cursor)) is not None:
            subscription.outbox.put(self._renderer.gap(view.spec, live.topic, gap))

    def _after_flush(self, live: LiveTopic, now_ms: float) -> None:
        """Observe the latency of the updates, and notice a topic that is live again."""
        update = live.log.flushed
        if update is None:
            return
        self._observe(max(0.0, now_ms - (update.feed_ms or update.server_ms)) / 1000)
        if live.status.state != "live":
            self._notifier.check(live)

    def _enter(
        self,
        outbox: Outbox,
        interest: Interest,
        spec: ViewSpec,
        last: Cursor | None,
        *,
        known: bool,
    ) -> tuple[LiveTopic, Subscription]:
        """Add a client to a view, and remove it from its earlier view of the topic.

        ``known``: the client has everything up to ``last``. If False, what it has is unknown.
        """
        topic = interest.log.topic
        live = self._topics.get(topic)
        if live is None:
            live = self._topics[topic] = LiveTopic(interest)
            live.log.flush_unread()  # the first view begins at what is known already
            live.status = self._notifier.judge(live)
        else:
            interest.close()  # the topic's own interest keeps it wanted while it has views
            if not live.is_waited_for():
                # What came since waits for the end of other clients' interval, not for this client.
                came = live.log.flush().came
                for other in live.views.values():
                    other.unsent_count += came
        self._leave(live, outbox)
        if known and live.is_behind(spec, last):
            # The view stands at an older place, waiting for its interval, than this client does.
            self._exclusive_count += 1
            spec = spec._replace(exclusive=self._exclusive_count)
        view = live.view(spec)
        subscription = outbox.shown[topic] = Subscription(outbox, topic, view)
        return live, subscription

    def _on_due(self, topics: Iterable[LiveTopic]) -> None:
        for live in topics:
            if self._topics.get(live.topic) is live:
                self._dirty[live.topic] = live
                self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._call_later(max(0.0, self._not_before - self._clock()), self.flush)

    def _leave(self, live: LiveTopic, outbox: Outbox) -> None:
        subscription = outbox.shown.pop(live.topic, None)
        if subscription is None:
            return
        view = subscription.view
        view.leave(subscription)
        if not view.live and not view.lagging:
            del live.views[view.spec]
