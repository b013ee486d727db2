from typing import Any

import msgspec
import pytest

from bookcast.errors import InvalidInput
from bookcast.ingest.futu_api.read import MAX_ROWS, read_vendor_form
from bookcast.ingest.publication import Rules
from bookcast.model.market_data import Brokers, Candle, Trades
from bookcast.model.updates import Publication

BOOK = {"code": "HK.00700", "Bid": [[336.6, 5400, 2, {}]], "Ask": [(336.8, 300, 1, {})]}
TICK = {"price": 1.5, "volume": 3, "ticker_direction": "SELL", "time": "2026-01-05 09:30:00"}
LINE = {
    "time_key": "2026-01-05 09:31:00",
    "open": 1,
    "high": 3,
    "low": 1,
    "close": 2,
    "volume": 5,
    "k_type": "K_1M",
}
BID = {"bid_broker_id": 1, "bid_broker_name": "One", "bid_broker_pos": 1}
ASK = {"ask_broker_id": 2, "ask_broker_name": "Two", "ask_broker_pos": 1}


def read(channel: str, source: Any, symbol: str | None = None, **more: Any) -> list[Publication]:
    rules = more.pop("rules", Rules("US"))
    made = read_vendor_form(channel, symbol, source, rules=rules, now_ms=99.0, **more)
    assert made is not None
    return made


def test_its_code_is_the_symbol_where_none_is_named() -> None:
    """Both may be there, in any spelling, if they are the same symbol."""
    assert str(read("orderbook", BOOK)[0].topic) == "orderbook:HK.00700"
    assert read("orderbook", BOOK, "HK.00700") == read("orderbook", BOOK)
    apple = {"code": "US.AAPL", "last_price": 1}
    assert str(read("quote", apple, "AAPL")[0].topic) == "quote:US.AAPL"
    assert str(read("quote", {"last_price": 1}, "AAPL")[0].topic) == "quote:US.AAPL"


@pytest.mark.parametrize(
    ("channel", "source", "symbol", "path"),
    [
        ("orderbook", BOOK, "HK.00005", "code"),
        ("orderbook", {"Bid": [], "Ask": []}, None, "symbol"),
        ("quote", {"code": "HK.", "last_price": 1}, None, "code"),
        ("quote", [{"code": "HK.00700", "last_price": 1}] * 2, "00700", "[0].code"),
        ("trades", [TICK, TICK | {"code": "US.TSLA"}], "AAPL", "[1].code"),
        ("brokers", {"bid": [BID], "ask": [ASK | {"code": "HK.1"}]}, "HK.2", "ask[0].code"),
        ("brokers", [BID | {"code": "HK.2"}, ASK | {"code": "HK.1"}], None, "ask[0].code"),
    ],
)
def test_another_symbol_or_none_is_refused(
    channel: str, source: Any, symbol: str | None, path: str
) -> None:
    """With the place of the code that differs."""
    with pytest.raises(InvalidInput) as caught:
        read(channel, source, symbol)
    assert (caught.value.code, caught.value.path) == ("invalid_symbol", path)


@pytest.mark.parametrize(
    ("channel", "source", "path"),
    [
        ("orderbook", {"code": "HK.1", "Bid": [[1, "x"]], "Ask": []}, "Bid[0][1]"),
        ("orderbook", {"code": "HK.1", "Bid": []}, "Ask"),
        ("orderbook", {"code": "HK.1", "Bid": [[1, 2]], "Ask": [["N/A", 1]]}, "Ask[0][0]"),
        ("orderbook", BOOK | {"order_book_type": "MIXED"}, "order_book_type"),
        ("orderbook", BOOK | {"svr_recv_time_bid": "soon"}, "svr_recv_time_bid"),
        ("quote", {"code": "HK.1", "last_price": "1"}, "last_price"),
        ("quote", [{"code": "HK.1", "last_price": 1}, {"code": "HK.1"}], "[1]"),
        ("quote", {"code": "HK.1", "name": "One"}, ""),
        ("quote", {"code": "HK.1", "sec_status": "MOON"}, "sec_status"),
        ("quote", {"code": "HK.1", "volume": -1}, "volume"),
        ("trades", [], ""),
        ("trades", [1], "[0]"),
        ("trades", [TICK, TICK | {"price": "N/A"}], "[1].price"),
        ("trades", TICK | {"ticker_direction": "UP"}, "ticker_direction"),
        ("trades", [TICK | {"type": "ODD"}], "[0].type"),
        ("trades", [TICK | {"time": "9:30"}], "[0].time"),
        ("trades", [TICK] * (MAX_ROWS + 1), ""),
        ("candles", [LINE, LINE | {"high": 1}], "[1].high"),
        ("candles", LINE | {"k_type": "K_7M"}, "k_type"),
        ("candles", LINE | {"k_type": "N/A"}, "period"),
        ("candles", {"code": "HK.1", "time_key": ""}, "time_key"),
        ("brokers", [], ""),
        ("brokers", [{"x": 1}], "bid[0].bid_broker_id"),
        ("brokers", {"bid": [], "ask": [BID]}, "ask[0].ask_broker_id"),
        ("brokers", {"bid": []}, "ask"),
        ("timeframe", [{"time": "2026-01-05 09:31:00", "cur_price": 1, "is_blank": True}], ""),
    ],
)
def test_what_is_wrong_is_named_as_futu_api_names_it(channel: str, source: Any, path: str) -> None:
    """In text and as objects alike, and nothing is published."""
    for form in (source, msgspec.json.encode(source)):
        with pytest.raises(InvalidInput) as caught:
            read(channel, form, "HK.1" if channel != "orderbook" else None)
        assert caught.value.path == path


