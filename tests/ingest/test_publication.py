import math
from typing import Any

import msgspec
import pytest

from bookcast.errors import InvalidInput
from bookcast.ingest.publication import Rules, parse_publication
from bookcast.model.market_data import (
    Broker,
    Brokers,
    Candle,
    ExtendedQuote,
    FutureFigures,
    OptionFigures,
    Quote,
    Trade,
    Trades,
    WarrantFigures,
)
from bookcast.model.updates import Publication

NOON = 1_700_000_043_210
CANDLE = {"time": 1_700_000_040_000, "open": 2, "high": 3, "low": 1, "close": 2.5, "volume": 10}
BROKERS = {"bids": [{"id": 1, "name": "One", "pos": 1}], "asks": []}


def parse(channel: str, data: Any, period: str | None = None) -> Publication:
    return parse_publication(channel, "AAPL", data, rules=Rules("US"), now_ms=99.0, period=period)


def test_a_publication_names_its_topic_and_when_the_exchange_saw_it() -> None:
    """The symbol is canonical from here on."""
    made = parse("orderbook", {"bids": [], "asks": [], "timestamp": "2023-11-14T22:13:20Z"})
    assert str(made.topic) == "orderbook:US.AAPL"
    assert (made.exchange_ms, made.feed_ms) == (1_700_000_000_000.0, None)


def test_trades_are_normalised() -> None:
    """A side and a moment each; without one, now."""
    data = {
        "trades": [
            {"price": 10.5, "size": 3},
            {"price": 10, "size": 0.5, "side": "sell", "timestamp": "2023-11-14T22:13:20Z"},
            {"price": 9, "size": 1, "side": "buy", "timestamp": NOON, "id": "x", "backfill": True},
        ]
    }
    assert parse("trades", data).data == Trades(
        (
            Trade(10.5, 3, "neutral", 99.0),
            Trade(10, 0.5, "sell", 1_700_000_000_000),
            Trade(9, 1, "buy", NOON, "x", backfill=True),
        )
    )


def test_a_quote_holds_what_is_known() -> None:
    """Whole numbers stay whole, and -0 is 0."""
    assert parse("quote", {"last": 5, "open": -0.0, "suspended": False}).data == Quote(
        last=5, open=0, suspended=False
    )


@pytest.mark.parametrize(("beside", "inside"), [("1m", None), (None, "1m"), ("1m", "1m")])
def test_a_candle_has_its_period_beside_it_or_inside(
    beside: str | None, inside: str | None
) -> None:
    """The period is part of the topic."""
    made = parse("candles", CANDLE | ({"period": inside} if inside else {}), beside)
    assert str(made.topic) == "candles:US.AAPL:1m"
    assert made.data == Candle(
        time=1_700_000_040_000, open=2, high=3, low=1, close=2.5, volume=10, final=False
    )


@pytest.mark.parametrize("condition", ["odd_lot", "x", "0", "a" * 32, "derivatively_priced_2"])
def test_a_trade_may_have_any_condition(condition: str) -> None:
    """One word; and what else a feed knows of a trade."""
    given = {"condition": condition, "condition_sign": -1, "updates_last": False, "turnover": 0}
    made = parse("trades", {"trades": [{"price": 1, "size": 2, "timestamp": NOON} | given]})
    trade = Trade(
        *(1, 2, "neutral", NOON),
        condition=condition,
        condition_sign=-1,
        updates_last=False,
        turnover=0,
    )
    assert made.data == Trades((trade,))


def test_a_trade_that_updates_the_last_price_need_not_say_so() -> None:
    """On the wire it is absent."""
    made = parse("trades", {"trades": [{"price": 1, "size": 2, "updates_last": True}]})
    assert b"updates_last" not in msgspec.json.encode(made.data)


