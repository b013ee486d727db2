"""Writes the store's data into the vendor's messages, for answers and pushes alike."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from tests.fakes.opend.store import Json, Store
from tests.fakes.opend.wire import PERIODS, name_security

FORWARD = 1
"""Qot_Common.RehabType: how the candles that are pushed are adjusted."""

ZONES = {
    "US": "America/New_York",
    "CA": "America/Toronto",
    "JP": "Asia/Tokyo",
    "AU": "Australia/Sydney",
    "FX": "UTC",
    "CC": "UTC",
    "EC": "America/New_York",
}
"""Times are told in the market's own zone; that of the others is Hong Kong's."""


def fill_book(s2c: Any, store: Store, book: Json, depth: int | None, *, detailed: bool) -> None:
    """Write an order book, with its single orders if it is to be detailed."""
    _head(s2c, store, book["code"], book)
    for side, levels in (
        (s2c.orderBookBidList, book["bids"]),
        (s2c.orderBookAskList, book["asks"]),
    ):
        for price, size, orders, *details in levels[:depth]:
            level = side.add(price=price, orederCount=orders)
            _set_volume(level, size)
            for order, volume in details[0] if detailed and details else ():
                level.detailList.add(orderID=order, volume=volume)
    if "time" in book:
        s2c.svrRecvTimeBidTimestamp = book["time"]
    if "type" in book:
        s2c.orderBookType = book["type"]


def fill_quotes(s2c: Any, store: Store, quotes: Iterable[Json]) -> None:
    """Write quotes."""
    for quote in quotes:
        code = quote["code"]
        basic = s2c.basicQotList.add(
            isSuspended=quote.get("suspended", False),
            listTime="",
            priceSpread=store.spread(code, quote),
            updateTime="",
            secStatus=quote.get("status", 1),
        )
        _head(basic, store, code, quote)
        _fill_prices(basic, quote)
        if "dark" in quote:
            basic.darkStatus = quote["dark"]
        _fill_parts(basic, quote)
        if "time" in quote:
            basic.updateTime, basic.updateTimestamp = _written(code, quote["time"]), quote["time"]


def fill_trades(s2c: Any, store: Store, code: str, trades: Iterable[Json], kind: int) -> None:
    """Write trades; the kind is a Qot_Common.PushDataType."""
    _head(s2c, store, code)
    for trade in trades:
        ticker = s2c.tickerList.add(
            time=_written(code, trade["time"], precise=True),
            sequence=trade["sequence"],
            dir=trade["dir"],
            price=trade["price"],
            turnover=trade.get("turnover", trade["price"] * trade["size"]),
            recvTime=time.time(),
            type=trade.get("type", 1),
            pushDataType=kind,
            timestamp=trade["time"],
        )
        if "sign" in trade:
            ticker.typeSign = trade["sign"]
        _set_volume(ticker, trade["size"])


def fill_candles(s2c: Any, store: Store, code: str, period: str, candles: Iterable[Json]) -> None:
    """Write candles; a blank one has a time and nothing else."""
    _head(s2c, store, code)
    if hasattr(s2c, "klType"):
        s2c.klType, s2c.rehabType = PERIODS[period][1], FORWARD
    for candle in candles:
        line = s2c.klList.add(
            time=_written(code, candle["time"]),
            timestamp=candle["time"],
            isBlank=candle.get("blank", False),
        )
        if not line.isBlank:
            line.openPrice, line.closePrice = candle["open"], candle["close"]
            line.highPrice, line.lowPrice = candle["high"], candle["low"]
            line.turnover = candle.get("turnover", candle["close"] * candle["volume"])
            _set_volume(line, candle["volume"])
            if "prev_close" in candle:
                line.lastClosePrice = candle["prev_close"]


def fill_points(s2c: Any, store: Store, code: str, points: Iterable[Json]) -> None:
    """Write the day's line; a blank point has a time and nothing else."""
    _head(s2c, store, code)
    for point in points:
        local = local_time(code, point["time"])
        share = s2c.rtList.add(
            time=_written(code, point["time"]),
            minute=local.hour * 60 + local.minute,
            isBlank=point.get("blank", False),
            timestamp=point["time"],
        )
        if not share.isBlank:
            share.price = point["price"]
            if "average" in point:
                share.avgPrice = point["average"]
            share.lastClosePrice = point["prev_close"]
            share.turnover = point.get("turnover", point["price"] * point["volume"])
            _set_volume(share, point["volume"])


def fill_brokers(s2c: Any, store: Store, code: str, brokers: Json) -> None:
    """Write the queues of brokers."""
    _head(s2c, store, code)
    for side, rows in (
        (s2c.brokerBidList, brokers["bids"]),
        (s2c.brokerAskList, brokers["asks"]),
    ):
        for number, name, position, *order in rows:
            broker = side.add(id=number, name=name, pos=position)
            if order:
                broker.orderID, broker.volume = order


def fill_security(info: Any, security: Json, number: int) -> None:
    """Write what is always true of a security."""
    basic = info.basic
    name_security(basic.security, security["code"])
    basic.id, basic.name, basic.listTime = number, security["name"], ""
    basic.lotSize, basic.secType = security.get("lot", 1), security.get("type", 3)
    basic.delisting = False


