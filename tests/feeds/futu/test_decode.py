from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookcast.feeds.futu import decode
from bookcast.feeds.futu.schema import messages
from bookcast.model.market_data import (
    MAX_NUMBER,
    Book,
    Broker,
    Brokers,
    DetailedLevel,
    Level,
    Order,
    TimePoint,
)
from bookcast.model.numbers import Number
from bookcast.model.topics import Symbol

US, HK = Symbol("US.AAPL"), Symbol("HK.00700")
BAD = [math.nan, math.inf, -math.inf, 2.0**53, -(2.0**53)]


def level(price: float, volume: int, orders: int = 1, **more: Any) -> Any:
    return messages("Qot_Common").OrderBook(price=price, volume=volume, orederCount=orders, **more)


def pushed_book(bids: list[Any], asks: list[Any], **more: Any) -> Any:
    s2c = messages("Qot_UpdateOrderBook").S2C(**more)
    s2c.security.market, s2c.security.code = 11, "AAPL"
    s2c.orderBookBidList.extend(bids)
    s2c.orderBookAskList.extend(asks)
    return s2c


def snapshot(**more: Any) -> Any:
    fields = {
        "isSuspend": False,
        "curPrice": 10.5,
        "openPrice": 10.0,
        "highPrice": 11.0,
        "lowPrice": 9.5,
        "lastClosePrice": 10.25,
        "volume": 1000,
        "turnover": 10500.5,
        "bidPrice": 10.4,
        "askPrice": 10.6,
        "bidVol": 100,
        "askVol": 200,
        **more,
    }
    return messages("Qot_GetSecuritySnapshot").SnapshotBasicData(**fields)


def point(**more: Any) -> Any:
    fields = {
        "time": "2024-01-02 09:31:00",
        "minute": 571,
        "isBlank": False,
        "price": 10.5,
        "lastClosePrice": 10.25,
        "avgPrice": 10.0,
        "volume": 100,
        "turnover": 1050.0,
        **more,
    }
    return messages("Qot_Common").TimeShare(**fields)


def test_a_book_has_its_levels_best_first() -> None:
    """With how many orders stand at each."""
    s2c = pushed_book([level(10.1, 300, 4), level(10.0, 5)], [level(10.2, 100, 2)])
    assert decode.book(s2c) == Book.of(
        (Level(10.1, 300, 4), Level(10.0, 5, 1)), (Level(10.2, 100, 2),)
    )
    assert decode.book(pushed_book([], [])) == Book((), ())


def test_a_books_time_is_the_newer_of_both_sides() -> None:
    """Unknown when OpenD says 0."""
    told = {"svrRecvTimeBidTimestamp": 1.5, "svrRecvTimeAskTimestamp": 2.5}
    assert decode.book_time(pushed_book([], [], **told)) == 2500
    assert decode.book_time(pushed_book([], [])) is None


@pytest.mark.parametrize(
    ("volume", "precise", "size"), [(2, None, 2), (2, 2.5, 2.5), (0, 0.125, 0.125), (2, 3.0, 3)]
)
def test_the_precise_volume_counts_where_there_is_one(
    volume: int, precise: float | None, size: float
) -> None:
    """Fractional shares are exact, whole ones are ints."""
    more: dict[str, Any] = {} if precise is None else {"hpVolume": precise}
    [found] = decode.book(pushed_book([level(1, volume, **more)], [])).bids
    assert found.size == size
    assert type(found.size) is type(size)
    assert decode.volume(level(1, volume, **more)) == size
    assert type(decode.volume(level(1, volume, **more))) is type(size)


def test_levels_without_size_are_dropped_and_sides_are_in_order() -> None:
    """Whatever OpenD sends, a book is a book."""
    bids = [level(1, 5), level(2, 5), level(3, 0), level(4, -1)]
    book = decode.book(pushed_book(bids, [level(6, 5), level(5, 5)]))
    assert [item.price for item in book.bids] == [2, 1]
    assert [item.price for item in book.asks] == [5, 6]


def test_levels_of_one_price_are_joined() -> None:
    """No reader could make sense of two of them."""
    book = decode.book(pushed_book([level(2, 5, 1), level(2, 7, 3), level(1, 1)], []))
    assert book.bids == (Level(2, 12, 4), Level(1, 1, 1))