def test_a_quote_may_have_everything_that_a_feed_knows() -> None:
    """Its parts too, with their zeros."""
    data = {
        "turnover_rate": 0,
        "amplitude": 31.5,
        "tick_size": 0.01,
        "name": "Apple",
        "security_status": "circuit_breaker",
        "dark": "trading",
        "after": {"volume": 5, "change": -0.0, "change_rate": -1.5, "amplitude": 2},
        "option": {"strike": 5, "delta": 0, "days_left": -1, "style": "european"},
        "future": {"prev_settle": -37.63, "oi": 7, "oi_change": -1},
        "warrant": {"iv": 20.5},
    }
    assert parse("quote", data).data == Quote(
        turnover_rate=0,
        amplitude=31.5,
        tick_size=0.01,
        name="Apple",
        security_status="circuit_breaker",
        dark="trading",
        after=ExtendedQuote(volume=5, change=0, change_rate=-1.5, amplitude=2),
        option=OptionFigures(strike=5, delta=0, days_left=-1, style="european"),
        future=FutureFigures(prev_settle=-37.63, oi=7, oi_change=-1),
        warrant=WarrantFigures(iv=20.5),
    )


def test_a_final_candle_may_be_revised() -> None:
    """And tell the close before it."""
    given = CANDLE | {"final": True, "revised": True, "prev_close": 1.5}
    made = parse("candles", given, "1m").data
    assert isinstance(made, Candle)
    assert (made.final, made.revised, made.prev_close) == (True, True, 1.5)


def test_minus_zero_is_zero_everywhere() -> None:
    """JavaScript would print it like that."""
    made = parse("candles", CANDLE | {"volume": -0.0, "open": -0.0, "low": -0.0}, "1m").data
    assert "-0" not in msgspec.json.encode(made).decode()
    made = parse("trades", {"trades": [{"price": -0.0, "size": -0.0, "turnover": -0.0}]}).data
    assert "-0" not in msgspec.json.encode(made).decode()


def test_brokers_are_kept_in_their_order() -> None:
    """Both sides."""
    assert parse("brokers", BROKERS).data == Brokers((Broker(1, "One", 1),), ())
    ordered = {"bids": [], "asks": [{"id": 1, "name": "One", "pos": 1, "order": "x", "size": 400}]}
    assert parse("brokers", ordered).data == Brokers((), (Broker(1, "One", 1, "x", 400),))


@pytest.mark.parametrize(
    ("channel", "data", "period", "code", "path"),
    [
        ("books", {}, None, "unknown_channel", "channel"),
        ("orderbook", {"bids": [], "asks": []}, "1m", "invalid_message", "period"),
        ("quote", {}, None, "invalid_data", ""),
        ("quote", {"lst": 5}, None, "invalid_data", ""),
        ("quote", {"last": "5"}, None, "invalid_data", "last"),
        ("quote", {"volume": -1}, None, "invalid_data", "volume"),
        ("quote", {"last": float("nan")}, None, "invalid_data", "last"),
        ("quote", b'{"last":Infinity}', None, "invalid_data", "last"),
        ("quote", b"{", None, "invalid_json", ""),
        ("trades", {"trades": []}, None, "invalid_data", "trades"),
        ("trades", {"trades": [{"price": 1}]}, None, "invalid_data", "trades[0].size"),
        (
            "trades",
            {"trades": [{"price": 1, "size": 1, "side": "up"}]},
            None,
            "invalid_data",
            "trades[0].side",
        ),
        (
            "trades",
            {"trades": [{"price": 1, "size": 1, "timestamp": "noon"}]},
            None,
            "invalid_data",
            "trades[0].timestamp",
        ),
        *(
            (
                "trades",
                {"trades": [{"price": 1, "size": 1, "condition": condition}]},
                None,
                "invalid_data",
                "trades[0].condition",
            )
            for condition in ("Odd_Lot", "odd lot", "", "a" * 33, "odd_lot\n", "late!", 6)
        ),
        (
            "trades",
            {"trades": [{"price": 1, "size": 1, "updates_last": 0}]},
            None,
            "invalid_data",
            "trades[0].updates_last",
        ),
        ("quote", {"security_status": "Normal"}, None, "invalid_data", "security_status"),
        ("quote", {"dark": "yes"}, None, "invalid_data", "dark"),
        ("quote", {"option": {"delta": "0"}}, None, "invalid_data", "option.delta"),
        ("quote", {"future": {"oi": -1}}, None, "invalid_data", "future.oi"),
        ("candles", CANDLE | {"revised": True}, "1m", "invalid_data", "final"),
        ("candles", CANDLE, None, "invalid_message", "period"),
        ("candles", CANDLE, "2m", "invalid_message", "period"),
        ("candles", CANDLE | {"period": "1h"}, "1m", "invalid_data", "period"),
        ("candles", CANDLE | {"high": 2.4}, "1m", "invalid_data", "high"),
        ("candles", CANDLE | {"low": 2.1}, "1m", "invalid_data", "low"),
        ("candles", CANDLE | {"time": "x"}, "1m", "invalid_data", "time"),
        (
            "brokers",
            BROKERS | {"asks": [{"id": 1, "name": 2, "pos": 1}]},
            None,
            "invalid_data",
            "asks[0].name",
        ),
    ],
)
def test_wrong_data_are_refused_with_the_path_of_the_fault(
    channel: str, data: Any, period: str | None, code: str, path: str
) -> None:
    """Types, ranges, and figures that can't be together."""
    with pytest.raises(InvalidInput) as caught:
        parse(channel, data, period)
    assert (caught.value.code, caught.value.path) == (code, path)


