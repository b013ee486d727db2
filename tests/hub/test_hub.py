import logging
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookcast.hub.view_spec import RenderedStep, ViewSpec
from bookcast.model.feed_state import FeedState
from bookcast.model.topics import Topic
from bookcast.model.updates import Position, Update
from tests.hub.world import OTHER, SPEC, V1, World
from tests.support import (
    AAPL,
    CANDLES,
    TRADES,
    TSLA,
    RecordingOutbox,
    update,
)


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
    """Clients get messages with the symbol as they requested it."""
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
    """Updates of other topics are sent to no client."""
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
    """It delays no other client, has no queue, and one frame brings it up to date."""
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
    """The rest waits until it can take data again."""
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


def test_a_newcomer_to_trades_gets_the_history_it_asked_for_and_then_what_is_new() -> None:
    """Without one, what is new alone; the engine's history counts as past."""
    world = World()
    world.publish(*range(1, 6), topic=TRADES)
    new, old = world.client(TRADES), world.client(TRADES, history=2)
    world.publish(6, topic=TRADES)
    world.timer.run()
    assert (new.writes, old.writes) == ([b"<AAPL 6>"], [b"<AAPL 4><AAPL 5>", b"<AAPL 6>"])


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


def past(*seqs: int) -> list[Update]:
    """Return trades that happened before the first subscription."""
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
    """The gap is sent soon; the next update doesn't repeat it."""
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
    """Subscribers are notified, newcomers get nothing, and the next update is the first."""
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
