"""How what is known of a topic is kept proven, and how it stands."""

from collections.abc import Callable
from typing import Any

import pytest

from bookcast.client import Refused

from .world import World, prices

BOOK = {"bids": [[10, 5]], "asks": [[11, 6]]}


def test_the_last_proven_book_stays_while_its_view_widens(world: World) -> None:
    """Nobody is told of another state."""
    world.server.publish("A", {"bids": [[3, 1], [2, 1], [1, 1]], "asks": []})
    one = world.client.order_book("A", depth=1)
    world.pass_time()
    states: list[str] = []
    one.on_state(states.append)
    states.clear()
    world.client.order_book("A")
    assert one.value is not None
    assert one.value.bids[0].price == 3
    world.pass_time()
    assert set(states) <= {"live"}
    assert [level.price for level in one.value.bids] == [3]


def test_a_book_whose_deltas_never_agree_is_asked_for_ever_more_seldom(
    make_world: Callable[..., World],
) -> None:
    """It is syncing between two whole books."""

    def relay(text: str, _direction: str, pass_on: Callable[[str], None]) -> None:
        head, found, tail = text.partition('"checksum": ')
        pass_on(head + found + "1" + tail if found else text)

    world = make_world(relay=relay)
    book = world.client.order_book("A")
    world.pass_time()
    states = set()
    for number in range(600):
        world.server.publish("A", {"bids": [[10, number + 1]], "asks": []})
        world.pass_time(100)
        states.add(book.state)
    assert len(world.sent("resync")) < 8
    assert states <= {"live", "syncing"}
    assert "syncing" in states


@pytest.mark.parametrize(
    "data",
    [
        None,
        7,
        {},
        {"bids": 3, "asks": []},
        {"bids": [[1]], "asks": []},
        {"bids": [["1", 2]], "asks": []},
        {"bids": [[1, -2]], "asks": []},
        {"bids": [None], "asks": []},
    ],
)
def test_a_book_that_is_none_is_never_shown(world: World, data: Any) -> None:
    """It is asked for again."""
    world.server.publish("A", BOOK)
    book = world.client.order_book("A")
    world.pass_time()
    before = book.value
    about = {"channel": "orderbook", "symbol": "A", "epoch": "fake-1", "seq": 9}
    world.server.say(type="orderbook_update", **about, ts=[None, None, 1], data=data)
    world.pass_time()
    assert len(world.sent("resync")) == 1
    assert book.value is not None
    assert book.value == before
    world.pass_time(3_000)
    assert book.state == "live"


def test_trades_that_are_missing_in_the_middle_are_fetched(
    make_world: Callable[..., World],
) -> None:
    """With since: each comes once, in order."""
    lost: list[int] = []

    def relay(text: str, _direction: str, pass_on: Callable[[str], None]) -> None:
        if lost and '"trade"' in text:
            lost.pop()
        else:
            pass_on(text)

    world = make_world(relay=relay)
    tape = world.client.trades("A")
    states: list[str] = []
    tape.on_state(states.append)
    seen = world.collect(tape)
    world.pass_time()
    world.server.trade("A", {"price": 1})
    world.pass_time()
    lost.append(1)
    world.server.trade("A", {"price": 2})
    world.server.trade("A", {"price": 3})
    world.pass_time()
    assert world.sent("subscribe")[1]["since"] == {"epoch": "fake-1", "seq": 1}
    assert prices(seen.items) == [1, 2, 3]
    assert "syncing" in states
    assert tape.state == "live"


def test_a_hole_is_never_passed_over(world: World) -> None:
    """Whatever a gap or a trade claims."""
    seen = world.collect(world.client.trades("A"))
    world.pass_time()
    for price in range(1, 5):
        world.server.trade("A", {"price": price})
    world.pass_time()
    name = {"channel": "trades", "symbol": "A", "epoch": "fake-1"}
    world.server.say(type="gap", **name, from_seq=1, to_seq=3, reason="overflow")
    later = {"seq": 9, "prev_seq": 7, "ts": [None, None, 1], "data": {"trades": []}}
    world.server.say(type="trade", **name, **later)
    world.pass_time()
    for price in (5, 6):
        world.server.trade("A", {"price": price})
    world.pass_time(10_000)
    assert prices(seen.items) == [1, 2, 3, 4, 5, 6]
    assert all(item.gap is None for item in seen.items)


def test_a_gap_of_the_servers_comes_with_the_next_trades(
    make_world: Callable[..., World],
) -> None:
    """With its numbers and reason."""
    world = make_world(history_size=2)
    seen = world.collect(world.client.trades("A"))
    world.pass_time()
    world.server.trade("A", {"price": 1})
    world.pass_time()
    world.server.drop()
    for price in range(2, 7):
        world.server.trade("A", {"price": price})
    world.pass_time(1_000)
    assert prices(seen.items) == [1, 5, 6]
    gap = seen.items[1].gap
    assert gap is not None
    assert (gap.from_seq, gap.to_seq, gap.reason) == (2, 4, "overflow")
    assert [item.gap for item in seen.items if item.gap is not gap] == [None, None]


def test_statuses_are_told_with_their_reasons(world: World) -> None:
    """As the server says them."""
    world.server.publish("A", BOOK)
    book = world.client.order_book("A")
    told: list[tuple[str, str | None]] = []
    book.on_state(lambda state: told.append((state, book.reason)))
    world.pass_time()
    world.server.status("A", "feed_down", "OpenD is gone")
    world.pass_time()
    world.server.status("A", "live")
    world.pass_time()
    assert told[-2:] == [("feed_down", "OpenD is gone"), ("live", None)]


def test_a_symbol_that_the_feed_refuses_comes_when_the_feed_has_it_after_all(
    world: World,
) -> None:
    """An iteration that was begun before has ended with the error; the next one goes on."""
    world.server.refuse("A", "feed_refused", "Unknown stock. AA")
    book = world.client.order_book("A")
    seen = world.collect(book)
    world.pass_time()
    assert isinstance(seen.error, Refused)
    assert (seen.error.code, seen.error.final) == ("feed_refused", False)
    assert (book.state, book.reason) == ("refused", "Unknown stock. AA")
    world.server.publish("A", BOOK)
    world.pass_time()
    assert book.state == "live"
    again = world.collect(book)
    world.pass_time()
    assert len(again.items) == 1
    assert (again.error, again.ended) == (None, False)
