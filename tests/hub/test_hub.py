import logging
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookcast.engine.interests import Interests
from bookcast.hub.hub import Hub, Placement
from bookcast.hub.view_spec import RenderedStep, ViewSpec
from bookcast.model.cursor import Cursor, Since
from bookcast.model.feed_state import FeedState
from bookcast.model.topic_log import LogRules, TopicLog
from bookcast.model.topics import Topic
from bookcast.model.updates import Position, Update
from tests.support import (
    AAPL,
    CANDLES,
    TRADES,
    TSLA,
    ManualTimer,
    NumberRenderer,
    RecordingOutbox,
    candle,
    update,
)

SPEC = ViewSpec("base", "AAPL")
OTHER = ViewSpec("base", "US.AAPL")
V1 = ViewSpec("v1", "AAPL")


class World:
    """A hub with a stopped clock, and the logs of an engine that notes what is wanted."""

    def __init__(
        self,
        *,
        batch_seconds: float = 0.0,
        history_size: int = 1000,
        queue_size: int = 1000,
        **options: Any,
    ) -> None:
        self.timer = ManualTimer()
        self.renderer = NumberRenderer()
        self.asked: list[tuple[str, Topic]] = []
        self.rules = LogRules(history_size, queue_size, clock=self.timer.clock)
        self.logs: dict[Topic, TopicLog] = {}
        self.interests = Interests(self.log_of, self.note_want)
        self.delays: list[float] = []
        self.hub = Hub(
            renderer=self.renderer,
            clock=self.timer.clock,
            now=self.timer.clock,
            call_later=self.timer.call_later,
            batch_seconds=batch_seconds,
            observe=self.delays.append,
            **options,
        )

    def log_of(self, topic: Topic) -> TopicLog:
        if topic not in self.logs:
            self.logs[topic] = self.rules.log_of(topic)
        return self.logs[topic]

    def note_want(self, topic: Topic, want: str | None) -> None:
        self.asked.append(("want" if want else "release", topic))

    def publish(self, *seqs: int, topic: Topic = AAPL) -> None:
        for seq in seqs:
            self.deliver(update(seq, topic))

    def deliver(self, new: Update) -> None:
        """Do what an engine does with an update."""
        log = self.log_of(new.topic)
        log.append(new)
        if new.topic in self.interests:
            self.hub.notice(log)
        else:
            log.flush_unread()

    def remove(self, topic: Topic) -> None:
        """Do what an engine does when a topic is removed."""
        self.log_of(topic).clear()
        self.hub.forget(topic)

    def client(
        self, topic: Topic = AAPL, spec: ViewSpec = SPEC, history: int = 0
    ) -> RecordingOutbox:
        outbox = RecordingOutbox()
        self.subscribe(outbox, topic, spec, history)
        outbox.flush()
        return outbox

    def subscribe(
        self, outbox: RecordingOutbox, topic: Topic, spec: ViewSpec, history: int = 0
    ) -> Placement:
        """Subscribe a client from now on."""
        place = self.hub.subscribe(outbox, self.interests.open(topic), spec, history=history)
        self.hub.start(outbox, [topic])
        return place

    def resume(
        self, outbox: RecordingOutbox, topic: Topic, spec: ViewSpec, since: Since, **options: bool
    ) -> Placement:
        """Let a client go on from what it has."""
        place = self.hub.subscribe(outbox, self.interests.open(topic), spec, since, **options)
        self.hub.start(outbox, [topic])
        return place

    def fill_up(self, outbox: RecordingOutbox) -> None:
        """Let the next write find the client full, as a transport does."""

        def full() -> None:
            outbox.on_write = lambda: None
            self.hold(outbox)

        if outbox.writable:
            outbox.on_write = full

    def hold(self, outbox: RecordingOutbox) -> None:
        outbox.writable = False
        self.hub.hold(outbox)

    def catch_up(self, outbox: RecordingOutbox) -> None:
        outbox.writable = True
        self.hub.catch_up(outbox)


def test_an_update_is_rendered_once_for_all_its_subscribers() -> None:
    """Three clients of one view get the same bytes from one rendering."""
    world = World()
    clients = [world.client() for _ in range(3)]
    world.publish(1)
    world.timer.run()
    assert [client.writes for client in clients] == [[b"<AAPL 1>"]] * 3
    assert world.renderer.rendered == 1
    assert world.hub.delivered == 3


def test_each_spelling_is_a_view_of_its_own() -> None:
    """Clients are answered under the spelling they used."""
    world = World()
    short, long = world.client(), world.client(spec=OTHER)
    world.publish(1)
    world.timer.run()
    assert (short.writes, long.writes) == ([b"<AAPL 1>"], [b"<US.AAPL 1>"])


def test_what_comes_between_two_flushes_goes_out_in_one_write() -> None:
    """All updates of all topics, oldest first, in one write per connection."""
    world = World()
    outbox = world.client()
    world.subscribe(outbox, TSLA, SPEC)
    world.publish(1, 2)
    world.publish(1, topic=TSLA)
    world.publish(3)
    world.timer.run()
    assert outbox.writes == [b"<AAPL 1><AAPL 2><AAPL 3><AAPL 1>"]


