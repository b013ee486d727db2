"""What bookcast asks of OpenD, byte for byte as the vendor's own package asks it.

A test compares each of these with what futu-api sends for the same call.
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
"""``Common.Session`` with hours before and after the market. Older OpenD knows but the flag."""

ADJUSTED: Final = 1
"""``Qot_Common.RehabType``: earlier prices are adjusted for splits and dividends, as in pushes."""

MAX_PAST: Final = 1000
"""OpenD gives no more candles or trades at once."""

FIRMS: Final[Mapping[str, int]] = {
    "FUTUSECURITIES": 1,
    "FUTUINC": 2,
    "FUTUSG": 3,
    "FUTUAU": 4,
    "FUTUCA": 5,
    "FUTUMY": 6,
    "FUTUJP": 7,
}
"""``Trd_Common.SecurityFirm`` of the setting FUTU_SECURITY_FIRM, which has the vendor's names."""

MAX_SNAPSHOTS: Final = 400
"""Securities in one request."""


class Call(NamedTuple):
    """One request: its protocol id, the vendor's name for it, and the message."""

    protocol: int
    name: str
    request: Any


def name_firm(call: Call, firm: int) -> Call:
    """Ask for the data of one broker of the group, in requests that name one.

    Prices of cryptocurrencies differ by it. 0 leaves the choice to OpenD.
    """
    c2s = call.request.c2s
    if firm and "header" in c2s.DESCRIPTOR.fields_by_name and c2s.HasField("header"):
        c2s.header.securityFirm = firm
    return call


def init_connect(*, encrypted: bool) -> Call:
    """Begin a connection; the first thing to send."""
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
    """Keep the connection alive. ``seconds``: now, since 1970."""
    call = _call(1004, "KeepAlive")
    call.request.c2s.time = seconds
    return call


def global_state() -> Call:
    """Ask for the markets' states, and whether OpenD is logged in."""
    call = _call(1002, "GetGlobalState")
    call.request.c2s.userID = 0
    return call


def user_info() -> Call:
    """Ask what the account may see, and for its quotas."""
    call = _call(1005, "GetUserInfo")
    call.request.c2s.flag = 0
    return call


def subscribe(
    symbols: Iterable[Symbol], subtype: int, *, session: int = 0, detailed: bool = False
) -> Call:
    """Ask to be pushed a kind of data, beginning with the newest known.

    ``session`` (``Common.Session``): which hours of US stocks count in candles, trades and time
    frames. ``detailed``: with the single orders of a book, where the account has the right.
    """
    return _subscription(symbols, subtype, wanted=True, session=session, detailed=detailed)


def unsubscribe(symbols: Iterable[Symbol], subtype: int) -> Call:
    """Ask to be pushed a kind of data no more."""
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
    """Ask what all connections of the account have subscribed, and what is left of the quota."""
    call = _call(3003, "Qot_GetSubInfo")
    call.request.c2s.isReqAllConn = True
    return call


def candles(symbol: Symbol, kind: int, count: int) -> Call:
    """Ask for the newest candles of a symbol whose candles are subscribed."""
    call = _market_call(3006, "Qot_GetKL")
    c2s = call.request.c2s
    c2s.security.market, c2s.security.code = market_and_code(symbol)
    c2s.rehabType = ADJUSTED
    c2s.reqNum = count
    c2s.klType = kind
    return call


def trades(symbol: Symbol, count: int) -> Call:
    """Ask for the newest trades of a symbol whose trades are subscribed."""
    call = _market_call(3010, "Qot_GetTicker")
    c2s = call.request.c2s
    c2s.security.market, c2s.security.code = market_and_code(symbol)
    c2s.maxRetNum = count
    return call


def snapshots(symbols: Iterable[Symbol]) -> Call:
    """Ask for the newest quotes of symbols that needn't be subscribed. 60 times in 30 s."""
    call = _market_call(3203, "Qot_GetSecuritySnapshot")
    _name(call.request.c2s.securityList, symbols)
    return call


def market_states(symbols: Iterable[Symbol]) -> Call:
    """Ask what the markets of some securities do now. At most 400 symbols, 10 times in 30 s."""
    call = _market_call(3223, "Qot_GetMarketState")
    _name(call.request.c2s.securityList, symbols)
    return call


def securities(market: int, kind: int) -> Call:
    """Ask for all securities of one kind (``Qot_Common.SecurityType``) in one market."""
    call = _market_call(3202, "Qot_GetStaticInfo")
    c2s = call.request.c2s
    c2s.market, c2s.secType = market, kind
    return call


def security(symbol: Symbol) -> Call:
    """Ask what is always true of one security, which needn't be in a list."""
    call = securities(market=0, kind=0)
    _name(call.request.c2s.securityList, [symbol])
    return call


def _call(protocol: int, name: str) -> Call:
    return Call(protocol, name, messages(name).Request())


def _market_call(protocol: int, name: str) -> Call:
    """Return a request for market data, of whichever broker of the group OpenD chooses."""
    call = _call(protocol, name)
    call.request.c2s.header.securityFirm = 0
    return call


def _name(securities: Any, symbols: Iterable[Symbol]) -> None:
    for symbol in symbols:
        market, code = market_and_code(symbol)
        securities.add(market=market, code=code)
