"""Which requests are answered, and by what; those of the account and its subscriptions are here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.fakes.opend import lookups
from tests.fakes.opend.account import RIGHTS
from tests.fakes.opend.notices import HISTORY_QUOTA
from tests.fakes.opend.sealing import AES_CBC, FTAES_ECB, CbcSeal, EcbSeal
from tests.fakes.opend.wire import (
    BASIC_QOT,
    BROKER,
    GLOBAL_STATE,
    INIT_CONNECT,
    KEEP_ALIVE,
    KL,
    MARKET_STATE,
    ORDER_BOOK,
    REG_PUSH,
    RT,
    SNAPSHOT,
    STATIC_INFO,
    SUB,
    SUB_INFO,
    SUBTYPES,
    TICKER,
    USER_INFO,
    Cut,
    Key,
    Refused,
    code_of,
    name_security,
)

if TYPE_CHECKING:
    from tests.fakes.opend.connection import Connection
    from tests.fakes.opend.server import OpenD

SERVER_VERSION, BUILD = 1011, 7108
USER = 1
AES_KEY, AES_IV = "0123456789abcdef", "fedcba9876543210"
KEEP_ALIVE_SECONDS = 10
READY, FORCED_LOGOUT = 10, 11
"""Common.ProgramStatusType."""


def init_connect(opend: OpenD, connection: Connection, c2s: Any, s2c: Any) -> None:
    """Answer InitConnect, and agree on the key for all that follows."""
    s2c.serverVer, s2c.loginUserID, s2c.connID = SERVER_VERSION, USER, connection.number
    s2c.connAESKey, s2c.keepAliveInterval = AES_KEY, KEEP_ALIVE_SECONDS
    connection.greeted, connection.notified = True, c2s.recvNotify
    if not opend.encrypts:
        return
    if c2s.packetEncAlgo == AES_CBC:
        s2c.aesCBCiv = AES_IV
        seal: CbcSeal | EcbSeal = CbcSeal(AES_KEY, AES_IV)
    elif c2s.packetEncAlgo == FTAES_ECB:
        seal = EcbSeal(AES_KEY)
    else:
        raise Cut("a client that doesn't encrypt")
    connection.afterwards.append(lambda: setattr(connection, "seal", seal))


def global_state(opend: OpenD, connection: Connection, _c2s: Any, s2c: Any) -> None:
    """Answer with the markets' states, and whether OpenD is logged in."""
    for market, state in opend.account.markets.items():
        setattr(s2c, f"market{market}", state)
    s2c.qotLogined, s2c.trdLogined = opend.account.logged_in, True
    s2c.serverVer, s2c.serverBuildNo = SERVER_VERSION, BUILD
    s2c.time, s2c.localTime = int(time.time()), time.time()
    s2c.programStatus.type = FORCED_LOGOUT if opend.account.kicked_out else READY
    s2c.programStatus.strExtDesc = opend.account.kicked_out
    s2c.connID = connection.number


def keep_alive(_opend: OpenD, _connection: Connection, _c2s: Any, s2c: Any) -> None:
    """Be alive."""
    s2c.time = int(time.time())


def user_info(opend: OpenD, _connection: Connection, _c2s: Any, s2c: Any) -> None:
    """Answer with the account's rights and quotas."""
    s2c.nickName, s2c.userID, s2c.apiLevel = "simulated", USER, ""
    s2c.isNeedAgreeDisclaimer, s2c.updateType = False, 0
    s2c.userAttribution = 1
    for market, right in opend.account.rights.items():
        setattr(s2c, RIGHTS[market], right)
    s2c.subQuota, s2c.historyKLQuota = opend.account.quota, HISTORY_QUOTA


