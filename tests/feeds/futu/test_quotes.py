from __future__ import annotations

import math
from typing import Any

import pytest

from bookcast.feeds.futu import quotes
from bookcast.feeds.futu.schema import messages
from bookcast.model.market_data import (
    ExtendedQuote,
    FutureFigures,
    OptionFigures,
    Quote,
    WarrantFigures,
)

BAD = [math.nan, math.inf, -math.inf, 2.0**53, -(2.0**53)]
FIGURES = {
    "curPrice": 10.5,
    "openPrice": 10.0,
    "highPrice": 11.0,
    "lowPrice": 9.5,
    "lastClosePrice": 10.25,
    "volume": 1000,
    "turnover": 10500.5,
}
OPTION = {
    "strikePrice": 332.5,
    "contractSize": 100,
    "openInterest": 512,
    "impliedVolatility": 31.5,
    "premium": 4.25,
    "delta": 0.0,
    "gamma": 0.01,
    "vega": 0.2,
    "theta": -0.05,
    "rho": 0.0,
}


def basic(**more: Any) -> Any:
    return messages("Qot_Common").BasicQot(**({"isSuspended": False} | FIGURES | more))


def snapshot(parts: dict[str, Any] | None = None, **more: Any) -> Any:
    fields = {"isSuspend": False, "bidPrice": 10.4, "askPrice": 10.6} | FIGURES | more
    module = messages("Qot_GetSecuritySnapshot")
    return module.Snapshot(basic=module.SnapshotBasicData(**fields), **(parts or {}))


def extended(price: float | None = 9.5, **more: Any) -> Any:
    return messages("Qot_Common").PreAfterMarketData(price=price, **more)


def empty(**more: Any) -> Any:
    """Make the first push of a symbol as the documents print it: all 0, and no time."""
    zeros = {**dict.fromkeys(FIGURES, 0), "turnoverRate": 0.0, "amplitude": 0.0}
    told = {"name": "TENCENT", "listTime": "", "priceSpread": 0.0, "updateTime": ""}
    quiet = {"isSuspended": False, "darkStatus": 0, "secStatus": 1, "updateTimestamp": 0.0}
    return messages("Qot_Common").BasicQot(**(zeros | told | quiet | more))


def test_a_quote_has_the_basic_figures() -> None:
    """Whole numbers are ints; it has no bid and ask."""
    quote = quotes.quote(basic(), "regular")
    assert quote == Quote(
        last=10.5,
        open=10,
        high=11,
        low=9.5,
        prev_close=10.25,
        volume=1000,
        turnover=10500.5,
        suspended=False,
        session="regular",
    )
    assert type(quote.open) is int


def test_a_price_of_zero_is_none() -> None:
    """OpenD says so before the first trade of a day; a volume of 0 is one."""
    quote = quotes.quote(basic(curPrice=0.0, openPrice=0.0, volume=0, turnover=0.0), None)
    assert (quote.last, quote.open, quote.volume, quote.turnover) == (None, None, 0, 0)


def test_a_quote_has_rates_its_tick_and_its_name() -> None:
    """Percentages as OpenD sends them: 31.5 is 31.5 %."""
    told = {"turnoverRate": 0.0, "amplitude": 31.5, "priceSpread": 0.2, "name": "Tencent"}
    quote = quotes.quote(basic(**told), None)
    found = (quote.turnover_rate, quote.amplitude, quote.tick_size, quote.name)
    assert found == (0, 31.5, 0.2, "Tencent")
    without = quotes.quote(basic(priceSpread=0.0, name=""), None)
    assert (without.turnover_rate, without.tick_size, without.name) == (None, None, None)