def test_what_is_in_our_form_is_not_read_here() -> None:
    """The usual reader takes it."""
    rules = Rules("US")
    ours = {"bids": [], "asks": [], "code": "HK.00700"}
    assert read_vendor_form("orderbook", "A", ours, rules=rules, now_ms=0) is None


def test_a_book_of_odd_lots_is_a_topic_of_its_own() -> None:
    """Both come under one code."""
    [odd] = read("orderbook", BOOK | {"order_book_type": "ODD"})
    [usual] = read("orderbook", BOOK | {"order_book_type": "NORMAL"})
    assert (odd.topic.variant, usual.topic.variant) == ("odd", "")


def test_a_crossed_book_is_refused_where_those_are() -> None:
    """As in any other form."""
    crossed = {"code": "HK.1", "Bid": [[2, 1]], "Ask": [[1, 1]]}
    assert read("orderbook", crossed)
    with pytest.raises(InvalidInput, match=r"^Bid\[0\]\[0\]: 2 isn't below"):
        read("orderbook", crossed, rules=Rules("US", refuse_crossed=True))


def test_trades_of_each_symbol_are_published_together() -> None:
    """In their order; the newest says when the exchange saw them."""
    made = read(
        "trades",
        [TICK | {"code": "HK.1"}, TICK | {"code": "HK.2"}, TICK | {"code": "HK.1", "volume": 4}],
    )
    assert [str(one.topic) for one in made] == ["trades:HK.1", "trades:HK.2"]
    assert isinstance(made[0].data, Trades)
    assert [trade.size for trade in made[0].data.trades] == [3, 4]
    assert made[0].exchange_ms == made[0].data.trades[1].timestamp


@pytest.mark.parametrize(
    ("k_type", "beside", "period"),
    [
        ("K_60M", None, "1h"),
        ("k_day", None, "1d"),
        ("N/A", "5m", "5m"),
        ("N/A", "K_QUARTER", "1Q"),
        ("K_MON", "1M", "1M"),
    ],
)
def test_the_period_of_a_candle_is_told_in_either_way(
    k_type: str, beside: str | None, period: str
) -> None:
    """As futu-api spells it, or as bookcast does."""
    [made] = read("candles", LINE | {"k_type": k_type}, "HK.1", period=beside)
    assert made.topic.variant == period


def test_two_periods_of_one_candle_are_refused() -> None:
    """With both."""
    with pytest.raises(InvalidInput, match="k_type: K_1M in the data, 5m beside it"):
        read("candles", LINE, "HK.1", period="5m")
    with pytest.raises(InvalidInput, match="only candles have one"):
        read("orderbook", BOOK, period="5m")


def test_candles_are_published_oldest_first() -> None:
    """Whatever their order; the last row of a candle counts, and each series has a newest one."""
    later = LINE | {"time_key": "2026-01-05 09:32:00"}
    made = read("candles", [later, LINE, LINE | {"close": 3}, LINE | {"k_type": "K_5M"}], "HK.1")
    found = [
        (one.topic.variant, one.data.close, one.data.final)
        for one in made
        if isinstance(one.data, Candle)
    ]
    assert found == [("1m", 3, True), ("1m", 2, False), ("5m", 2, False)]


@pytest.mark.parametrize(
    "source", [{"bid": [BID], "ask": [ASK]}, [[BID], [ASK]], [BID, ASK], [ASK, BID]]
)
def test_brokers_may_be_tables_or_rows(source: Any) -> None:
    """The columns tell the side."""
    [made] = read("brokers", source, "HK.1")
    assert isinstance(made.data, Brokers)
    assert [broker.name for broker in (*made.data.bids, *made.data.asks)] == ["One", "Two"]


def test_one_row_is_one_side_of_the_queue() -> None:
    """The other one is empty then."""
    [made] = read("brokers", BID, "HK.1")
    assert isinstance(made.data, Brokers)
    assert (len(made.data.bids), made.data.asks) == (1, ())


def test_a_broker_may_have_no_name() -> None:
    """OpenD doesn't know all of them."""
    [made] = read("brokers", [BID | {"bid_broker_name": ""}], "HK.1")
    assert isinstance(made.data, Brokers)
    assert made.data.bids[0].name == ""


def test_minutes_without_data_are_left_out() -> None:
    """Where there are others."""
    minute = {"time": "2026-01-05 09:31:00", "cur_price": 1, "is_blank": False}
    made = read("timeframe", [minute, minute | {"is_blank": True}], "HK.1")
    assert len(made) == 1


def test_what_is_nested_too_deeply_is_refused() -> None:
    """Instead of failing."""
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidInput, match="nested too deeply"):
        read("orderbook", BOOK | {"Bid": deep})