def test_a_topic_that_cannot_be_shown_takes_no_other_down(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has why."""
    world = World()
    broken, fine = world.client(TSLA), world.client()
    render = world.renderer.updates

    def fail_for_tesla(spec: ViewSpec, before: Any, updates: Any, **options: Any) -> RenderedStep:
        if updates[0].topic == TSLA:
            raise ValueError("year 10000 is out of range")
        return render(spec, before, updates, **options)

    monkeypatch.setattr(world.renderer, "updates", fail_for_tesla)
    world.publish(1, topic=TSLA)
    world.publish(1)
    world.timer.run()
    assert (broken.writes, fine.writes) == ([], [b"<AAPL 1>"])
    assert "orderbook:US.TSLA can't be shown" in caplog.text


def test_only_subscribers_get_an_update() -> None:
    """Other topics, and topics nobody here wants, go nowhere."""
    world = World()
    outbox = world.client(TSLA)
    world.publish(1)
    world.timer.run()
    assert outbox.writes == []


def test_the_first_subscriber_makes_the_engine_deliver_and_the_last_ends_it() -> None:
    """Demand is counted: want once, release once."""
    world = World()
    first, second = world.client(), world.client()
    world.hub.unsubscribe(first, AAPL)
    assert world.asked == [("want", AAPL)]
    world.hub.unsubscribe(second, AAPL)
    world.hub.unsubscribe(second, AAPL)
    assert world.asked == [("want", AAPL), ("release", AAPL)]
    world.publish(1)
    world.timer.run()
    assert first.writes == second.writes == []


def test_a_newcomer_first_gets_the_state_the_others_were_sent_last() -> None:
    """What still waits for the flush comes to it with the flush, once."""
    world = World()
    old = world.client()
    world.publish(1)
    world.timer.run()
    world.publish(2)
    newcomer = world.client()
    assert newcomer.writes == [b"<AAPL 1>"]
    world.timer.run()
    assert newcomer.writes == [b"<AAPL 1>", b"<AAPL 2>"] == old.writes


def test_the_first_subscriber_gets_the_engines_newest_state_once() -> None:
    """A state known before anybody wanted it comes at once."""
    world = World()
    world.publish(5)
    outbox = world.client()
    assert outbox.writes == [b"<AAPL 5>"]
    world.timer.run()
    assert outbox.writes == [b"<AAPL 5>"]


def test_subscribing_again_replaces_the_view_and_shows_the_state_again() -> None:
    """One view per topic and connection, and no flapping of the demand."""
    world = World()
    outbox = world.client()
    world.publish(1)
    world.timer.run()
    world.subscribe(outbox, AAPL, OTHER)
    outbox.flush()
    world.publish(2)
    world.timer.run()
    assert outbox.writes == [b"<AAPL 1>", b"<US.AAPL 1>", b"<US.AAPL 2>"]
    assert world.asked == [("want", AAPL)]
    assert world.hub.subscriber_count(AAPL) == 1


def test_a_client_that_cannot_take_more_gets_only_the_newest_later() -> None:
    """It holds nobody up, nothing is kept for it, and one frame brings it up to date."""
    world = World()
    slow, quick = world.client(), world.client()
    world.hold(slow)
    for seq in range(1, 6):
        world.publish(seq)
        world.timer.run()
    assert len(quick.writes) == 5
    assert slow.frames == slow.writes == []
    world.catch_up(slow)
    assert slow.writes == [b"<AAPL 5>"]
    assert world.hub.word(slow, AAPL).tally == (5, 1, 0, 0)
    assert world.hub.conflated == 4
    assert world.hub.delivered == 6


def test_a_client_that_subscribes_while_it_cannot_take_more_sees_the_state_later() -> None:
    """Nothing is queued for it, and nothing counts as missed."""
    world = World()
    world.client()
    world.publish(1)
    world.timer.run()
    slow = RecordingOutbox()
    slow.writable = False
    world.subscribe(slow, AAPL, SPEC)
    assert slow.frames == []
    world.catch_up(slow)
    assert slow.writes == [b"<AAPL 1>"]
    assert world.hub.word(slow, AAPL).tally == (1, 1, 0, 0)
    assert world.hub.conflated == 0


def test_catching_up_stops_where_the_client_takes_no_more() -> None:
    """The rest stays held back until it can again."""
    world = World()
    slow = world.client()
    world.subscribe(slow, TSLA, SPEC)
    world.hold(slow)
    world.publish(1)
    world.publish(1, topic=TSLA)
    world.timer.run()

    def fill_up(frame: bytes) -> None:
        slow.writes.append(frame)
        world.hold(slow)

    slow.put = fill_up  # type: ignore[method-assign] # a test stands in for it
    world.catch_up(slow)
    assert len(slow.writes) == 1
    world.catch_up(slow)
    assert len(slow.writes) == 2
    world.catch_up(slow)
    assert len(slow.writes) == 2


def test_a_slow_client_that_left_a_topic_is_not_brought_up_to_date_in_it() -> None:
    """Unsubscribing forgets what was held back."""
    world = World()
    slow = world.client()
    world.hold(slow)
    world.publish(1)
    world.timer.run()
    world.hub.unsubscribe(slow, AAPL)
    world.catch_up(slow)
    assert slow.writes == []


def test_an_idle_hub_sends_at_once_and_a_busy_one_collects() -> None:
    """The next flush begins no sooner than five times what the last one took, within bounds."""
    world = World(batch_seconds=0.008)
    outbox = RecordingOutbox()
    taking = 0.001

    def write_slowly() -> None:
        world.timer.now += taking

    outbox.on_write = write_slowly
    world.subscribe(outbox, AAPL, SPEC)
    world.timer.now = 100.0
    world.publish(1)
    assert world.timer.calls[0][0] == 100.0
    world.timer.run()
    world.publish(2)
    assert world.timer.calls[0][0] == pytest.approx(100.005)
    world.timer.run()
    taking = 1.0
    world.publish(3)
    world.timer.run()
    world.publish(4)
    assert world.timer.calls[0][0] == world.timer.now


def test_what_comes_before_a_flush_goes_out_with_it(caplog: pytest.LogCaptureFixture) -> None:
    """A fault in it holds nothing up."""
    world = World(batch_seconds=0.005)
    outbox = world.client()
    assert not world.hub.is_resting()

    def fail() -> None:
        raise ZeroDivisionError

    world.hub.before_flush(fail)
    world.hub.before_flush(lambda: world.publish(1))
    world.timer.run()
    assert outbox.writes == [b"<AAPL 1>"]
    assert "ZeroDivisionError" in caplog.text
    world.publish(2)
    world.timer.run()
    assert outbox.writes == [b"<AAPL 1>", b"<AAPL 2>"]


def test_under_load_the_hub_rests_between_two_flushes() -> None:
    """What comes then has to wait anyway."""
    world = World(batch_seconds=0.005)
    outbox = RecordingOutbox()
    outbox.on_write = lambda: setattr(world.timer, "now", world.timer.now + 0.001)
    world.subscribe(outbox, AAPL, SPEC)
    world.timer.now = 100.0
    world.publish(1)
    world.timer.run()
    assert world.hub.is_resting()
    world.timer.now = 100.006
    assert not world.hub.is_resting()


def test_answers_may_wait_for_the_flush() -> None:
    """They go out with it, whether there is anything else or not."""
    world = World()
    outbox = RecordingOutbox()
    outbox.put(b"<answer>")
    world.hub.join(outbox)
    assert outbox.writes == []
    world.timer.run()
    assert outbox.writes == [b"<answer>"]


def test_debug_logging_tells_where_an_update_went(caplog: pytest.LogCaptureFixture) -> None:
    """To whom it was sent, for whom it was held back, and when nobody sees it."""
    world = World()
    world.interests.open(TSLA, reads=True)
    world.hold(world.client())
    world.client()
    with caplog.at_level(logging.DEBUG, "bookcast.hub"):
        world.publish(1)
        world.timer.run()
        world.publish(1, topic=TSLA)
    assert "sent to 1, held back for 1" in caplog.text
    assert "nobody here sees it" in caplog.text


def test_a_view_with_an_interval_shows_the_newest_state_once_in_it() -> None:
    """A quiet one at once, a busy one on time, and it always ends on the latest."""
    world = World()
    outbox = world.client(spec=V1._replace(interval_ms=100))
    plain = world.client()
    world.timer.now = 10.035
    world.publish(1)
    world.timer.run_until(10.035)
    assert outbox.writes == [b"<AAPL pending>", b"<AAPL 1>", b"<AAPL live>"]
    for moment in range(1, 60):
        world.timer.run_until(10.035 + moment / 100)
        world.publish(1 + moment)
    world.timer.run()
    assert len(plain.writes) == 60
    # At 10.035, then at a quarter of the interval that all views share: 10.15, 10.25, ...
    assert outbox.writes[3:] == [b"<AAPL %d>" % seq for seq in (12, 22, 32, 42, 52, 60)]
    assert world.hub.word(outbox, AAPL).tally.sent == 7


@given(st.lists(st.floats(0.001, 0.5), min_size=1, max_size=60))
def test_two_updates_of_a_view_are_an_interval_apart_and_none_waits_much_longer(
    pauses: list[float],
) -> None:
    """At most a quarter of it."""
    world = World()
    outbox = world.client(spec=ViewSpec("base", "AAPL", interval_ms=100))
    shown: list[float] = []
    outbox.on_write = lambda: shown.append(world.timer.now)
    for number, pause in enumerate(pauses, start=1):
        world.timer.run_until(world.timer.now + pause)
        published = world.timer.now
        world.publish(number)
    world.timer.run()
    assert all(later - earlier > 0.1 - 0.0041 for earlier, later in pairwise(shown))
    assert shown[-1] - published <= 0.1251
    assert outbox.writes[-1] == b"<AAPL %d>" % len(pauses)


def test_views_with_one_interval_share_their_writes() -> None:
    """What is busy comes out together, topic by topic, in one write."""
    world = World()
    spec = ViewSpec("base", "AAPL", interval_ms=100)
    outbox = world.client(spec=spec)
    world.subscribe(outbox, TSLA, spec._replace(requested_symbol="TSLA"))
    for moment in range(40):
        world.timer.run_until(10.004 + moment / 100)
        world.publish(moment + 1, topic=(AAPL, TSLA)[moment % 2])
    world.timer.run()
    assert all(write.count(b"<") == 2 for write in outbox.writes[2:])


def test_a_newcomer_to_a_view_with_an_interval_begins_where_the_others_stand() -> None:
    """It shares their place in the sequence, and what comes next with them."""
    world = World()
    spec = ViewSpec("base", "AAPL", interval_ms=100)
    old = world.client(spec=spec)
    world.timer.now = 10.0
    world.publish(1)
    world.timer.run_until(10.0)
    world.publish(2)
    world.timer.run_until(10.01)
    newcomer = world.client(spec=spec)
    world.timer.run()
    assert newcomer.writes == [b"<AAPL 1>", b"<AAPL 2>"] == old.writes


def test_updates_that_only_an_interval_waits_for_cause_no_flush() -> None:
    """A thousand of them cost no more than the one that is shown."""
    world = World()
    outbox = world.client(spec=V1._replace(interval_ms=100))
    world.timer.now = 10.0
    world.publish(1, 2)
    world.timer.run_until(10.0)
    world.publish(3)
    world.timer.run_until(10.0)
    for seq in range(4, 1000):
        world.publish(seq)
        assert len(world.timer.calls) == 1  # the end of the interval
    world.timer.run()
    assert outbox.writes[-1] == b"<AAPL 999>"
    assert world.hub.word(outbox, AAPL).tally == (999, 2, 0, 0)
    assert world.hub.conflated == 0


def test_a_newcomer_does_not_wait_for_somebody_elses_interval() -> None:
    """It begins with the newest state, or the newest trades, at once."""
    world = World()
    patient = ViewSpec("base", "AAPL", interval_ms=60_000)
    for topic in (AAPL, TRADES):
        world.client(topic, patient)
    for seq in range(1, 5):
        for topic in (AAPL, TRADES):
            world.publish(seq, topic=topic)
        world.timer.run_until(world.timer.now + 0.01)
    assert world.client().writes == [b"<AAPL 4>"]
    assert world.client(TRADES, history=9).writes == [b"<AAPL 1><AAPL 2><AAPL 3><AAPL 4>"]
    interested = world.client(TRADES, patient)
    word = world.hub.word(interested, TRADES)
    assert word.tally.received == word.tally.sent + word.queued


def test_a_client_that_keeps_up_gets_however_many_trades_come_at_once() -> None:
    """The bound is for those who don't."""
    world = World(history_size=10)
    outbox, slow = world.client(TRADES), world.client(TRADES)
    world.hold(slow)
    world.publish(*range(1, 101), topic=TRADES)
    world.timer.run()
    assert outbox.writes == [b"".join(b"<AAPL %d>" % seq for seq in range(1, 101))]
    world.catch_up(slow)
    assert slow.writes[0].startswith(b"<AAPL gap 1-90><AAPL 91>")


def test_trades_are_kept_for_who_cannot_take_them_and_then_come_all() -> None:
    """In order, each once, and nothing counts as conflated."""
    world = World()
    slow = world.client(TRADES)
    world.publish(1, topic=TRADES)
    world.timer.run()
    world.hold(slow)
    for seq in range(2, 30):
        world.publish(seq, topic=TRADES)
        world.timer.run()
    world.catch_up(slow)
    world.publish(30, topic=TRADES)
    world.timer.run()
    assert b"".join(slow.writes) == b"".join(b"<AAPL %d>" % seq for seq in range(1, 31))
    assert world.hub.word(slow, TRADES).tally == (30, 30, 0, 0)
    assert world.hub.conflated == 0


def test_past_the_bound_trades_are_a_gap_and_never_lost_silently() -> None:
    """The client is told which are missing, and so are the numbers."""
    world = World(history_size=10)
    slow = world.client(TRADES)
    world.hold(slow)
    for seq in range(1, 31):
        world.publish(seq, topic=TRADES)
        world.timer.run()
    world.catch_up(slow)
    kept = b"".join(b"<AAPL %d>" % seq for seq in range(21, 31))
    assert slow.writes == [b"<AAPL gap 1-20>" + kept]
    assert world.hub.word(slow, TRADES).tally == (30, 10, 20, 0)
    assert world.hub.gapped == 20


def test_more_bytes_than_may_wait_for_one_client_are_a_gap_too() -> None:
    """It gets the newest that fit, and goes on from where the others stand."""
    world = World(max_queue_bytes=50)
    slow = world.client(TRADES)
    world.publish(1, topic=TRADES)
    world.timer.run()
    world.hold(slow)
    for seq in range(2, 31):
        world.publish(seq, topic=TRADES)
        world.timer.run()
    world.catch_up(slow)
    world.publish(31, topic=TRADES)
    world.timer.run()
    kept = b"".join(b"<AAPL %d>" % seq for seq in range(28, 31))
    assert slow.writes == [b"<AAPL 1>", b"<AAPL gap 2-27>" + kept, b"<AAPL 31>"]
    assert world.hub.word(slow, TRADES).tally == (31, 5, 26, 0)


def test_a_gap_by_number_and_by_bytes_is_one_gap() -> None:
    """From the first that is missing, also for a client that began when nothing was known."""
    world = World(history_size=10, max_queue_bytes=50)
    slow = world.client(TRADES)
    world.hold(slow)
    for seq in range(1, 31):
        world.publish(seq, topic=TRADES)
        world.timer.run()
    world.catch_up(slow)
    assert slow.writes == [b"<AAPL gap 1-27><AAPL 28><AAPL 29><AAPL 30>"]


def test_a_gap_in_a_view_with_an_interval_counts_for_each_who_sees_it() -> None:
    """What came in the interval is bounded as well."""
    world = World(history_size=10)
    spec = SPEC._replace(interval_ms=1000)
    clients = [world.client(TRADES, spec) for _ in range(2)]
    world.timer.now = 10.0
    for seq in range(1, 32):
        world.publish(seq, topic=TRADES)
        world.timer.run_until(world.timer.now + 0.001)
    world.timer.run()
    for client in clients:
        assert client.writes[1].startswith(b"<AAPL gap 2-21><AAPL 22>")
        assert world.hub.word(client, TRADES).tally == (31, 11, 20, 0)
    assert world.hub.gapped == 40


def test_a_newcomer_to_trades_gets_the_history_it_asked_for_and_then_what_is_new() -> None:
    """Without one, what is new alone; the engine's history counts as past."""
    world = World()
    world.publish(*range(1, 6), topic=TRADES)
    new, old = world.client(TRADES), world.client(TRADES, history=2)
    world.publish(6, topic=TRADES)
    world.timer.run()
    assert (new.writes, old.writes) == ([b"<AAPL 6>"], [b"<AAPL 4><AAPL 5>", b"<AAPL 6>"])


def test_a_subscription_tells_the_place_it_begins_at() -> None:
    """That of the state shown first; for trades, the one before the first."""
    world = World()
    outbox = RecordingOutbox()
    assert world.subscribe(outbox, AAPL, SPEC).position is None
    world.publish(*range(1, 6), topic=TRADES)
    for history, seq in ((0, 5), (2, 3)):
        place = world.subscribe(outbox, TRADES, SPEC, history).position
        assert place is not None
        assert place.seq == seq
    world.publish(1)
    world.timer.run()
    place = world.subscribe(outbox, AAPL, OTHER).position
    assert place is not None
    assert place.seq == 1


def test_a_client_may_ask_for_the_whole_state_again() -> None:
    """At once, or as soon as it can take it."""
    world = World()
    outbox = world.client()
    world.publish(1)
    world.timer.run()
    world.hub.resync(outbox, AAPL)
    outbox.flush()
    assert outbox.writes == [b"<AAPL 1>"] * 2
    world.hold(outbox)
    world.hub.resync(outbox, AAPL)
    assert outbox.frames == []
    world.catch_up(outbox)
    assert outbox.writes == [b"<AAPL 1>"] * 3


def test_subscribers_hear_when_a_topic_stands_differently() -> None:
    """Once for each change; who can't take it hears the last of it later."""
    supply = FeedState("futu")
    world = World(stale_after={"orderbook": 30}, supply=lambda _topic: supply)
    quick, slow, base = world.client(spec=V1), world.client(spec=V1), world.client()
    world.publish(1)
    world.timer.run()
    world.hold(slow)
    world.timer.now = 31
    world.hub.check()
    world.hub.check()
    supply = FeedState("futu", "feed_down")
    world.hub.check()
    assert quick.writes == [
        b"<AAPL pending>",
        b"<AAPL 1>",
        b"<AAPL live>",
        b"<AAPL stale>",
        b"<AAPL feed_down>",
    ]
    assert base.writes == [b"<AAPL 1>"]
    world.catch_up(slow)
    assert slow.writes[3:] == [b"<AAPL feed_down>"]
    newcomer = world.client(spec=V1)
    assert newcomer.writes == [b"<AAPL 1><AAPL feed_down>"]


def test_a_refusal_is_told_once_to_everybody() -> None:
    """Base clients as well: it answers their subscription. A newcomer hears it too."""
    supply = FeedState("futu", "pending", "no right", refusal="no right")
    world = World(supply=lambda _topic: supply)
    v1, base = world.client(spec=V1), world.client()
    world.hub.check()
    assert v1.writes == [b"<AAPL refused: no right><AAPL pending>"]
    assert base.writes == [b"<AAPL refused: no right>"]
    supply = FeedState("futu")
    world.hub.check()
    world.publish(1)
    world.timer.run()
    supply = FeedState("futu", "pending", "gone", refusal="gone")
    world.hub.check()
    assert base.writes[1:] == [b"<AAPL 1>", b"<AAPL refused: gone>"]


def test_a_refusal_is_not_told_again_because_the_feed_was_away() -> None:
    """Only once it was granted in between."""
    refused = FeedState("futu", "pending", "no right", refusal="no right")
    supply = refused
    world = World(supply=lambda _topic: supply)
    base = world.client()
    supply = FeedState("futu", "feed_down", "gone")
    world.hub.check()
    supply = refused
    world.hub.check()
    assert base.writes == [b"<AAPL refused: no right>"]


def test_a_new_epoch_of_candles_is_a_gap_though_the_first_of_it_is_still_forming() -> None:
    """What is forming isn't in the history, which would tell."""
    world = World()
    outbox = world.client(CANDLES)
    world.deliver(update(1, CANDLES))
    world.timer.run()
    world.deliver(update(2, CANDLES, epoch="f"))
    world.timer.run()
    assert outbox.writes == [b"<AAPL 1>", b"<AAPL gap None-None><AAPL 2>"]


def candle_at(seq: int, epoch: str, *, final: bool = False) -> Update:
    """Make a candle at a position, whose volume is the seq."""
    return Update(CANDLES, Position(epoch, seq), candle(seq, final=final), server_ms=0)


def test_final_candles_of_an_epoch_that_is_over_are_shown_once() -> None:
    """However many epochs begin before the next candle is final: an outage begins two."""
    world = World()
    outbox = world.client(CANDLES)
    world.deliver(candle_at(1, "e", final=True))
    world.timer.run()
    for epoch in ("f", "g", "h"):
        for seq in (2, 3):
            world.deliver(candle_at(seq, epoch))
            world.timer.run()
    world.deliver(candle_at(4, "h", final=True))
    world.timer.run()
    anew = b"<AAPL gap None-None><AAPL 2>"
    assert outbox.writes == [b"<AAPL 1>", *[anew, b"<AAPL 3>"] * 3, b"<AAPL 4>"]


def test_an_epoch_that_comes_back_brings_no_final_candle_again() -> None:
    """A node publishes under an epoch of its own while Redis is away, which then goes on."""
    world = World()
    outbox = world.client(CANDLES)
    world.deliver(candle_at(1, "e", final=True))
    world.timer.run()
    world.deliver(candle_at(1, "local"))
    world.timer.run()
    for seq, final in ((3, False), (4, True), (5, False)):
        world.deliver(candle_at(seq, "e", final=final))
        world.timer.run()
    anew = b"<AAPL gap None-None>"
    assert outbox.writes == [
        b"<AAPL 1>",
        anew + b"<AAPL 1>",
        anew + b"<AAPL 3>",
        b"<AAPL 4>",
        b"<AAPL 5>",
    ]


def test_a_final_candle_comes_before_the_word_that_its_epoch_is_over() -> None:
    """In one flush, and for a client that catches up."""
    world = World()
    outbox, slow = world.client(CANDLES), world.client(CANDLES)
    world.deliver(candle_at(1, "e"))
    world.timer.run()
    world.hold(slow)
    world.deliver(candle_at(2, "e", final=True))
    world.deliver(candle_at(1, "f"))
    world.timer.run()
    world.catch_up(slow)
    wanted = [b"<AAPL 1>", b"<AAPL 2><AAPL gap None-None><AAPL 1>"]
    assert outbox.writes == slow.writes == wanted
    tally = world.hub.word(slow, CANDLES).tally
    assert (tally.received, tally.sent) == (3, 3)


def test_who_was_shown_nothing_yet_is_told_of_the_epoch_that_is_over_too() -> None:
    """It was subscribed before the first candle, and couldn't take any."""
    world = World()
    slow = world.client(CANDLES)
    world.hold(slow)
    world.deliver(candle_at(1, "e", final=True))
    world.deliver(candle_at(1, "f"))
    world.timer.run()
    world.catch_up(slow)
    assert b"".join(slow.writes) == b"<AAPL 1><AAPL gap None-None><AAPL 1>"


def test_what_is_lost_of_an_epoch_goes_with_the_word_that_it_is_over() -> None:
    """Where final candles overflowed, and then one of another epoch is forming."""
    world = World(history_size=2)
    slow = world.client(CANDLES)
    world.deliver(candle_at(1, "e"))
    world.timer.run()
    world.hold(slow)
    for seq in (2, 3, 4, 5):
        world.deliver(candle_at(seq, "e", final=True))
        world.timer.run()
    world.deliver(candle_at(1, "f"))
    world.timer.run()
    world.catch_up(slow)
    assert slow.writes == [b"<AAPL 1>", b"<AAPL gap None-None><AAPL 1>"]


def past(*seqs: int) -> list[Update]:
    """Give trades from before anybody asked."""
    return [msgspec.structs.replace(update(seq, TRADES), backfill=True) for seq in seqs]


def test_what_happened_before_goes_to_those_who_asked_for_history() -> None:
    """So many as they asked for, before anything newer; others begin after it."""
    world = World()
    plain = world.client(TRADES)
    two = world.client(TRADES, history=2)
    for update_ in (*past(1, 2, 3), update(4, TRADES)):
        world.deliver(update_)
    world.timer.run()
    later = world.client(TRADES, history=2)
    assert b"".join(plain.writes) == b"<AAPL 4>"
    assert b"".join(two.writes) == b"<AAPL 2><AAPL 3><AAPL 4>"
    assert b"".join(later.writes) == b"<AAPL 3><AAPL 4>"
    tally = world.hub.word(two, TRADES).tally
    assert (tally.received, tally.sent) == (3, 3)


def test_a_held_newcomer_gets_its_history_later() -> None:
    """When it can take data again."""
    world = World()
    outbox = world.client(TRADES, history=2)
    world.hold(outbox)
    for update_ in (*past(1, 2, 3), update(4, TRADES)):
        world.deliver(update_)
    world.timer.run()
    world.catch_up(outbox)
    assert b"".join(outbox.writes) == b"<AAPL 2><AAPL 3><AAPL 4>"


def test_what_comes_late_of_the_past_is_shown_to_all() -> None:
    """Once something newer was shown, leaving it out would be a hole."""
    world = World()
    outbox = world.client(TRADES)
    for update_ in (update(1, TRADES), *past(2)):
        world.deliver(update_)
        world.timer.run()
    assert b"".join(outbox.writes) == b"<AAPL 1><AAPL 2>"


def test_each_update_is_timed_from_the_feed_to_the_sockets() -> None:
    """By the engine's time where the feed's is unknown; what was known before isn't timed."""
    world = World()
    world.timer.now = 2.0
    world.publish(1)
    world.client()
    world.deliver(msgspec.structs.replace(update(2), feed_ms=1500.0))
    world.timer.run()
    world.deliver(msgspec.structs.replace(update(3), server_ms=1900.0))
    world.timer.run()
    assert world.delays == pytest.approx([0.5, 0.1])


def test_a_long_flush_is_written_piece_by_piece() -> None:
    """What waits for one client is bounded, however many topics are dirty."""
    world = World()
    outbox = world.client(spec=SPEC._replace(requested_symbol="x" * 60_000))
    for topic in (TSLA, TRADES, CANDLES):
        world.subscribe(outbox, topic, SPEC._replace(requested_symbol="x" * 60_000))
    for topic in (AAPL, TSLA, TRADES, CANDLES):
        world.publish(1, topic=topic)
    world.timer.run()
    assert [write.count(b"<") for write in outbox.writes] == [3, 1]


def test_a_client_is_told_what_limits_it() -> None:
    """What came, what was sent, what waits, and why."""
    world = World()
    spec = V1._replace(interval_ms=100)
    outbox = world.client(spec=spec)
    world.timer.now = 10.0
    world.publish(1)
    world.timer.run_until(10.0)
    world.publish(2, 3)
    world.timer.run_until(10.01)
    world.publish(4)
    word = world.hub.word(outbox, AAPL)
    assert (word.tally.received, word.tally.sent, word.queued) == (4, 1, 1)
    assert (word.lagging, word.view, word.status.state) == (False, spec, "live")
    world.hold(outbox)
    assert world.hub.word(outbox, AAPL).lagging


steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(0, 1), st.integers(1, 20)),
        st.tuples(st.just("flush"), st.just(0), st.just(0)),
        st.tuples(st.just("subscribe"), st.integers(0, 2), st.integers(0, 1)),
        st.tuples(st.just("unsubscribe"), st.integers(0, 2), st.integers(0, 1)),
        st.tuples(st.just("pause"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("fill"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("resume"), st.integers(0, 2), st.just(0)),
    ),
    max_size=60,
)