@pytest.mark.parametrize(
    ("fields", "suspended"),
    [
        ({}, False),
        ({"isSuspended": True}, True),
        *(({"secStatus": status}, False) for status in (0, 1, 6, 8, 20, 21, 99)),
        *(({"secStatus": status}, True) for status in (2, 5, 7, 9, 10, 13, 17, 18, 19)),
    ],
)
def test_a_suspended_quote_says_so(fields: dict[str, Any], suspended: bool) -> None:
    """By the flag or by the status."""
    assert quotes.quote(basic(**fields), None).suspended is suspended
    if "isSuspended" in fields:
        fields = {"isSuspend": fields["isSuspended"]}
    assert quotes.snapshot_quote(snapshot(**fields), None).suspended is suspended


@pytest.mark.parametrize(
    ("fields", "word", "dark"),
    [
        ({"secStatus": 1}, "normal", None),
        ({"secStatus": 18}, "circuit_breaker", None),
        ({"secStatus": 6}, "grey_market", "trading"),
        ({"secStatus": 5, "darkStatus": 0}, "before_grey_market", "pending"),
        ({"secStatus": 1, "darkStatus": 1}, "normal", "trading"),
        ({"darkStatus": 2}, None, "ended"),
        ({"secStatus": 0}, None, None),
        ({"secStatus": 99}, None, None),
    ],
)
def test_the_status_is_a_word(fields: dict[str, Any], word: str | None, dark: str | None) -> None:
    """And the grey market has one of its own; numbers that aren't known have none."""
    quote = quotes.quote(basic(**fields), None)
    assert (quote.security_status, quote.dark) == (word, dark)


def test_the_hours_around_the_usual_ones_have_figures_of_their_own() -> None:
    """As far as OpenD sets them; a change of 0 is one."""
    data = basic(
        preMarket=extended(
            9.5, highPrice=10.0, lowPrice=9.0, volume=5, turnover=47.5, changeVal=0.0
        ),
        overnight=extended(8.0, changeVal=-2.25, changeRate=-21.95, amplitude=0.5),
    )
    quote = quotes.quote(data, "pre")
    assert quote.pre == ExtendedQuote(last=9.5, high=10, low=9, volume=5, turnover=47.5, change=0)
    assert quote.overnight == ExtendedQuote(last=8, change=-2.25, change_rate=-21.95, amplitude=0.5)
    assert quote.after is None


@pytest.mark.parametrize("price", [None, 0.0])
def test_after_hours_may_have_a_volume_and_no_price(price: float | None) -> None:
    """The STAR market's do. Without a price there is no change either."""
    star = extended(price, volume=1200, turnover=60_000.0, changeVal=None)
    quote = quotes.quote(basic(afterMarket=star), None)
    assert quote.after == ExtendedQuote(volume=1200, turnover=60_000)
    blank = extended(0.0, volume=0, changeVal=0.0, changeRate=0.0, amplitude=0.0)
    assert quotes.quote(basic(preMarket=blank), None).pre == ExtendedQuote(volume=0)
    assert quotes.quote(basic(preMarket=extended(0.0)), None).pre is None


@pytest.mark.parametrize("bad", BAD)
def test_figures_that_json_cannot_carry_are_unknown(bad: float) -> None:
    """The others are told."""
    option = messages("Qot_Common").OptionBasicQotExData(**(OPTION | {"delta": bad}))
    quote = quotes.quote(basic(curPrice=bad, turnover=bad, optionExData=option), None)
    assert quote.last is None
    assert quote.turnover == 0
    assert quote.high == 11
    assert quote.option is not None
    assert (quote.option.delta, quote.option.gamma) == (None, 0.01)


def test_a_snapshot_makes_a_quote_with_bid_and_ask() -> None:
    """Else it is as any other."""
    quote = quotes.snapshot_quote(snapshot(hpVolume=0.5), "after")
    assert (quote.bid, quote.ask, quote.volume, quote.session) == (10.4, 10.6, 0.5, "after")
    without = quotes.snapshot_quote(snapshot(bidPrice=0.0), None)
    assert (without.bid, without.ask) == (None, 10.6)


