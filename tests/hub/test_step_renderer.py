from bookcast.model.updates import Position, Update
from tests.hub.world import SPEC, World
from tests.support import (
    CANDLES,
    TRADES,
    candle,
    update,
)


def test_past_the_bound_trades_are_a_gap_and_never_lost_silently() -> None:
    """The gap names the missing numbers."""
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
