"""Decodes OpenD's quotes and snapshots into quotes of the model.

A field that OpenD sets counts, also if it is 0: an option's delta may be 0. Prices are the
exception: OpenD writes 0 where it has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bookcast.feeds.futu.decode import given, number, price, volume
from bookcast.feeds.futu.security_status import STATUSES, grey_market, halt
from bookcast.model.market_data import (
    ExtendedQuote,
    FutureFigures,
    OptionFigures,
    OptionStyle,
    Quote,
    TradingSession,
    WarrantFigures,
)
from bookcast.model.numbers import Number

_STYLES: Final[Mapping[int, OptionStyle]] = {1: "american", 2: "european", 3: "bermudan"}
"""``Qot_Common.OptionAreaType``."""

_FIGURES: Final = (
    *("curPrice", "openPrice", "highPrice", "lowPrice", "lastClosePrice"),
    *("volume", "hpVolume", "turnover", "turnoverRate", "amplitude"),
)
_PARTS: Final = (
    *("preMarket", "afterMarket", "overnight"),
    *("optionExData", "futureExData", "warrantExData"),
)


def is_empty(basic: Any) -> bool:
    """Return whether a ``BasicQot`` is empty, as the first push of a symbol may be.

    All its figures are 0 and it has no time. One that says that the symbol isn't traded counts as
    not empty.
    """
    return not (
        basic.updateTime
        or basic.updateTimestamp > 0
        or basic.isSuspended
        or basic.secStatus > 1
        or basic.darkStatus
        or any(getattr(basic, field) for field in _FIGURES)
        or any(value for part in _PARTS for _, value in getattr(basic, part).ListFields())
    )


def quote(basic: Any, session: TradingSession | None) -> Quote:
    """Return the quote of a ``Qot_Common.BasicQot``, without bid and ask, which the book has."""
    return _quote(basic, basic, session, suspended=basic.isSuspended)


def snapshot_quote(snapshot: Any, session: TradingSession | None) -> Quote:
    """Return the quote of a ``Qot_GetSecuritySnapshot.Snapshot``, with the best bid and ask."""
    basic = snapshot.basic
    bid, ask = price(basic.bidPrice), price(basic.askPrice)
    return _quote(basic, snapshot, session, suspended=basic.isSuspend, bid=bid, ask=ask)


def _quote(
    basic: Any,
    parts: Any,
    session: TradingSession | None,
    *,
    suspended: bool,
    bid: Number | None = None,
    ask: Number | None = None,
) -> Quote:
    """Return a quote. ``parts``: the message with the figures of options, futures and warrants."""
    return Quote(
        last=price(basic.curPrice),
        open=price(basic.openPrice),
        high=price(basic.highPrice),
        low=price(basic.lowPrice),
        prev_close=price(basic.lastClosePrice),
        volume=volume(basic),
        turnover=number(basic.turnover),
        bid=bid,
        ask=ask,
        suspended=halt(basic, suspended=suspended) is not None,
        session=session,
        pre=_extended(basic, "preMarket"),
        after=_extended(basic, "afterMarket"),
        overnight=_extended(basic, "overnight"),
        turnover_rate=given(basic, "turnoverRate"),
        amplitude=given(basic, "amplitude"),
        tick_size=price(basic.priceSpread),
        name=basic.name or None,
        security_status=STATUSES.get(basic.secStatus),
        dark=grey_market(basic),
        option=_option(parts.optionExData) if parts.HasField("optionExData") else None,
        future=_future(parts.futureExData) if parts.HasField("futureExData") else None,
        warrant=_warrant(parts.warrantExData) if parts.HasField("warrantExData") else None,
    )


def _extended(basic: Any, field: str) -> ExtendedQuote | None:
    """Return the figures of a session outside regular hours. The STAR market has no price there."""
    if not basic.HasField(field):
        return None
    data = getattr(basic, field)
    # A price of 0 means none. Then the change is meaningless too.
    priced = not data.HasField("price") or data.price != 0
    hours = ExtendedQuote(
        last=price(data.price),
        high=price(data.highPrice),
        low=price(data.lowPrice),
        volume=given(data, "volume"),
        turnover=given(data, "turnover"),
        change=given(data, "changeVal") if priced else None,
        change_rate=given(data, "changeRate") if priced else None,
        amplitude=given(data, "amplitude") if priced else None,
    )
    return hours if hours != ExtendedQuote() else None


def _option(data: Any) -> OptionFigures:
    """Return an option's figures. Quotes and snapshots use the same names."""
    precise_size = given(data, "contractSizeFloat")
    return OptionFigures(
        strike=given(data, "strikePrice"),
        multiplier=given(data, "contractMultiplier"),
        size=given(data, "contractSize") if precise_size is None else precise_size,
        oi=given(data, "openInterest"),
        net_oi=given(data, "netOpenInterest"),
        iv=given(data, "impliedVolatility"),
        premium=given(data, "premium"),
        delta=given(data, "delta"),
        gamma=given(data, "gamma"),
        vega=given(data, "vega"),
        theta=given(data, "theta"),
        rho=given(data, "rho"),
        days_left=_days_left(data),
        style=_STYLES.get(data.optionAreaType),
    )


def _future(data: Any) -> FutureFigures:
    return FutureFigures(
        prev_settle=price(data.lastSettlePrice),
        oi=given(data, "position"),
        oi_change=given(data, "positionChange"),
        days_left=_days_left(data),
    )


def _warrant(data: Any) -> WarrantFigures:
    return WarrantFigures(
        delta=given(data, "delta"),
        iv=given(data, "impliedVolatility"),
        premium=given(data, "premium"),
    )


def _days_left(data: Any) -> int | None:
    """Return the days until expiry. A future's snapshot doesn't have them."""
    field = "expiryDateDistance"
    known = field in data.DESCRIPTOR.fields_by_name and data.HasField(field)
    return data.expiryDateDistance if known else None