def test_an_option_has_its_figures() -> None:
    """Also those that are 0; what is for other exchanges is absent."""
    data = messages("Qot_Common").OptionBasicQotExData(
        **OPTION, expiryDateDistance=0, optionAreaType=1, contractMultiplier=100.0
    )
    us = quotes.quote(basic(optionExData=data), None).option
    assert us == OptionFigures(
        strike=332.5,
        multiplier=100,
        size=100,
        oi=512,
        iv=31.5,
        premium=4.25,
        delta=0,
        gamma=0.01,
        vega=0.2,
        theta=-0.05,
        rho=0,
        days_left=0,
        style="american",
    )
    data.contractSizeFloat, data.netOpenInterest, data.optionAreaType = 0.5, -3, 2
    data.expiryDateDistance = -1
    hk = quotes.quote(basic(optionExData=data), None).option
    assert hk is not None
    assert (hk.size, hk.net_oi, hk.style, hk.days_left) == (0.5, -3, "european", -1)
    assert quotes.quote(basic(), None).option is None


def test_a_future_has_its_figures() -> None:
    """Its settlement, its open interest, and how that changed."""
    data = messages("Qot_Common").FutureBasicQotExData(
        lastSettlePrice=18_000.5, position=90_000, positionChange=0, expiryDateDistance=21
    )
    quote = quotes.quote(basic(futureExData=data), None)
    assert quote.future == FutureFigures(prev_settle=18_000.5, oi=90_000, oi_change=0, days_left=21)


def test_a_warrant_has_its_figures() -> None:
    """A bull or bear certificate has no delta."""
    data = messages("Qot_Common").WarrantBasicQotExData(premium=0.0)
    assert quotes.quote(basic(warrantExData=data), None).warrant == WarrantFigures(premium=0)
    data.delta, data.impliedVolatility = 0.4, 52.1
    assert quotes.quote(basic(warrantExData=data), None).warrant == WarrantFigures(
        delta=0.4, iv=52.1, premium=0
    )


def test_a_snapshot_has_the_figures_of_its_kind_too() -> None:
    """They stand beside its basic ones; a future's doesn't have the days that are left."""
    module = messages("Qot_GetSecuritySnapshot")
    option = module.OptionSnapshotExData(strikePrice=5.0, delta=0.0, expiryDateDistance=3)
    future = module.FutureSnapshotExData(lastSettlePrice=7.0, position=2, positionChange=-1)
    warrant = module.WarrantSnapshotExData(delta=0.5, impliedVolatility=20.0, premium=1.0)
    parts = {"optionExData": option, "futureExData": future, "warrantExData": warrant}
    quote = quotes.snapshot_quote(snapshot(parts), None)
    assert quote.option == OptionFigures(strike=5, delta=0, days_left=3)
    assert quote.future == FutureFigures(prev_settle=7, oi=2, oi_change=-1)
    assert quote.warrant == WarrantFigures(delta=0.5, iv=20, premium=1)


def test_the_documented_first_push_holds_nothing() -> None:
    """Though it has a name, a status and parts of zeros."""
    assert quotes.is_empty(empty())
    assert quotes.is_empty(empty(preMarket=extended(0.0, volume=0), priceSpread=0.01))
    assert quotes.is_empty(messages("Qot_Common").BasicQot())


@pytest.mark.parametrize(
    "fields",
    [
        {"updateTime": "2026-04-08 09:20:00"},
        {"updateTimestamp": 1.5},
        {"isSuspended": True},
        {"secStatus": 2},
        {"darkStatus": 1},
        {"lastClosePrice": 380.2},
        {"volume": 1},
        {"hpVolume": 0.5},
        {"preMarket": extended(0.0, volume=10)},
        {"optionExData": messages("Qot_Common").OptionBasicQotExData(strikePrice=5.0)},
    ],
)
def test_whatever_says_something_is_not_empty(fields: dict[str, Any]) -> None:
    """Any figure, a time, or why the symbol isn't traded."""
    assert not quotes.is_empty(empty(**fields))