def come_back(world: World, place: Position, topic: Topic) -> RecordingOutbox:
    """Let a client come back that has all up to a place."""
    outbox = RecordingOutbox()
    assert world.resume(outbox, topic, SPEC, Cursor(place)) == (place, True)
    outbox.flush()
    return outbox


@pytest.mark.parametrize(
    ("topic", "shown"), [(AAPL, b"<AAPL 7>"), (TRADES, b"<AAPL 6><AAPL 7>")], ids=["book", "trades"]
)
def test_who_has_more_than_is_known_here_is_shown_nothing_older(topic: Topic, shown: bytes) -> None:
    """The node was cut off for a moment; nor is anything shown twice when it has caught up."""
    world = World(patience=5.0)
    other = world.client(topic)
    world.publish(1, 2, 3, topic=topic)
    world.timer.run()
    for with_load in (False, True):
        client = come_back(world, Position("e", 5), topic)
        assert not client.writes
        if with_load:
            world.hold(client)
            world.catch_up(client)
            assert not client.writes
        world.hub.unsubscribe(client, topic)
    client = come_back(world, Position("e", 5), topic)
    world.publish(4, 5, topic=topic)
    world.timer.run_until(1.0)
    assert b"".join(client.writes) in {b"", b"<AAPL 5>"}  # the same once more does no harm
    client.writes.clear()
    world.publish(6, 7, topic=topic)
    world.timer.run_until(2.0)
    assert b"".join(client.writes).endswith(shown)
    assert b"".join(client.writes).count(b"<AAPL 7>") == 1
    assert b"".join(other.writes).count(b"<AAPL 7>") == 1


