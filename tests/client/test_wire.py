"""The subscriptions at the server, and its messages about them."""

from bookcast.client import GappedCandle

from .world import World, prices


def test_what_was_closed_meanwhile_doesnt_come_back_and_what_was_opened_comes(
    world: World,
) -> None:
    """What is wanted is a set."""
    closed = world.client.order_book("OLD")
    shut = world.client.trades("OLD")
    world.client.quote("KEPT")
    world.pass_time()
    world.server.drop()
    world.pass_time()
    closed.close()
    shut.close()
    world.client.brokers("NEW")
    world.pass_time(1_000)
    assert world.server.subscribed == ["brokers NEW", "quote KEPT"]


def test_nothing_that_was_done_offline_is_sent_but_what_is_wanted_in_the_end(world: World) -> None:
    """There is no queue."""
    world.pass_time()
    world.server.is_up = False
    world.server.drop()
    world.pass_time(1_000)
    for number in range(50):
        world.client.order_book(f"S{number}").close()
    kept = world.client.order_book("KEPT")
    for depth in range(1, 30):
        world.client.order_book("KEPT", depth=depth).close()
    world.server.is_up = True
    world.pass_time(60_000)
    assert [one["symbol"] for one in world.sent("subscribe")] == ["KEPT"]
    assert world.sent("unsubscribe") == []
    assert kept.state == "pending"


def test_hundreds_of_topics_dont_all_speak_at_once(world: World) -> None:
    """Servers take so many messages at once, and so many a second."""
    for number in range(900):
        world.client.trades(f"S{number}")
    world.pass_time()
    assert len(world.sent("subscribe")) == 400
    world.pass_time(20_000)
    assert len(world.sent("subscribe")) == 900
    for number in range(900):
        world.server.trade(f"S{number}", {"price": 1})
    world.pass_time()
    world.server.restart()
    world.pass_time(1_000)
    assert len(world.sent("subscribe")) <= 900 + 440
    world.pass_time(20_000)
    assert len(world.sent("subscribe")) == 1_800
    assert {one.state for one in world.client.subscriptions()} == {"pending"}


def test_who_opens_and_closes_all_the_time_isnt_turned_away_for_it(world: World) -> None:
    """To unsubscribe is a message too; what is wanted in the end is there."""
    world.pass_time()
    most = 0
    for number in range(2_000):
        quote = world.client.quote(f"S{number % 50}")
        world.pass_time(1)
        quote.close()
        world.pass_time(1)
        most = max(most, len(world.server.received) - 45 * number // 500)
    assert most <= 480
    kept = world.client.quote("KEPT")
    world.pass_time(20_000)
    assert world.server.subscribed == ["quote KEPT"]
    kept.close()
    world.pass_time(1_000)
    assert world.server.subscribed == []
    assert world.client._session.wire.topics == {}


def test_one_view_over_the_wire_is_deepest_and_fastest(world: World) -> None:
    """Each subscription is cut to its own depth and pace; it widens at once, and narrows later."""
    levels = [[100 - number, 1] for number in range(20)]
    world.server.publish("A", {"bids": levels, "asks": []})
    shallow = world.client.order_book("A", depth=2, interval_ms=1_000)
    world.pass_time()
    deep = world.client.order_book("A", depth=10)
    assert deep.value is None
    world.pass_time()
    asked = [(one["depth"], one["interval_ms"]) for one in world.sent("subscribe")]
    assert asked == [(2, 1_000), (10, 0)]
    assert shallow.value is not None
    assert deep.value is not None
    assert (len(shallow.value.bids), len(deep.value.bids)) == (2, 10)
    slow, fast = world.collect(shallow), world.collect(deep)
    for number in range(40):
        world.server.publish("A", {"bids": [[100, number + 2], *levels[1:]], "asks": []})
        world.pass_time(100)
    assert (len(fast.items), len(slow.items)) == (41, 5)
    world.pass_time(1_000)
    assert shallow.value.bids[0] == (100, 41, None, None)
    deep.close()
    world.pass_time(1_000)
    assert len(world.sent("subscribe")) == 2
    assert len(shallow.value.bids) == 2
    world.pass_time(5_000)
    last = world.sent("subscribe")[2]
    assert (last["depth"], last["interval_ms"]) == (2, 1_000)


def test_history_comes_to_a_later_subscription_and_nothing_twice_to_the_first(
    world: World,
) -> None:
    """A third one gets it from what is known already."""
    for price in range(1, 6):
        world.server.trade("A", {"price": price})
    first = world.collect(world.client.trades("A"))
    world.pass_time()
    world.server.trade("A", {"price": 6})
    world.pass_time()
    second = world.collect(world.client.trades("A", history=4))
    world.pass_time()
    world.server.trade("A", {"price": 7})
    world.pass_time()
    assert prices(first.items) == [6, 7]
    assert prices(second.items) == [3, 4, 5, 6, 7]
    third = world.collect(world.client.trades("A", history=2))
    world.pass_time()
    assert prices(third.items) == [6, 7]
    assert len(world.sent("subscribe")) == 2


def test_an_unwanted_topic_that_comes_nonetheless_is_unsubscribed_once(world: World) -> None:
    """However much comes of it."""
    book = world.client.order_book("A")
    world.pass_time()
    book.close()
    world.pass_time()
    for _ in range(50):
        world.server.say(
            type="orderbook_update",
            channel="orderbook",
            symbol="A",
            epoch="e",
            seq=1,
            ts=[None, None, 1],
            data={"bids": [], "asks": []},
        )
    world.pass_time()
    # When it was closed, and when it came nonetheless.
    assert len(world.sent("unsubscribe")) == 2
    assert world.client.subscriptions() == []


def test_each_period_and_variant_is_a_topic_of_its_own(world: World) -> None:
    """Its messages find their way."""
    minute = world.client.candles("A", period="1m")
    hour = world.client.candles("A", period="1h")
    odd = world.client.order_book("A", variant="odd")
    world.pass_time()
    data = {"time": 1, "open": 1, "high": 1, "low": 1, "close": 1, "volume": 1, "final": True}
    world.server.publish("A", data, channel="candles", period="1h")
    world.server.publish("A", {"bids": [[1, 1]], "asks": []}, variant="odd")
    world.pass_time()
    assert minute.value is None
    assert isinstance(hour.value, GappedCandle)
    assert odd.value is not None


def test_a_topic_that_was_closed_while_it_had_to_wait_doesnt_end_its_successor(
    world: World,
) -> None:
    """The pause belongs to the subscriptions of that time."""
    world.pass_time()
    world.server.refuse("A", "rate_limited", "too many messages")
    closed = world.client.quote("A")
    world.pass_time(100)
    closed.close()
    world.pass_time(100)
    quote = world.client.quote("A")
    world.pass_time(100)
    world.server.publish("A", {"last": 1}, channel="quote")
    world.pass_time(60_000)
    world.server.publish("A", {"last": 2}, channel="quote")
    world.pass_time()
    assert quote.value is not None
    assert (quote.value.last, quote.state) == (2, "live")
    assert world.client.subscriptions() == [quote]
