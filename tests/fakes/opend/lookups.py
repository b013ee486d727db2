"""Answers to requests of market data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.fakes.opend.payloads import (
    fill_book,
    fill_brokers,
    fill_candles,
    fill_points,
    fill_quotes,
    fill_security,
    fill_snapshot,
    fill_trades,
)
from tests.fakes.opend.pushes import CACHE
from tests.fakes.opend.store import KEPT
from tests.fakes.opend.wire import (
    MARKETS,
    PERIOD_OF_KL_TYPE,
    PERIODS,
    Refused,
    SubType,
    code_of,
)

if TYPE_CHECKING:
    from tests.fakes.opend.connection import Connection
    from tests.fakes.opend.server import OpenD


OPTION, CRYPTO = 8, 12
UNLISTED = {OPTION, CRYPTO}
"""Qot_Common.SecurityType."""


def quotes(opend: OpenD, connection: Connection, c2s: Any, s2c: Any) -> None:
    """Qot_GetBasicQot: of codes that were never quoted, all is zero."""
    codes = [_subscribed(connection, item, SubType.QUOTE, "quotes") for item in c2s.securityList]
    known = opend.store.quotes
    fill_quotes(s2c, opend.store, [known.get(code, {"code": code}) for code in codes])


def candles(opend: OpenD, connection: Connection, c2s: Any, s2c: Any) -> None:
    """Qot_GetKL."""
    if c2s.klType not in PERIOD_OF_KL_TYPE:
        raise Refused(f"unknown kind of candles {c2s.klType}")
    period = PERIOD_OF_KL_TYPE[c2s.klType]
    code = _subscribed(connection, c2s.security, PERIODS[period][0], f"{period} candles")
    found = opend.store.last_candles(code, period, min(c2s.reqNum, KEPT))
    fill_candles(s2c, opend.store, code, period, found)


def points(opend: OpenD, connection: Connection, c2s: Any, s2c: Any) -> None:
    """Qot_GetRT."""
    code = _subscribed(connection, c2s.security, SubType.RT, "the day's line")
    fill_points(s2c, opend.store, code, opend.store.last_points(code))


def trades(opend: OpenD, connection: Connection, c2s: Any, s2c: Any) -> None:
    """Qot_GetTicker."""
    code = _subscribed(connection, c2s.security, SubType.TICKER, "trades")
    found = opend.store.last_trades(code, min(c2s.maxRetNum, KEPT))
    fill_trades(s2c, opend.store, code, found, CACHE)


def book(opend: OpenD, connection: Connection, c2s: Any, s2c: Any) -> None:
    """Qot_GetOrderBook: of codes without a book, it is empty."""
    subtype = SubType.ORDER_BOOK_ODD if c2s.orderBookType else SubType.ORDER_BOOK
    code = _subscribed(connection, c2s.security, subtype, "order books")
    found = opend.store.books.get((code, c2s.orderBookType)) or {
        "code": code,
        "bids": [],
        "asks": [],
        "type": c2s.orderBookType,
    }
    fill_book(s2c, opend.store, found, c2s.num, detailed=code in connection.detailed)


def brokers(opend: OpenD, connection: Connection, c2s: Any, s2c: Any) -> None:
    """Qot_GetBroker."""
    code = _subscribed(connection, c2s.security, SubType.BROKER, "brokers")
    found = opend.store.brokers.get(code, {"bids": [], "asks": []})
    fill_brokers(s2c, opend.store, code, found)


def static_info(opend: OpenD, _connection: Connection, c2s: Any, s2c: Any) -> None:
    """Qot_GetStaticInfo: of the codes listed, or of a market; what isn't defined is left out.

    No market has a list of options or cryptocurrencies.
    """
    if not c2s.securityList and c2s.secType in UNLISTED:
        raise Refused(f"no list of the type {c2s.secType}")
    listed = [code for item in c2s.securityList if opend.known(code := code_of(item))]
    for number, (code, security) in enumerate(opend.store.securities.items(), 1):
        if c2s.securityList:
            found = code in listed
        else:
            kind = security.get("type", 3)
            found = _is_in(code, c2s.market) and c2s.secType in {0, kind} and kind not in UNLISTED
        if found:
            fill_security(s2c.staticInfoList.add(), security, number)


def snapshots(opend: OpenD, _connection: Connection, c2s: Any, s2c: Any) -> None:
    """Qot_GetSecuritySnapshot: one code that isn't known, and there is none of the others."""
    opend.account.take_snapshot(len(c2s.securityList), opend.clock())
    for security in c2s.securityList:
        code = code_of(security)
        found = opend.known(code) and opend.store.snapshot(code)
        if not found:
            raise Refused(f"unknown stock {code}")
        fill_snapshot(s2c.snapshotList.add(), opend.store, found)


def market_states(opend: OpenD, _connection: Connection, c2s: Any, s2c: Any) -> None:
    """Qot_GetMarketState: one code that isn't known, and there is none of the others."""
    opend.account.take_states(len(c2s.securityList), opend.clock())
    for security in c2s.securityList:
        code = code_of(security)
        if code in opend.account.refused:
            raise Refused(opend.account.refused[code])
        info = s2c.marketInfoList.add(name=opend.store.name(code) or "")
        info.security.CopyFrom(security)
        info.marketState = opend.account.state(code)


def _is_in(code: str, market: int) -> bool:
    """Return whether a code belongs to a market; 0 stands for any market."""
    return market in {0, MARKETS[code.partition(".")[0]]}


def _subscribed(connection: Connection, security: Any, subtype: int, what: str) -> str:
    """Return the code of a security; raise Refused if it isn't subscribed."""
    code = code_of(security)
    if (code, subtype) not in connection.held:
        raise Refused(f"{what} of {code} must be subscribed first")
    return code