def test_a_later_epoch_than_is_known_here_is_waited_for_as_well() -> None:
    """Where epochs tell when they began."""
    world = World(patience=5.0)
    world.client()
    world.deliver(update(9, epoch="100-a"))
    world.timer.run()
    client = come_back(world, Position("200-b", 1), AAPL)
    world.deliver(update(10, epoch="100-a"))
    world.timer.run_until(1.0)
    assert client.writes == []
    world.deliver(update(2, epoch="200-b"))
    world.timer.run_until(2.0)
    assert client.writes == [b"<AAPL 2>"]


def test_what_never_comes_is_not_waited_for_long() -> None:
    """A client may say what it likes."""
    world = World(patience=5.0)
    world.client()
    world.publish(1)
    world.timer.run()
    client = come_back(world, Position("e", 99), AAPL)
    gone = come_back(world, Position("e", 99), AAPL)
    world.hub.unsubscribe(gone, AAPL)
    world.timer.run_until(world.timer.now + 4.9)
    world.hub.check()
    assert client.writes == []
    world.timer.run_until(world.timer.now + 0.2)
    world.hub.check()
    assert client.writes == [b"<AAPL 1>"]
    world.publish(2)
    world.timer.run()
    assert client.writes == [b"<AAPL 1>", b"<AAPL 2>"]
    assert gone.writes == []


