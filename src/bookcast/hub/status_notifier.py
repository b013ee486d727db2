"""Notifies subscribers when the status of a topic changes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from bookcast.hub.status import Status, status_of
from bookcast.hub.topic import LiveTopic
from bookcast.hub.view import Outbox, Subscription
from bookcast.hub.view_spec import Renderer
from bookcast.model.feed_state import FeedState
from bookcast.model.symbol_list import FeedList
from bookcast.model.topics import Channel, Topic
from bookcast.model.updates import PublisherGone, Update

logger = logging.getLogger(__name__)


class StatusNotifier:
    """Judges the status of topics, and notifies their subscribers.

    Args:
        renderer: makes finished frames.
        now: seconds since 1970.
        stale_after: per channel, seconds without an update until a topic is stale; 0: never.
        supply: returns the state of a topic at its feed; None when no feed has the topic.
        gone: returns a value if the publisher of a topic's newest update is gone, else None.
        lacking: returns the feed's symbol list if a topic's symbol is missing from it, else None.
    """

    def __init__(
        self,
        renderer: Renderer,
        now: Callable[[], float],
        stale_after: Mapping[Channel, float],
        supply: Callable[[Topic], FeedState | None],
        gone: Callable[[Topic], PublisherGone | None] = lambda _topic: None,
        *,
        lacking: Callable[[Topic], FeedList | None] = lambda _topic: None,
    ) -> None:
        self._renderer = renderer
        self._now = now
        self._stale_after = stale_after
        self._supply = supply
        self._gone = gone
        self._lacking = lacking

    def judge(self, live: LiveTopic) -> Status:
        """Return the status of a topic now."""
        return self.judge_update(live.topic, live.log.newest, self._gone(live.topic))

    def judge_update(
        self, topic: Topic, newest: Update | None, gone: PublisherGone | None
    ) -> Status:
        """Return the status now of a topic whose newest update is this one."""
        supply = self._supply(topic)
        status = status_of(
            newest,
            now_ms=self._now() * 1000,
            stale_after=self._stale_after.get(topic.channel, 0.0),
            supply=supply,
            gone=gone,
        )
        if newest is None and supply is None and (lacking := self._lacking(topic)) is not None:
            reason = f"the feed {lacking.feed} lacks {topic.symbol}, and nobody has published it"
            return status._replace(reason=reason, lacking=lacking)
        return status

    def check(self, live: LiveTopic) -> None:
        """Judge a topic, and notify its subscribers if the status has changed."""
        status = self.judge(live)
        before, live.status = live.status, status
        if status.news == before.news and status.refusal == before.refusal:
            return
        logger.debug("%s is %s: %s", live.topic, status.state, status.reason)
        for view in live.views.values():
            for subscription in (*view.live, *view.waiting):
                self.tell(live, subscription)
                subscription.outbox.flush()

    def tell(self, live: LiveTopic, subscription: Subscription) -> None:
        """Send a subscriber the status if it doesn't have it yet and can take data."""
        outbox = subscription.outbox
        if not outbox.writable:
            return
        status, spec = live.status, subscription.view.spec
        words = b""
        if status.refusal is None:
            if status.state == "live":
                subscription.refused = None
        elif subscription.refused != status.refusal:
            subscription.refused = status.refusal
            meant = live.topic._replace
            hints = [one for one in status.did_you_mean if outbox.may_see(meant(symbol=one))]
            words += self._renderer.refusal(spec, live.topic, status.refusal, hints)
        known = subscription.last_status
        if known != status.news:
            subscription.last_status = status.news
            if known is not None or not status.goes_without_saying:
                if status.lacking is not None:
                    status = _with_hints(status, status.lacking, live.topic, outbox)
                words += self._renderer.status(spec, live.topic, status)
        if words:
            outbox.put(words)


def _with_hints(status: Status, lacking: FeedList, topic: Topic, outbox: Outbox) -> Status:
    """Add to a status the symbols that the feed has instead, if the client may see them."""
    meant, has = lacking.hints(
        topic.symbol, lambda symbol: outbox.may_see(topic._replace(symbol=symbol))
    )
    named = f"; it has, for instance, {', '.join(has)}" if has else ""
    return status._replace(reason=f"{status.reason}{named}", did_you_mean=meant)
