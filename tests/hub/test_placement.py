import msgspec
import pytest

from bookcast.model.cursor import Cursor
from bookcast.model.feed_state import FeedState
from bookcast.model.topics import Topic
from bookcast.model.updates import Position
from tests.hub.world import OTHER, SPEC, V1, World
from tests.support import (
    AAPL,
    TRADES,
    RecordingOutbox,
    update,
)


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


def come_back(world: World, place: Position, topic: Topic) -> RecordingOutbox:
    """Resume a client's subscription after a position; it must recover."""
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


def restored(world: World, *seqs: int) -> None:
    """Do what an engine does when Redis is back, and publishes on in the epoch before."""
    first, *others = (update(seq, TRADES) for seq in seqs)
    world.deliver(msgspec.structs.replace(first, engine_restored=True))
    for other in others:
        world.deliver(other)
    world.timer.run_until(world.timer.now + 1.0)


def outage(world: World, *seqs: int) -> None:
    """Do what an engine does when Redis is away, and it publishes for its own clients."""
    for seq in seqs:
        world.deliver(update(seq, TRADES, "local-a-1"))
    world.timer.run_until(world.timer.now + 1.0)


@pytest.mark.parametrize("known", [(), (1, 2, 3)], ids=["a new node", "a node that is behind"])
@pytest.mark.parametrize("is_slow", [False, True])
@pytest.mark.parametrize("comes_late", [False, True])
def test_who_came_in_an_outage_gets_no_trade_twice_after_it(
    known: tuple[int, ...], is_slow: bool, comes_late: bool
) -> None:
    """The node knows its place in the epoch before, which it had from another node."""
    world = World(patience=5.0)
    other = world.client(TRADES)
    world.publish(*known, topic=TRADES)
    world.timer.run_until(1.0)
    client = RecordingOutbox()
    if comes_late:
        outage(world, 1)
    world.resume(client, TRADES, SPEC, Cursor(Position("e", 5)))
    outage(world, 2)
    if is_slow:
        world.hold(client)
    outage(world, 3)
    restored(world, *range(len(known) + 1, 8))
    if is_slow:
        world.catch_up(client)
    written = b"".join(client.writes)
    assert written.endswith(b"<AAPL gap None-None><AAPL 6><AAPL 7>")
    assert b"<AAPL 4>" not in written
    world.publish(8, topic=TRADES)
    world.timer.run_until(world.timer.now + 1.0)
    for outbox in (client, other):
        assert b"".join(outbox.writes).endswith(b"<AAPL 6><AAPL 7><AAPL 8>")


def test_who_came_in_an_outage_waits_until_its_epoch_has_reached_its_place() -> None:
    """And only as long as another node may be ahead of this one."""
    world = World(patience=5.0)
    world.client(TRADES)
    outage(world, 1)
    client = RecordingOutbox()
    world.resume(client, TRADES, SPEC, Cursor(Position("e", 5)))
    restored(world, 1, 2, 3)
    assert b"".join(client.writes).endswith(b"<AAPL gap None-None>")
    world.publish(4, 5, 6, topic=TRADES)
    world.timer.run_until(world.timer.now + 1.0)
    assert b"".join(client.writes).endswith(b"<AAPL gap None-None><AAPL 6>")


def test_an_epoch_that_does_not_go_on_after_the_outage_is_forgotten() -> None:
    """Redis came back empty, or this node was the only one to publish."""
    world = World(patience=5.0)
    world.client(TRADES)
    outage(world, 1)
    client, gone = RecordingOutbox(), RecordingOutbox()
    for outbox in (client, gone):
        world.resume(outbox, TRADES, SPEC, Cursor(Position("before", 5)))
    world.hub.unsubscribe(gone, TRADES)
    restored(world, 1, 2)
    assert b"".join(client.writes).endswith(b"<AAPL gap None-None><AAPL 1><AAPL 2>")
    assert b"<AAPL 2>" not in b"".join(gone.writes)