def test_trades_that_never_come_here_are_told_as_a_gap() -> None:
    """Who says that it has them isn't left to believe that nothing is missing."""
    for patience in (0.0, 5.0):
        world = World(patience=patience)
        world.client(TRADES)
        world.publish(1, 2, topic=TRADES)
        world.timer.run()
        outbox = RecordingOutbox()
        _, recovered = world.resume(outbox, TRADES, SPEC, Cursor(Position("e", 99)))
        assert recovered is bool(patience)  # it may still come
        outbox.flush()
        world.timer.run_until(world.timer.now + patience)
        world.hub.check()
        world.publish(3, topic=TRADES)
        world.timer.run()
        assert b"".join(outbox.writes) == b"<AAPL gap None-None><AAPL 3>"


@pytest.mark.parametrize("patience", [0.0, 5.0])
@pytest.mark.parametrize(
    ("topic", "shown"),
    [(AAPL, b"<AAPL 2>"), (TRADES, b"<AAPL gap None-None><AAPL 1><AAPL 2>")],
    ids=["book", "trades"],
)
def test_who_has_more_of_what_nobody_knows_is_not_left_waiting_for_ever(
    topic: Topic, shown: bytes, patience: float
) -> None:
    """What it has may be of another Redis, whose clock was ahead."""
    world = World(patience=patience)
    client = RecordingOutbox()
    assert world.resume(client, topic, SPEC, Cursor(Position("200-b", 3))) == (None, False)
    for seq in (1, 2):
        world.deliver(update(seq, topic, epoch="100-a"))
    world.timer.run_until(world.timer.now + patience)
    world.hub.check()
    assert b"".join(client.writes) == shown
    world.deliver(update(3, topic, epoch="100-a"))
    world.timer.run()
    assert b"".join(client.writes) == shown + b"<AAPL 3>"