@pytest.mark.parametrize("bad", BAD)
def test_prices_that_json_cannot_carry_are_dropped(bad: float) -> None:
    """And their levels with them."""
    assert decode.book(pushed_book([level(bad, 5), level(1, 5)], [])).bids == (Level(1, 5, 1),)


@pytest.mark.parametrize("bad", BAD)
def test_sizes_that_json_cannot_carry_are_dropped(bad: float) -> None:
    """And their levels with them."""
    s2c = pushed_book([], [level(2, 5, hpVolume=bad), level(3, 5)])
    assert decode.book(s2c).asks == (Level(3, 5, 1),)


def test_the_orders_of_a_level_are_told_where_there_are_any() -> None:
    """First come first."""
    detailed = level(10, 300, 2)
    detailed.detailList.add(orderID=7, volume=100)
    detailed.detailList.add(orderID=8, volume=200)
    book = decode.book(pushed_book([detailed, level(9, 1)], []))
    assert book.bids == (
        DetailedLevel(10, 300, 2, (Order(7, 100), Order(8, 200))),
        Level(9, 1, 1),
    )


numbers = st.floats() | st.sampled_from([0.0, -0.0, 1.0, 2.0, 3.0, *BAD])
levels = st.builds(
    lambda price, volume, precise: level(
        price, volume, **({} if precise is None else {"hpVolume": precise})
    ),
    numbers,
    st.integers(-(2**63), 2**63 - 1),
    st.none() | numbers,
)


@given(st.lists(levels, max_size=8), st.lists(levels, max_size=8))
def test_whatever_comes_a_book_is_a_book(bids: list[Any], asks: list[Any]) -> None:
    """Each price once, best first, and every number one that JSON can carry."""
    book = decode.book(pushed_book(bids, asks))
    for one, other in pairwise(book.bids):
        assert one.price > other.price
    for one, other in pairwise(book.asks):
        assert one.price < other.price
    for found in book.bids + book.asks:
        assert abs(found.price) < MAX_NUMBER
        assert found.size > 0


@pytest.mark.parametrize(
    ("seconds", "ms"),
    [
        (1_700_000_000.123456, 1_700_000_000_123.456),
        (1.5, 1500),
        (0.0, None),
        (-1.0, None),
        (math.nan, None),
        (math.inf, None),
        (1e300, None),
        (1e308, None),
        (253_402_300_800.0, None),
    ],
)
def test_a_time_is_in_milliseconds(seconds: float, ms: float | None) -> None:
    """Unknown when OpenD says 0, or what is no time."""
    assert decode.milliseconds(seconds) == ms


@pytest.mark.parametrize(
    ("symbol", "ms"),
    [
        ("US.AAPL", 1_704_205_860_000),
        ("CA.X", 1_704_205_860_000),
        ("HK.00700", 1_704_159_060_000),
        ("SH.600000", 1_704_159_060_000),
        ("SG.D05", 1_704_159_060_000),
        ("JP.7203", 1_704_155_460_000),
        ("AU.BHP", 1_704_148_260_000),
        ("CC.BTCUSD", 1_704_187_860_000),
    ],
)
def test_a_time_that_is_text_is_the_markets_own(symbol: str, ms: float) -> None:
    """Where there is no timestamp."""
    assert decode.moment(point(), Symbol(symbol)) == ms


def test_a_timestamp_counts_before_a_text() -> None:
    """It leaves no doubt."""
    assert decode.moment(point(timestamp=1_700_000_000.5), US) == 1_700_000_000_500


def test_summer_time_is_known() -> None:
    """In July New York is four hours behind."""
    assert decode.moment(point(time="2024-07-02 09:31:00"), US) == 1_719_927_060_000


@pytest.mark.parametrize("text", ["", "soon", "09:31", "2024-13-01 00:00:00", "0000-00-00"])
def test_a_text_that_is_no_time_is_none(text: str) -> None:
    """OpenD may leave it out."""
    assert decode.moment(point(time=text), US) is None


def test_a_snapshot_makes_a_book_of_one_level() -> None:
    """As far as there is one on each side."""
    assert decode.snapshot_book(snapshot()) == Book((Level(10.4, 100),), (Level(10.6, 200),))
    precise = snapshot(hpBidVol=0.5, hpAskVol=2.0)
    assert decode.snapshot_book(precise) == Book((Level(10.4, 0.5),), (Level(10.6, 2),))
    assert decode.snapshot_book(snapshot(bidPrice=0.0, askVol=0)) == Book((), ())