def fill_snapshot(made: Any, store: Store, snapshot: Json) -> None:
    """Write a snapshot; what is special about an option or a future stands beside the rest."""
    code, basic = snapshot["code"], made.basic
    security = store.securities.get(code, {})
    _head(basic, store, code, snapshot)
    _fill_prices(basic, snapshot)
    basic.type, basic.lotSize = security.get("type", 3), security.get("lot", 1)
    basic.isSuspend, basic.listTime = snapshot.get("suspended", False), ""
    basic.priceSpread = store.spread(code, snapshot)
    _fill_parts(made, snapshot)
    basic.secStatus = snapshot.get("status", 1)
    moment = snapshot.get("time", time.time())
    basic.updateTime, basic.updateTimestamp = _written(code, moment), moment
    if "bid" in snapshot:
        basic.bidPrice = snapshot["bid"]
    if "ask" in snapshot:
        basic.askPrice = snapshot["ask"]
    if "bid_size" in snapshot:
        _set_volume(basic, snapshot["bid_size"], "bidVol", "hpBidVol")
    if "ask_size" in snapshot:
        _set_volume(basic, snapshot["ask_size"], "askVol", "hpAskVol")


def _head(message: Any, store: Store, code: str, said: Json | None = None) -> None:
    """Fill in the security and, if it has one, its name."""
    name_security(message.security, code)
    name = (said or {}).get("name") or store.name(code)
    if name:
        message.name = name


def _fill_prices(basic: Any, said: Json) -> None:
    """Write what quotes and snapshots have in common."""
    basic.curPrice, basic.openPrice = said.get("last", 0), said.get("open", 0)
    basic.highPrice, basic.lowPrice = said.get("high", 0), said.get("low", 0)
    basic.lastClosePrice, basic.turnover = said.get("prev_close", 0), said.get("turnover", 0)
    basic.turnoverRate = said.get("turnover_rate", 0)
    if "amplitude" in said:
        basic.amplitude = said["amplitude"]
    elif basic.lastClosePrice:
        basic.amplitude = (basic.highPrice - basic.lowPrice) / basic.lastClosePrice * 100
    else:
        basic.amplitude = 0
    _set_volume(basic, said.get("volume", 0))
    for key, session in (
        ("pre", basic.preMarket),
        ("after", basic.afterMarket),
        ("overnight", basic.overnight),
    ):
        if key in said:
            _fill_session(session, said[key], basic.lastClosePrice)


def _fill_session(session: Any, said: Json, prev_close: float) -> None:
    """Write the hours around the usual ones; a missing value isn't set."""
    for key, field in (
        ("last", "price"),
        ("high", "highPrice"),
        ("low", "lowPrice"),
        ("turnover", "turnover"),
        ("change", "changeVal"),
        ("change_rate", "changeRate"),
        ("amplitude", "amplitude"),
    ):
        if key in said:
            setattr(session, field, said[key])
    if "volume" in said:
        session.volume = int(said["volume"])
    if said.get("last") and prev_close:
        if "change" not in said:
            session.changeVal = said["last"] - prev_close
        if "change_rate" not in said:
            session.changeRate = (said["last"] - prev_close) / prev_close * 100


PARTS: dict[str, dict[str, str]] = {
    "option": {
        "strike": "strikePrice",
        "size": "contractSize",
        "precise_size": "contractSizeFloat",
        "multiplier": "contractMultiplier",
        "oi": "openInterest",
        "net_oi": "netOpenInterest",
        "iv": "impliedVolatility",
        **{key: key for key in ("premium", "delta", "gamma", "vega", "theta", "rho")},
        "days_left": "expiryDateDistance",
        "style": "optionAreaType",
    },
    "future": {
        "prev_settle": "lastSettlePrice",
        "oi": "position",
        "oi_change": "positionChange",
        "days_left": "expiryDateDistance",
    },
    "warrant": {"delta": "delta", "iv": "impliedVolatility", "premium": "premium"},
}
"""What options, futures and warrants have, and what OpenD calls it."""


def _fill_parts(message: Any, said: Json) -> None:
    """Write what is special about an option, a future or a warrant."""
    for part, fields in PARTS.items():
        if part not in said:
            continue
        data = getattr(message, f"{part}ExData")
        data.SetInParent()
        for descriptor in data.DESCRIPTOR.fields:
            if descriptor.is_required and descriptor.message_type:
                name_security(getattr(data, descriptor.name), said["code"])
            elif descriptor.is_required:
                setattr(data, descriptor.name, descriptor.default_value)
        for key, value in said[part].items():
            setattr(data, fields[key], value)


def _set_volume(
    message: Any, value: float, field: str = "volume", precise: str = "hpVolume"
) -> None:
    """Write a volume; one that is a float is written twice, as OpenD does with fractions."""
    setattr(message, field, int(value))
    if isinstance(value, float):
        setattr(message, precise, value)


@cache
def _zone(market: str) -> ZoneInfo:
    return ZoneInfo(ZONES.get(market, "Asia/Hong_Kong"))


def local_time(code: str, moment: float) -> datetime:
    """Return a moment as a time in the zone of a code's market."""
    return datetime.fromtimestamp(moment, _zone(code.partition(".")[0]))


def _written(code: str, moment: float, *, precise: bool = False) -> str:
    text = local_time(code, moment).isoformat(
        sep=" ", timespec="milliseconds" if precise else "seconds"
    )
    return text[: len("2020-01-01 00:00:00.000" if precise else "2020-01-01 00:00:00")]
