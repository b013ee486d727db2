import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookcast.hub.hub import Hub
from bookcast.hub.view import ViewSpec
from bookcast.model import Topic, Update
from tests.support import AAPL, TSLA, ManualTimer, RecordingOutbox, update

SPEC = ViewSpec("base", "AAPL")
OTHER = ViewSpec("base", "US.AAPL")


class World:
    """A hub with a stopped clock, and an engine that only notes what it is asked."""

    def __init__(self, *, batch_seconds: float = 0.0) -> None:
        self.timer = ManualTimer()
        self.rendered = 0
        self.asked: list[tuple[str, Topic]] = []
        self.newest: dict[Topic, Update] = {}
        self.hub = Hub(
            render=self.render,
            clock=self.timer.clock,
            call_later=self.timer.call_later,
            want=self.want,
            release=lambda topic: self.asked.append(("release", topic)),
            batch_seconds=batch_seconds,
        )

    def render(self, spec: ViewSpec, shown: Update) -> bytes:
        self.rendered += 1
        return b"<%s %d>" % (spec.spelling.encode(), shown.position.seq)

    def want(self, topic: Topic) -> None:
        self.asked.append(("want", topic))
        if topic in self.newest:
            self.hub.deliver(self.newest[topic])

    def publish(self, *seqs: int, topic: Topic = AAPL) -> None:
        for seq in seqs:
            self.newest[topic] = update(seq, topic)
            self.hub.deliver(self.newest[topic])

    def client(self, topic: Topic = AAPL, spec: ViewSpec = SPEC) -> RecordingOutbox:
        outbox = RecordingOutbox()
        self.subscribe(outbox, topic, spec)
        outbox.flush()
        return outbox

    def subscribe(self, outbox: RecordingOutbox, topic: Topic, spec: ViewSpec) -> None:
        self.hub.subscribe(outbox, topic, spec, outbox.shown.get(topic))
        outbox.shown[topic] = spec

    def unsubscribe(self, outbox: RecordingOutbox, topic: Topic) -> None:
        self.hub.unsubscribe(outbox, topic, outbox.shown.pop(topic))

    def fill_up(self, outbox: RecordingOutbox) -> None:
        """Let the next write find the client full, as a transport does."""

        def write(data: bytes) -> None:
            outbox.writes.append(data)
            outbox.write = outbox.writes.append
            outbox.full_after = False
            self.hold(outbox)

        if outbox.writable:
            outbox.full_after = True
            outbox.write = write
            # The hub took the way to write when it was told of the client.
            for topic, spec in outbox.shown.items():
                view = self.hub._topics[topic].views[spec]
                if outbox in view.ready:
                    view.ready[outbox] = write

    def hold(self, outbox: RecordingOutbox) -> None:
        outbox.writable = False
        self.hub.hold(outbox, outbox.shown)

    def catch_up(self, outbox: RecordingOutbox) -> None:
        outbox.writable = True
        self.hub.catch_up(outbox, outbox.shown)


def test_an_update_is_rendered_once_for_all_its_subscribers() -> None:
    """Three clients of one view get the same bytes from one rendering."""
    world = World()
    clients = [world.client() for _ in range(3)]
    world.publish(1)
    world.timer.run()
    assert [client.writes for client in clients] == [[b"<AAPL 1>"]] * 3
    assert world.rendered == 1
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
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log has why."""
    world = World()
    broken, fine = world.client(TSLA), world.client()
    render = world.render

    def fail_for_tesla(spec: ViewSpec, shown: Update) -> bytes:
        if shown.topic == TSLA:
            raise ValueError("year 10000 is out of range")
        return render(spec, shown)

    for live in world.hub._topics.values():
        for view in live.views.values():
            view._render = fail_for_tesla
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
    world.hub.unsubscribe(first, AAPL, SPEC)
    assert world.asked == [("want", AAPL)]
    world.hub.unsubscribe(second, AAPL, SPEC)
    world.hub.unsubscribe(second, AAPL, SPEC)
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
    """A state known before anybody wanted it arrives with the next flush."""
    world = World()
    world.publish(5)
    outbox = world.client()
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
    assert slow.conflated == world.hub.conflated == 4
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
    assert slow.conflated == world.hub.conflated == 0


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

    slow.put = fill_up  # type: ignore[method-assign]
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
    world.unsubscribe(slow, AAPL)
    world.catch_up(slow)
    assert slow.writes == []


def test_an_idle_hub_sends_at_once_and_a_busy_one_collects() -> None:
    """The next flush begins no sooner than twice the time the last one took, within bounds."""
    world = World(batch_seconds=0.005)
    outbox = RecordingOutbox()
    taking = 0.001

    def write_slowly(_data: bytes) -> None:
        world.timer.now += taking

    outbox.write = write_slowly
    world.subscribe(outbox, AAPL, SPEC)
    world.timer.now = 100.0
    world.publish(1)
    assert world.timer.calls[0][0] == 100.0
    world.timer.run()
    world.publish(2)
    assert world.timer.calls[0][0] == pytest.approx(100.002)
    world.timer.run()
    taking = 1.0
    world.publish(3)
    world.timer.run()
    world.publish(4)
    assert world.timer.calls[0][0] == world.timer.now


def test_debug_logging_tells_where_an_update_went(caplog: pytest.LogCaptureFixture) -> None:
    """To whom it was sent, for whom it was held back, and when nobody wanted it."""
    world = World()
    world.hold(world.client())
    world.client()
    with caplog.at_level(logging.DEBUG, "bookcast.hub"):
        world.publish(1)
        world.timer.run()
        world.publish(1, topic=TSLA)
    assert "sent to 1, held back for 1" in caplog.text
    assert "nobody here wants it" in caplog.text


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
            world.unsubscribe(clients[first], topics[second])
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