def test_a_condition_that_is_no_word_is_refused_in_plain_words() -> None:
    """Nobody has to read a pattern."""
    with pytest.raises(InvalidInput, match="condition: expected a word of 1 to 32 of a-z, 0-9"):
        parse("trades", {"trades": [{"price": 1, "size": 1, "condition": "Odd lot"}]})


@pytest.mark.parametrize(
    ("channel", "data", "period", "written"),
    [
        (
            "Trades",
            {"trades": [{"price": 5.0, "size": 1e3, "side": "Neutral"}]},
            None,
            '"price":5,',
        ),
        ("quote", {"last": 1.0, "dark": "ENDED", "warrant": {"iv": 30.0}}, None, '{"iv":30}'),
        ("candles", CANDLE | {"volume": 7.0}, "1D", '"volume":7'),
        ("candles", CANDLE | {"period": "1y"}, None, '"final"'),
        ("BROKERS", BROKERS | {"asks": [{"id": 2.0, "name": "a", "pos": 1.0}]}, None, '"pos":1}'),
    ],
)
def test_whole_numbers_and_words_in_any_case_are_taken(
    channel: str, data: Any, period: str | None, written: str
) -> None:
    """What is kept is written exactly."""
    found = parse(channel, data, period)
    assert found.topic.channel == channel.lower()
    assert written in msgspec.json.encode(found.data).decode()


@pytest.mark.parametrize("period", ["3M", "5M", "15M", "1Min", "2H0"])
def test_months_are_not_taken_for_minutes(period: str) -> None:
    """A candle of three months is no candle of three minutes."""
    for data, beside in ((CANDLE, period), (CANDLE | {"period": period}, None)):
        with pytest.raises(InvalidInput, match=r"^period"):
            parse("candles", data, beside)


@pytest.mark.parametrize(
    ("prices", "high", "low"),
    [((0.3, 0.3, 0.2, 0.1 + 0.2), 0.1 + 0.2, 0.2), ((0.3, 0.4, 0.1 + 0.2, 0.35), 0.4, 0.3)],
)
def test_a_bound_that_misses_a_price_by_one_bit_becomes_that_price(
    prices: tuple[float, float, float, float], high: float, low: float
) -> None:
    """As resampling leaves it; two bits are too many."""
    candle = CANDLE | dict(zip(("open", "high", "low", "close"), prices, strict=True))
    found = parse("candles", candle, "1m").data
    assert isinstance(found, Candle)
    assert (found.high, found.low) == (high, low)
    further = math.nextafter(math.nextafter(max(prices), 2), 2)
    with pytest.raises(InvalidInput):
        parse("candles", candle | {"high": max(prices), "close": further}, "1m")
