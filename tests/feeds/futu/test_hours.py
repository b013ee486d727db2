from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookcast.feeds.futu.hours import (
    FUTURES,
    MINUTE_MS,
    STOCKS,
    UNKNOWN,
    US_INDEXES,
    US_OPTIONS,
    US_STOCKS,
    Calendar,
    Hours,
    hours_of,
    period_date,
    period_end,
)
from bookcast.feeds.futu.markets import MARKETS, TIME_ZONES
from bookcast.model.topics import Symbol


def ms(symbol: str, text: str) -> float:
    """Return a time of a symbol's market in milliseconds since 1970."""
    zone = ZoneInfo(TIME_ZONES.get(symbol.partition(".")[0], "Asia/Hong_Kong"))
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000


@pytest.mark.parametrize(
    ("symbol", "hours"),
    [
        ("HK.00700", STOCKS["HK"]),
        ("HK.800000", STOCKS["HK"]),
        ("HK.BK1001", STOCKS["HK"]),
        ("HK.TCH260429C600000", STOCKS["HK"]),
        ("HK.HSI260429P20000", FUTURES["HK"]),
        ("HK.HSImain", FUTURES["HK"]),
        ("HK.MHI2604", FUTURES["HK"]),
        ("HK_FUTURE.999010", FUTURES["HK"]),
        ("US.AAPL", US_STOCKS[3]),
        ("US.BRK.B", US_STOCKS[3]),
        ("US.AAPL260914C332500", US_OPTIONS),
        ("US..DJI", US_INDEXES),
        ("US.ESmain", FUTURES["US"]),
        ("US.6E2606", FUTURES["US"]),
        ("SG.CNmain", FUTURES["SG"]),
        ("SG.D05", STOCKS["SG"]),
        ("JP.NK225main", FUTURES["JP"]),
        ("JP.7203", STOCKS["JP"]),
        ("CC.BTCUSD", STOCKS["CC"]),
        ("FX.USDCNH", UNKNOWN),
    ],
)
def test_the_code_tells_which_hours_a_symbol_has(symbol: str, hours: Hours) -> None:
    """Stocks, options, futures and indexes of one market have different ones."""
    assert hours_of(Symbol(symbol)) is hours


@pytest.mark.parametrize(("us_session", "first"), [(1, 570), (2, 240), (3, -240), (0, -240)])
def test_us_stocks_have_the_hours_that_are_subscribed(us_session: int, first: int) -> None:
    """As FUTU_SESSION says; without a word, all."""
    assert hours_of(Symbol("US.AAPL"), us_session).sessions[0][0][0] == first
    assert hours_of(Symbol("US.AAPL260914C332500"), us_session) is US_OPTIONS


def test_spans_are_in_order() -> None:
    """None begins before the one before has ended, and the day is among them."""
    for hours in (*STOCKS.values(), *FUTURES.values(), *US_STOCKS.values(), US_OPTIONS):
        minutes = [minute for spans in hours.sessions for span in spans for minute in span]
        assert minutes == sorted(minutes)
        assert hours.opens < hours.closes


@pytest.mark.parametrize(
    ("period", "day", "first", "last"),
    [
        ("1d", "2026-04-08", "2026-04-08", "2026-04-08"),
        ("1w", "2026-04-12", "2026-04-06", "2026-04-12"),
        ("1w", "2026-01-01", "2025-12-29", "2026-01-04"),
        ("1M", "2024-02-29", "2024-02-01", "2024-02-29"),
        ("1Q", "2026-12-31", "2026-10-01", "2026-12-31"),
        ("1Q", "2026-02-01", "2026-01-01", "2026-03-31"),
        ("1Y", "2024-07-01", "2024-01-01", "2024-12-31"),
        ("1Y", "2025-07-01", "2025-01-01", "2025-12-31"),
    ],
)
def test_a_period_has_a_first_and_a_last_day(period: str, day: str, first: str, last: str) -> None:
    """Weeks begin on Monday."""
    assert period_date(period, date.fromisoformat(day)) == date.fromisoformat(first)
    assert period_end(period, date.fromisoformat(first)) == date.fromisoformat(last)


@given(st.dates(), st.sampled_from(["1d", "1w", "1M", "1Q", "1Y"]))
def test_each_day_is_in_its_period(day: date, period: str) -> None:
    """And all days of a period have the same first one."""
    if day.year in {1, 9999}:
        return
    first = period_date(period, day)
    assert first <= day <= period_end(period, first)
    assert period_date(period, period_end(period, first)) == first