def sub(opend: OpenD, connection: Connection, c2s: Any, _s2c: Any) -> None:
    """Subscribe or unsubscribe, all of it or nothing."""
    account, now = opend.account, opend.clock()
    connection.firm = c2s.header.securityFirm
    if c2s.isUnsubAll:
        account.unsubscribe(connection.number, connection.held, now)
        connection.pushed.clear()
        connection.detailed.clear()
        return
    keys = _keys(c2s)
    if not c2s.isSubOrUnSub:
        account.unsubscribe(connection.number, keys, now)
        connection.pushed.difference_update(keys)
        return
    for code, _ in keys if opend.knows_only_defined else ():
        if code not in opend.store.securities:
            raise Refused(f"unknown stock {code.partition('.')[2]}")
    kept = account.subscribe(connection.number, keys, now)
    codes = {code for code, _ in kept}
    if c2s.isSubOrderBookDetail:
        connection.detailed |= codes
    if c2s.HasField("isRegOrUnRegPush"):
        _register(opend, connection, c2s, kept, push=c2s.isRegOrUnRegPush)


def reg_push(opend: OpenD, connection: Connection, c2s: Any, _s2c: Any) -> None:
    """Push what is subscribed, or no more."""
    keys = _keys(c2s)
    for code, subtype in keys if c2s.isRegOrUnReg else ():
        if (code, subtype) not in connection.held:
            raise Refused(f"{code} is not subscribed (subtype {subtype})")
    _register(opend, connection, c2s, keys, push=c2s.isRegOrUnReg)


def sub_info(opend: OpenD, connection: Connection, c2s: Any, s2c: Any) -> None:
    """Answer with the subscriptions of this connection, or of all, and the account's quota."""
    for other in opend.connections:
        own = other is connection
        if not own and not c2s.isReqAllConn:
            continue
        account = opend.account
        info = s2c.connSubInfoList.add(
            usedQuota=account.count(other.held, "stock"), isOwnConnData=own
        )
        if account.option_quota is not None:
            info.optionUsedQuota = account.count(other.held, "option")
        info.securityFirm = other.firm
        by_type: dict[int, Any] = {}
        for code, subtype in other.held:
            if subtype not in by_type:
                by_type[subtype] = info.subInfoList.add(subType=subtype)
            name_security(by_type[subtype].securityList.add(), code)
    now, account = opend.clock(), opend.account
    used = account.used(now)
    s2c.totalUsedQuota, s2c.remainQuota = account.count(used, "stock"), account.left(now)
    if account.option_quota is not None:
        s2c.optionUsedQuota = account.count(used, "option")
        s2c.optionRemainQuota = account.left(now, "option")


def _keys(c2s: Any) -> list[Key]:
    for subtype in c2s.subTypeList:
        if subtype not in SUBTYPES:
            raise Refused(f"unknown subtype {subtype}")
    return [(code_of(item), subtype) for item in c2s.securityList for subtype in c2s.subTypeList]


def _register(
    opend: OpenD, connection: Connection, c2s: Any, keys: list[Key], *, push: bool
) -> None:
    if not push:
        connection.pushed.difference_update(keys)
        return
    connection.pushed.update(keys)
    # The default of isFirstPush is true, says the vendor's proto, though the field has none.
    if c2s.isFirstPush or not c2s.HasField("isFirstPush"):
        connection.afterwards.append(lambda: opend.first_push(connection, keys))


Answer = Callable[["OpenD", "Connection", Any, Any], None]
ANSWERS: dict[int, Answer] = {
    INIT_CONNECT: init_connect,
    GLOBAL_STATE: global_state,
    KEEP_ALIVE: keep_alive,
    USER_INFO: user_info,
    SUB: sub,
    REG_PUSH: reg_push,
    SUB_INFO: sub_info,
    BASIC_QOT: lookups.quotes,
    KL: lookups.candles,
    RT: lookups.points,
    TICKER: lookups.trades,
    ORDER_BOOK: lookups.book,
    BROKER: lookups.brokers,
    STATIC_INFO: lookups.static_info,
    SNAPSHOT: lookups.snapshots,
    MARKET_STATE: lookups.market_states,
}