def test_who_waits_for_what_is_not_known_here_hears_how_its_topic_stands() -> None:
    """Else a page would show for as long as it waits that Redis is away, or nothing published."""
    supply = FeedState("futu", "feed_down")
    world = World(patience=5.0, supply=lambda _topic: supply)
    client = RecordingOutbox()
    world.resume(client, AAPL, V1, Cursor(Position("200-b", 3)))
    client.flush()
    supply = FeedState("futu")
    world.hub.check()
    world.deliver(update(1, epoch="100-a"))
    world.timer.run_until(world.timer.now + 5.0)
    world.hub.check()
    assert client.writes == [
        b"<AAPL feed_down>",
        b"<AAPL pending>",
        b"<AAPL live>",
        b"<AAPL 1>",
    ]


@pytest.mark.parametrize(
    ("topic", "shown"),
    [(AAPL, b"<AAPL 1>"), (TRADES, b"<AAPL gap None-None><AAPL 1>")],
    ids=["book", "trades"],
)
def test_who_waits_for_more_than_is_known_here_sees_what_comes_after_a_removal(
    topic: Topic, shown: bytes
) -> None:
    """It is as little forgotten as those who were shown something."""
    world = World(patience=5.0)
    world.client(topic)
    world.deliver(update(1, topic, epoch="100-a"))
    world.timer.run()
    client = come_back(world, Position("100-a", 9), topic)
    world.remove(topic)
    world.deliver(update(1, topic, epoch="200-b"))
    world.timer.run_until(world.timer.now + 6.0)
    world.hub.check()
    assert b"".join(client.writes) == shown