@pytest.mark.parametrize("bad", BAD)
def test_a_snapshots_bad_numbers_make_no_level(bad: float) -> None:
    """Neither as prices nor as sizes."""
    assert decode.snapshot_book(snapshot(bidPrice=bad, hpAskVol=bad)) == Book((), ())


def test_brokers_stand_in_their_queues() -> None:
    """Best first, on both sides."""
    s2c = messages("Qot_UpdateBroker").S2C()
    s2c.brokerBidList.add(id=1, name="One", pos=1)
    s2c.brokerBidList.add(id=2, name="Two", pos=2)
    s2c.brokerAskList.add(id=3, name="Three", pos=1)
    assert decode.brokers(s2c) == Brokers(
        (Broker(1, "One", 1), Broker(2, "Two", 2)), (Broker(3, "Three", 1),)
    )


def test_brokers_of_the_sf_right_tell_their_orders() -> None:
    """Each one's number and shares; a number that JSON would round is text, and a 0 is one."""
    s2c = messages("Qot_UpdateBroker").S2C()
    s2c.brokerBidList.add(id=1, name="One", pos=1, orderID=2**53 + 1, volume=400)
    s2c.brokerBidList.add(id=1, name="One", pos=1, orderID=7, volume=0)
    s2c.brokerAskList.add(id=3, name="Three", pos=1)
    assert decode.brokers(s2c) == Brokers(
        (Broker(1, "One", 1, str(2**53 + 1), 400), Broker(1, "One", 1, 7, 0)),
        (Broker(3, "Three", 1),),
    )


@pytest.mark.parametrize("price", [0.0, -0.0])
def test_a_level_without_a_price_is_dropped(price: float) -> None:
    """Orders at market stand at none; a price below 0 is one."""
    s2c = pushed_book([level(-0.5, 3), level(price, 9)], [level(price, 700), level(500.2, 100)])
    assert decode.book(s2c) == Book((Level(-0.5, 3, 1),), (Level(500.2, 100, 1),))


def test_a_point_of_the_days_line_is_read() -> None:
    """With its beginning in whole milliseconds: OpenD dates it by its end."""
    assert decode.time_point(point(), HK) == TimePoint(
        time=1_704_159_000_000,
        price=10.5,
        average=10,
        prev_close=10.25,
        volume=100,
        turnover=1050,
    )


def test_a_point_leaves_out_what_opend_does_not_know() -> None:
    """An option has no average, which OpenD says as 0 or not at all."""
    for fields in ({"avgPrice": 0.0, "lastClosePrice": 0.0}, {"avgPrice": None}):
        found = decode.time_point(point(**fields), HK)
        assert found is not None
        assert found.average is None
    bare = messages("Qot_Common").TimeShare(time="2024-01-02 09:31:00", isBlank=False, price=1.0)
    found = decode.time_point(bare, HK)
    assert found == TimePoint(time=1_704_159_000_000, price=1)


@pytest.mark.parametrize("fields", [{"isBlank": True}, {"time": "soon"}, {"price": None}])
def test_a_point_that_holds_nothing_is_none(fields: dict[str, Any]) -> None:
    """It is blank, or has no price, or nobody knows when it was."""
    assert decode.time_point(point(**fields), HK) is None


def test_a_number_that_is_set_counts_also_at_zero() -> None:
    """One that isn't set, or that JSON can't carry, is unknown."""
    greeks = messages("Qot_Common").OptionBasicQotExData(delta=0.0, gamma=math.nan, vega=2.0)
    fields = ("delta", "gamma", "vega", "theta")
    assert [decode.given(greeks, field) for field in fields] == [0, None, 2, None]


@pytest.mark.parametrize(
    ("value", "number"),
    [(1.0, 1), (-0.0, 0), (0.5, 0.5), (2.0**53 - 1, 2**53 - 1), *((bad, 0) for bad in BAD)],
)
def test_numbers_are_finite_and_whole_ones_are_ints(value: float, number: Number) -> None:
    """0 stands for what isn't one."""
    assert decode.number(value) == number
    assert type(decode.number(value)) is type(number)
    assert str(decode.number(value)) == str(number)
