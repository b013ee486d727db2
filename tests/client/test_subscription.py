"""What a program holds."""

import asyncio
from collections.abc import Callable

import pytest

from bookcast.client import Refused, Stopped

from .world import World, prices

BOOK = {"bids": [[10, 5], [9, 4], [8, 3]], "asks": [[11, 6], [12, 7]]}


def test_it_shows_the_newest_book_and_each_one_after_it(world: World) -> None:
    """As deep as it was asked for."""
    world.server.publish("US.AAPL", BOOK)
    book = world.client.order_book("US.AAPL", depth=2)
    seen = world.collect(book)
    assert (book.value, book.state, book.seq, book.age_ms) == (None, "connecting", None, None)
    world.pass_time()
    assert book.value is not None
    assert [level.price for level in book.value.bids] == [10, 9]
    assert book.state == "live"
    world.server.publish("US.AAPL", {"bids": [[10, 5], [8, 3]], "asks": [[11, 1, 2]]})
    world.pass_time(250)
    assert book.value.asks[0].orders == 2
    assert (book.epoch, book.seq, book.age_ms) == ("fake-1", 2, 250)
    assert len(seen.items) == 2
    world.begin(world.client.close())
    world.pass_time()
    assert seen.ended


def test_a_slow_program_gets_the_newest_state_alone(world: World) -> None:
    """Never a backlog; the next iteration begins with what is known."""
    book = world.client.order_book("A")
    world.pass_time()
    for size in (1, 2, 3):
        world.server.publish("A", {"bids": [[10, size]], "asks": []})
    world.pass_time()
    first = world.begin(book.next())
    world.pass_time()
    assert first.result().bids[0].size == 3
    waiting = world.begin(book.next())
    world.pass_time()
    assert not waiting.done()
    again = world.collect(book)
    world.pass_time()
    assert [one.bids[0].size for one in again.items] == [3]
    world.server.publish("A", {"bids": [[10, 4]], "asks": []})
    world.pass_time()
    assert book.value is not None
    assert book.value.bids[0].size == 4


def test_trades_come_each_after_the_history(world: World) -> None:
    """Also those that came before anybody waited for them."""
    for price in range(1, 6):
        world.server.trade("A", {"price": price})
    tape = world.client.trades("A", history=2)
    world.pass_time()
    world.server.trade("A", {"price": 6}, {"price": 7})
    world.pass_time()
    seen = world.collect(tape)
    world.pass_time()
    assert prices(seen.items) == [4, 5, 6, 7]
    assert tape.value is not None
    assert [trade.price for trade in tape.value.trades] == [6, 7]


def test_past_max_buffered_the_oldest_go_and_the_next_says_so(
    make_world: Callable[..., World],
) -> None:
    """With the reason consumer."""
    world = make_world(max_buffered=3)
    tape = world.client.trades("A")
    world.pass_time()
    for price in range(1, 11):
        world.server.trade("A", {"price": price})
    world.pass_time()
    seen = world.collect(tape)
    world.pass_time()
    assert prices(seen.items) == [8, 9, 10]
    gap = seen.items[0].gap
    assert gap is not None
    assert (gap.from_seq, gap.to_seq, gap.reason) == (1, 7, "consumer")
    world.server.trade("A", {"price": 11})
    world.pass_time()
    assert seen.items[-1].gap is None


def test_candles_that_form_are_replaced_and_final_ones_arent(world: World) -> None:
    """A slow program sees each final one."""
    candles = world.client.candles("A", period="1m")
    world.pass_time()
    for time, close, final in [(1, 1, 0), (1, 2, 0), (1, 3, 1), (2, 4, 0), (2, 5, 1), (3, 6, 0)]:
        data = {"time": time, "open": 1, "high": 9, "low": 1, "close": close, "volume": 1}
        whole = data | {"final": bool(final)}
        world.server.publish("A", whole, channel="candles", period="1m")
    world.pass_time()
    seen = world.collect(candles)
    world.pass_time()
    assert [candle.close for candle in seen.items] == [3, 5, 6]
    assert seen.items[0].gap is None


def test_trades_of_an_interval_come_together(world: World) -> None:
    """Those of before a gap and after it don't."""
    fast = world.client.trades("A")
    slow = world.client.trades("A", interval_ms=1_000)
    seen, every = world.collect(slow), world.collect(fast)
    world.pass_time()
    for price in range(1, 8):
        world.server.trade("A", {"price": price})
        world.pass_time(100)
    world.pass_time(1_000)
    assert prices(seen.items) == prices(every.items) == [1, 2, 3, 4, 5, 6, 7]
    assert [len(item.trades) for item in seen.items] == [1, 6]


def test_it_ends_its_iteration_after_close_and_isnt_wanted_any_more(world: World) -> None:
    """It doesn't come back with the line."""
    quote = world.client.quote("A")
    states: list[str] = []
    quote.on_state(states.append)
    seen = world.collect(quote)
    waiting = world.begin(quote.next())
    world.pass_time()
    quote.close()
    quote.close()
    world.pass_time()
    assert (seen.ended, seen.items) == (True, [])
    assert isinstance(waiting.exception(), Stopped)
    assert [one["symbol"] for one in world.sent("unsubscribe")] == ["A"]
    assert world.client.subscriptions() == []
    assert (states[-1], quote.state, quote.reason) == ("closed", "closed", "closed by the program")
    world.server.drop()
    world.pass_time(1_000)
    assert world.server.subscribed == []


def test_it_is_closed_with_its_context(world: World) -> None:
    """Of the with statement."""

    async def program() -> None:
        async with world.client.quote("A") as quote:
            assert world.client.subscriptions() == [quote]

    done = world.begin(program())
    world.pass_time()
    done.result()
    assert world.client.subscriptions() == []


def test_one_that_is_refused_raises_in_its_iteration(world: World) -> None:
    """Each time, and with its reason."""
    world.server.refuse("US.NONE", "forbidden", "You have no right to this")
    book = world.client.order_book("US.NONE")
    seen = world.collect(book)
    world.pass_time()
    again = world.collect(book)
    world.pass_time()
    for error in (seen.error, again.error):
        assert isinstance(error, Refused)
        assert (error.code, error.final) == ("forbidden", True)
    assert (book.state, book.reason) == ("refused", "You have no right to this")
    late = world.collect(world.client.order_book("US.NONE"))
    world.pass_time()
    assert isinstance(late.error, Refused)


def test_a_wait_that_is_cancelled_loses_nothing(world: World) -> None:
    """The next one gets it."""
    tape = world.client.trades("A")
    world.pass_time()
    waiting = world.begin(tape.next())
    world.pass_time()
    world.server.trade("A", {"price": 1})
    waiting.cancel()
    world.pass_time()
    with pytest.raises(asyncio.CancelledError):
        waiting.result()
    taken = world.begin(tape.next())
    world.pass_time()
    assert taken.result().trades[0].price == 1