def test_who_begins_with_a_whole_state_gets_it_when_this_node_has_caught_up() -> None:
    """Though it says that it has that one."""
    world = World(patience=5.0)
    world.client()
    world.publish(1)
    world.timer.run()
    for place, shown in ((1, [b"<AAPL 1>"]), (3, [])):
        outbox = RecordingOutbox()
        world.resume(outbox, AAPL, SPEC, Cursor(Position("e", place)), whole=True)
        outbox.flush()
        assert outbox.writes == shown
    world.publish(2, 3)
    world.timer.run_until(1.0)
    assert outbox.writes == [b"<AAPL 3>"]


def test_what_waits_in_a_new_epoch_is_shown_once_to_who_comes_back_meanwhile() -> None:
    """Each trade comes with the next flush, not before it as well."""
    world = World()
    other = world.client(TRADES)
    for seq in (1, 2, 3):
        world.deliver(update(seq, TRADES, "100-a"))
    world.timer.run()
    for seq in (4, 5):
        world.deliver(update(seq, TRADES, "200-b"))
    client = RecordingOutbox()
    world.resume(client, TRADES, SPEC, Cursor(Position("100-a", 2)))
    client.flush()
    world.timer.run()
    for each in (client, other):
        shown = b"".join(each.writes)
        assert shown.endswith(b"<AAPL gap None-None><AAPL 4><AAPL 5>")
        assert shown.count(b"<AAPL 4>") == 1


def test_where_there_are_no_other_nodes_nobody_has_more_than_is_known() -> None:
    """Who says so is shown what there is."""
    world = World()
    world.client()
    world.publish(1)
    world.timer.run()
    outbox = RecordingOutbox()
    world.resume(outbox, AAPL, SPEC, Cursor(Position("e", 99)))
    outbox.flush()
    assert outbox.writes == [b"<AAPL 1>"]