@pytest.mark.parametrize(
    ("symbol", "first", "last"),
    [
        ("HK.00700", "2026-05-01", ["29 00:00", "29 09:30", "29 16:10", "30 00:00"]),
        ("CC.BTCUSD", "2026-05-01", ["31 00:00", "31 00:00", "32 00:00", "32 00:00"]),
    ],
)
def test_the_last_day_of_a_period_is_one_of_trading(
    symbol: str, first: str, last: list[str]
) -> None:
    """By the calendar; crypto has no weekend."""
    calendar = Calendar(Symbol(symbol))

    def at(text: str) -> float:
        return ms(symbol, f"2026-05-{text}") if text[:2] != "32" else ms(symbol, "2026-06-01 00:00")

    found = calendar.last_day("1M", calendar.at(date.fromisoformat(first)))
    assert list(found) == [at(text) for text in last]


@pytest.mark.parametrize(
    ("symbol", "label", "end", "following"),
    [
        ("HK.00700", "11:40", "12:00", "13:00"),
        ("HK.00700", "12:00", "12:00", "13:00"),
        ("HK.00700", "13:00", "12:00", "13:00"),
        ("HK.00700", "15:59", "16:10", "33:30"),
        ("HK.00700", "16:08", "16:10", "33:30"),
        ("SH.600519", "14:57", "15:00", "33:30"),
        ("US.AAPL", "09:30", "09:30", "09:30"),
        ("US.AAPL", "16:00", "16:00", "16:00"),
        ("US.AAPL", "19:59", "20:00", "20:00"),
        ("US.AAPL", "20:01", "28:00", "28:00"),
        ("HK.HSImain", "16:30", "16:30", "17:15"),
        ("HK.HSImain", "02:59", "03:00", "09:15"),
        ("US.ESmain", "16:00", "17:00", "18:00"),
    ],
)
def test_a_label_belongs_to_a_span_that_ends(
    symbol: str, label: str, end: str, following: str
) -> None:
    """With its closing auction, and another one begins after it."""
    calendar = Calendar(Symbol(symbol))

    def at(text: str) -> float:
        hours, minutes = text.split(":")
        return float(calendar.at(date(2026, 4, 8), int(hours) * 60 + int(minutes)))

    assert calendar.session_end(at(label)) == (at(end), at(following))


@pytest.mark.parametrize(
    ("symbol", "label"),
    [("HK.00700", "08:00"), ("HK.00700", "20:00"), ("CC.BTCUSD", "12:00"), ("FX.USDCNH", "12:00")],
)
def test_outside_the_hours_a_candle_has_its_plain_length(symbol: str, label: str) -> None:
    """And nobody knows when its session ends."""
    calendar, at = Calendar(Symbol(symbol)), ms(symbol, f"2026-04-08 {label}")
    assert calendar.session_end(at) is None
    assert calendar.begin(at, 60) == at - 60 * MINUTE_MS
    assert calendar.end(at, 60) == at + 60 * MINUTE_MS


@given(
    symbol=st.sampled_from(["HK.00700", "SH.600519", "JP.7203", "MY.1155", "HK.HSImain"]),
    minute=st.integers(0, 24 * 60 - 1),
    length=st.sampled_from([1, 3, 5, 15, 30, 60, 120, 180, 240]),
)
def test_a_candle_has_its_length_of_trading_or_all_of_its_session(
    symbol: str, minute: int, length: int
) -> None:
    """Counted minute by minute; and the other way round it ends at its label."""
    calendar, day = Calendar(Symbol(symbol)), date(2026, 4, 8)
    traded = {
        begin for spans in calendar.hours.sessions for span in spans for begin in range(*span)
    }
    traded |= {begin - 24 * 60 for begin in traded}
    if minute - 1 not in traded:
        return
    label = calendar.at(day, minute)
    begin = (calendar.begin(label, length) - calendar.at(day)) / MINUTE_MS
    counted = sum(at in traded for at in range(round(begin), minute))
    opens = {start + away for (start, _), *_ in calendar.hours.sessions for away in (0, -24 * 60)}
    assert begin in traded
    assert counted == length or (counted < length and begin in opens)
    assert calendar.end(calendar.at(day, begin), counted) == label


def test_summer_time_is_reckoned_with() -> None:
    """Midnight in New York is another hour of the world's after it begins."""
    calendar = Calendar(Symbol("US.AAPL"))
    winter, summer = calendar.at(date(2026, 3, 8)), calendar.at(date(2026, 3, 9))
    assert summer - winter == 23 * 60 * MINUTE_MS


def test_every_market_has_a_calendar() -> None:
    """Also those whose hours aren't known."""
    for prefix in MARKETS:
        calendar = Calendar(Symbol(f"{prefix}.X"))
        assert calendar.at(calendar.date_of(0)) <= 0


def test_a_market_opens_soon_before_its_day() -> None:
    """Not when it has begun, and not where no hours are known."""
    calendar = Calendar(Symbol("HK.00700"))
    soon = [
        calendar.opens_soon(ms("HK.00700", f"2026-04-08 {at}"), 30)
        for at in ("08:59", "09:00", "09:29", "09:30", "16:20")
    ]
    assert soon == [False, True, True, False, False]
    assert not Calendar(Symbol("CC.BTCUSD")).opens_soon(0, 30)
