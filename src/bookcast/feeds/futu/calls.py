"""The requests to OpenD, byte for byte as the vendor's own package sends them.

A test compares each request with the one that futu-api sends for the same call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from bookcast.feeds.futu.markets import market_and_code
from bookcast.feeds.futu.schema import messages
from bookcast.model.topics import Symbol

CLIENT_ID: Final = "bookcast"
CLIENT_VERSION: Final = 300
NO_ENCRYPTION, AES_CBC = -1, 2
"""``Common.PacketEncAlgo``."""

EXTENDED: Final = frozenset({2, 3})
"""``Common.Session`` with hours before and after the market. An older OpenD reads only a flag."""

ADJUSTED: Final = 1
"""``Qot_Common.RehabType``: prices adjusted forward for splits and dividends, as in pushes."""

MAX_PAST: Final = 1000
"""The maximum number of candles or trades in an answer of OpenD."""

FIRMS: Final[Mapping[str, int]] = {
    "FUTUSECURITIES": 1,
    "FUTUINC": 2,
    "FUTUSG": 3,
    "FUTUAU": 4,
    "FUTUCA": 5,
    "FUTUMY": 6,
    "FUTUJP": 7,
}
"""``Trd_Common.SecurityFirm`` by the values of the setting FUTU_SECURITY_FIRM."""

MAX_SNAPSHOTS: Final = 400
"""The maximum number of securities in one request."""


class Call(NamedTuple):
    """One request: its protocol id, the vendor's name for it, and the message."""

    protocol: int
    name: str
    request: Any


def name_firm(call: Call, firm: int) -> Call:
    """Return the call with a broker set, if its request has such a field.

    Prices of cryptocurrencies differ by broker. 0: OpenD chooses.
    """
    c2s = call.request.c2s
    if firm and "header" in c2s.DESCRIPTOR.fields_by_name and c2s.HasField("header"):
        c2s.header.securityFirm = firm
    return call


def init_connect(*, encrypted: bool) -> Call:
    """Return the first request of a connection."""
    call = _call(1001, "InitConnect")
    c2s = call.request.c2s
    c2s.clientVer = CLIENT_VERSION
    c2s.clientID = CLIENT_ID
    c2s.recvNotify = True
    c2s.pushProtoFmt = 0
    c2s.programmingLanguage = "Python"
    c2s.aiType = 0
    c2s.packetEncAlgo = AES_CBC if encrypted else NO_ENCRYPTION
    return call


def keep_alive(seconds: int) -> Call:
    """Return a heartbeat. ``seconds``: the present time, in seconds since 1970."""
    call = _call(1004, "KeepAlive")
    call.request.c2s.time = seconds
    return call


def global_state() -> Call:
    """Return a request for the markets' states, and whether OpenD is logged in."""
    call = _call(1002, "GetGlobalState")
    call.request.c2s.userID = 0
    return call


def user_info() -> Call:
    """Return a request for the account's rights and quotas."""
    call = _call(1005, "GetUserInfo")
    call.request.c2s.flag = 0
    return call


def subscribe(
    symbols: Iterable[Symbol], subtype: int, *, session: int = 0, detailed: bool = False
) -> Call:
    """Return a subscription to pushes of a kind of data. OpenD first pushes the newest it has.

    ``session`` (``Common.Session``): which hours of US stocks count in candles, trades and time
    frames. ``detailed``: books with single orders, where the account has the right.
    """
    return _subscription(symbols, subtype, wanted=True, session=session, detailed=detailed)


def unsubscribe(symbols: Iterable[Symbol], subtype: int) -> Call:
    """Return the request that ends a subscription."""
    return _subscription(symbols, subtype, wanted=False)


def _subscription(
    symbols: Iterable[Symbol],
    subtype: int,
    *,
    wanted: bool,
    session: int = 0,
    detailed: bool = False,
) -> Call:
    call = _market_call(3001, "Qot_Sub")
    c2s = call.request.c2s
    _name(c2s.securityList, symbols)
    c2s.subTypeList.append(subtype)
    c2s.isSubOrUnSub = c2s.isFirstPush = c2s.isRegOrUnRegPush = wanted
    c2s.isSubOrderBookDetail = detailed
    c2s.extendedTime = session in EXTENDED
    c2s.session = session
    return call


def subscriptions() -> Call:
    """Return a request for the subscriptions of all connections of the account, and the quota."""
    call = _call(3003, "Qot_GetSubInfo")
    call.request.c2s.isReqAllConn = True
    return call


def candles(symbol: Symbol, kind: int, count: int) -> Call:
    """Return a request for the newest candles of a symbol. They must be subscribed."""
    call = _market_call(3006, "Qot_GetKL")
    c2s = call.request.c2s
    c2s.security.market, c2s.security.code = market_and_code(symbol)
    c2s.rehabType = ADJUSTED
    c2s.reqNum = count
    c2s.klType = kind
    return call


def trades(symbol: Symbol, count: int) -> Call:
    """Return a request for the newest trades of a symbol. They must be subscribed."""
    call = _market_call(3010, "Qot_GetTicker")
    c2s = call.request.c2s
    c2s.security.market, c2s.security.code = market_and_code(symbol)
    c2s.maxRetNum = count
    return call


def snapshots(symbols: Iterable[Symbol]) -> Call:
    """Return a request for snapshots of symbols, subscribed or not. OpenD allows 60 in 30 s."""
    call = _market_call(3203, "Qot_GetSecuritySnapshot")
    _name(call.request.c2s.securityList, symbols)
    return call


def market_states(symbols: Iterable[Symbol]) -> Call:
    """Return a request for the market states of up to 400 securities. OpenD allows 10 in 30 s."""
    call = _market_call(3223, "Qot_GetMarketState")
    _name(call.request.c2s.securityList, symbols)
    return call


def securities(market: int, kind: int) -> Call:
    """Return a request for all securities of a kind (``Qot_Common.SecurityType``) in a market."""
    call = _market_call(3202, "Qot_GetStaticInfo")
    c2s = call.request.c2s
    c2s.market, c2s.secType = market, kind
    return call


def security(symbol: Symbol) -> Call:
    """Return a request for the static data of one security, in a list or not."""
    call = securities(market=0, kind=0)
    _name(call.request.c2s.securityList, [symbol])
    return call


def _call(protocol: int, name: str) -> Call:
    return Call(protocol, name, messages(name).Request())


def _market_call(protocol: int, name: str) -> Call:
    """Return a request for market data, from the broker that OpenD chooses."""
    call = _call(protocol, name)
    call.request.c2s.header.securityFirm = 0
    return call


def _name(securities: Any, symbols: Iterable[Symbol]) -> None:
    for symbol in symbols:
        market, code = market_and_code(symbol)
        securities.add(market=market, code=code)