@given(steps)
def test_whatever_happens_every_subscriber_ends_on_the_newest_state(
    script: list[tuple[str, int, int]],
) -> None:
    """Order is kept, nothing comes twice after the first sight, and all converge to the newest."""
    world = World()
    topics = (AAPL, TSLA)
    clients = [RecordingOutbox() for _ in range(3)]
    seqs = {AAPL: 0, TSLA: 0}
    for kind, first, second in script:
        if kind == "publish":
            for _ in range(second):
                seqs[topics[first]] += 1
                world.publish(seqs[topics[first]], topic=topics[first])
        elif kind == "flush":
            world.timer.run()
        elif kind == "subscribe":
            world.subscribe(clients[first], topics[second], ViewSpec("base", topics[second].symbol))
            clients[first].flush()
        elif kind == "unsubscribe" and topics[second] in clients[first].shown:
            world.hub.unsubscribe(clients[first], topics[second])
        elif kind == "pause":
            world.hold(clients[first])
        elif kind == "fill":
            # The next write finds the client full.
            world.fill_up(clients[first])
        elif kind == "resume":
            world.catch_up(clients[first])
    world.timer.run()
    for client in clients:
        for _ in range(3):  # the first time may find it full again
            world.catch_up(client)
        heard = b"".join(client.writes).decode().strip("<>").split("><")
        for topic in client.shown:
            seen = [int(word.split()[1]) for word in heard if word.startswith(f"{topic.symbol} ")]
            if seqs[topic]:
                assert seen[-1] == seqs[topic]
            assert seen == sorted(seen)


def unreadable(world: World, seq: int, topic: Topic = TRADES) -> None:
    world.log_of(topic).skip(Position("e", seq))
    world.hub.note_unreadable(topic, Position("e", seq))


def test_what_cant_be_read_is_told_once_a_minute_and_topic() -> None:
    """To all who can take it, before what comes next."""
    world = World()
    one, other = world.client(TRADES, V1), world.client(TRADES, V1)
    quotes = world.client(AAPL, V1)
    world.publish(1, topic=TRADES)
    for seq in range(2, 7):
        unreadable(world, seq)
    world.publish(7, topic=TRADES)
    unreadable(world, 8)
    world.publish(9, topic=TRADES)
    world.timer.run()
    heard = b"".join(one.writes).replace(b"<AAPL live>", b"")
    assert heard == b"<AAPL pending><AAPL 1><AAPL gap 2-6><AAPL 7><AAPL 9>"
    assert b"".join(other.writes) == b"".join(one.writes)
    assert b"gap" not in b"".join(quotes.writes)
    world.timer.now = 61.0
    unreadable(world, 10)
    unreadable(world, 11)
    world.publish(12, topic=TRADES)
    world.timer.run()
    assert one.writes[-1] == b"<AAPL gap 10-11><AAPL 12>"


def test_what_cant_be_read_is_told_though_nothing_comes_next() -> None:
    """Soon; and what comes then isn't told twice."""
    world = World()
    one = world.client(TRADES, V1)
    world.publish(1, topic=TRADES)
    world.timer.run()
    for seq in (2, 3):
        unreadable(world, seq)
    world.hub.check()
    assert one.writes[-1] == b"<AAPL gap 2-3>"
    unreadable(world, 4)
    world.hub.check()
    world.publish(5, topic=TRADES)
    world.timer.run()
    assert one.writes[-1] == b"<AAPL 5>"
    assert b"".join(one.writes).count(b"gap") == 1


def test_who_comes_when_the_newest_cant_be_read_is_told_too() -> None:
    """Also who was held, and gets one word of what is missing between."""
    world = World()
    lagging = world.client(TRADES, V1)
    world.publish(1, topic=TRADES)
    world.timer.run()
    world.hold(lagging)
    unreadable(world, 2)
    world.hub.check()
    newcomer = world.client(TRADES, V1)
    assert b"gap 2-2" in b"".join(newcomer.writes)
    world.publish(3, topic=TRADES)
    world.timer.run()
    late = world.client(TRADES, V1)
    assert b"gap" not in b"".join(late.writes)
    world.catch_up(lagging)
    assert b"<AAPL gap 2-2><AAPL 3>" in b"".join(lagging.writes)


def test_a_state_stays_until_one_comes_that_can_be_read() -> None:
    """Newcomers are shown it, and that there is more."""
    world = World()
    one = world.client(AAPL, V1)
    world.publish(1)
    world.timer.run()
    unreadable(world, 2, AAPL)
    newcomer = world.client(AAPL, V1)
    assert b"".join(newcomer.writes) == b"<AAPL 1><AAPL gap 2-2>"
    unreadable(world, 3, AAPL)
    world.publish(4)
    world.timer.run()
    assert b"".join(one.writes).endswith(b"<AAPL gap 2-2><AAPL 4>")
    late = world.client(AAPL, V1)
    assert b"".join(late.writes) == b"<AAPL 4>"


def test_what_cant_be_read_of_a_topic_nobody_sees_is_nobodys_concern() -> None:
    """Nothing is kept of it."""
    world = World()
    unreadable(world, 2)
    assert world.hub.topics() == {}


@pytest.mark.parametrize("topic", [AAPL, TRADES, CANDLES])
def test_a_removed_topic_begins_anew(topic: Topic) -> None:
    """Its subscribers are told, newcomers are shown nothing, and what comes next is the first."""
    world = World()
    one, lagging = world.client(topic, V1), world.client(topic, V1)
    world.publish(1, 2, topic=topic)
    world.timer.run()
    world.hold(lagging)
    world.publish(3, topic=topic)
    world.timer.run()
    world.publish(4, topic=topic)
    world.remove(topic)
    world.timer.run()
    assert b"".join(one.writes).endswith(b"<AAPL 3><AAPL pending>")
    newcomer = world.client(topic, V1)
    assert b"".join(newcomer.writes) == b"<AAPL pending>"
    world.catch_up(lagging)
    assert b"<AAPL 3>" not in b"".join(lagging.writes)
    world.deliver(update(1, topic, "f"))
    world.timer.run()
    for client in (one, newcomer, lagging):
        assert b"".join(client.writes).replace(b"<AAPL live>", b"").endswith(b"<AAPL 1>")
        assert b"gap" not in b"".join(client.writes)
    world.hub.forget(TSLA)
