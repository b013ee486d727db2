from bookcast.engine.interests import Interests
from bookcast.hub.status import Status
from bookcast.hub.status_notifier import StatusNotifier
from bookcast.hub.topic import LiveTopic
from bookcast.hub.view import Subscription
from bookcast.hub.view_spec import ViewSpec
from bookcast.model.feed_state import FeedState
from bookcast.model.symbol_list import FeedList
from bookcast.model.topic_log import LogRules
from bookcast.model.topics import Symbol, Topic
from tests.support import AAPL, NumberRenderer, RecordingOutbox, update


class Statuses(NumberRenderer):
    """Keeps each status that it rendered."""

    def __init__(self) -> None:
        self.said: list[Status] = []

    def status(self, spec: ViewSpec, topic: Topic, status: Status) -> bytes:
        self.said.append(status)
        return super().status(spec, topic, status)


class World:
    """A topic with one subscriber, and what its feed says."""

    def __init__(self) -> None:
        self.supply: FeedState | None = None
        self.lacking: FeedList | None = None
        self.renderer = Statuses()
        self.seconds = 0.0
        self.notifier = StatusNotifier(
            self.renderer,
            lambda: self.seconds,
            {"orderbook": 30.0},
            self.supply_of,
            lacking=lambda _topic: self.lacking,
        )
        interests = Interests(LogRules().log_of, lambda _topic, _want: None)
        self.live = LiveTopic(interests.open(AAPL))
        self.outbox = RecordingOutbox()
        view = self.live.view(ViewSpec("v1", "AAPL"))
        self.subscription = Subscription(self.outbox, AAPL, view)
        view.live[self.subscription] = None

    def supply_of(self, _topic: Topic) -> FeedState | None:
        return self.supply

    def check(self, supply: FeedState | None) -> None:
        self.supply = supply
        self.notifier.check(self.live)


def test_news_is_told_once() -> None:
    """At every change, and not at every look."""
    world = World()
    world.live.log.append(update(1))
    world.notifier.check(world.live)
    world.check(FeedState("futu"))
    world.seconds = 31
    world.check(FeedState("futu"))
    world.check(FeedState("futu"))
    world.check(FeedState("futu", "feed_down"))
    assert b"".join(world.outbox.writes) == b"<AAPL live><AAPL stale><AAPL feed_down>"


def test_who_cannot_take_it_is_told_later() -> None:
    """The last of it."""
    world = World()
    world.outbox.writable = False
    world.check(FeedState("futu", "closed", "over"))
    world.check(FeedState("futu", "halted", "suspended"))
    assert world.outbox.writes == []
    world.outbox.writable = True
    world.notifier.tell(world.live, world.subscription)
    world.notifier.tell(world.live, world.subscription)
    world.outbox.flush()
    assert world.outbox.writes == [b"<AAPL halted>"]


def test_a_refusal_is_told_before_the_state() -> None:
    """And again only when its words change, or after it was granted in between."""
    world = World()
    refused = FeedState("futu", "pending", "no right", refusal="no right")
    world.check(refused)
    world.check(FeedState("futu", "feed_down", "gone"))
    world.check(refused)
    world.live.log.append(update(1))
    world.check(FeedState("futu"))
    world.check(refused._replace(refusal="other"))
    told = b"".join(world.outbox.writes)
    assert told.startswith(b"<AAPL refused: no right><AAPL pending><AAPL feed_down>")
    assert told.count(b"refused: no right") == 1
    assert told.count(b"refused: other") == 1


def test_only_what_a_client_may_see_is_hinted_at() -> None:
    """Of the channel that it asked for."""
    world = World()
    asked: list[Topic] = []

    def may_see(topic: Topic) -> bool:
        asked.append(topic)
        return topic.symbol.startswith("SZ.")

    world.outbox.may_see = may_see
    hints = Symbol("SZ.000001"), Symbol("SH.000001")
    world.check(FeedState("futu", "pending", "unknown", refusal="unknown", did_you_mean=hints))
    assert b"".join(world.outbox.writes).startswith(b"<AAPL refused: unknown SZ.000001?>")
    assert asked == [Topic("orderbook", hint) for hint in hints]


def test_what_the_feed_lacks_is_told_with_what_it_has_of_what_a_client_may_see() -> None:
    """Once, until its list changes or somebody publishes."""
    world = World()
    world.outbox.may_see = lambda topic: topic.symbol.startswith("US.")
    world.lacking = FeedList("simulator", [Symbol("HK.AAPL"), Symbol("US.AAPLE")])
    world.check(None)
    world.check(None)
    [status] = world.renderer.said
    assert (status.state, status.source, status.did_you_mean) == ("pending", None, ("US.AAPLE",))
    assert status.reason == (
        "the feed simulator lacks US.AAPL, and nobody has published it; it has, for instance, "
        "US.AAPLE"
    )
    world.lacking = FeedList("simulator", [Symbol("HK.AAPL")])
    world.check(None)
    assert world.renderer.said[1].did_you_mean == ()
    assert world.renderer.said[1].reason == (
        "the feed simulator lacks US.AAPL, and nobody has published it"
    )
    world.live.log.append(update(1))
    world.check(None)
    assert (world.renderer.said[2].state, world.renderer.said[2].lacking) == ("live", None)
