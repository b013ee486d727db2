"""What OpenD's wire protocol is made of: the header, the ids, and the vendor's message classes."""

from __future__ import annotations

import hashlib
import importlib
import struct
import sys
from collections.abc import Callable
from enum import IntEnum
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HEADER = struct.Struct("<2sIBBII20s8s")
LONGEST_BODY = 2**24

INIT_CONNECT, GLOBAL_STATE, NOTIFY, KEEP_ALIVE, USER_INFO = 1001, 1002, 1003, 1004, 1005
SUB, REG_PUSH, SUB_INFO = 3001, 3002, 3003
BASIC_QOT, PUSH_BASIC_QOT = 3004, 3005
KL, PUSH_KL = 3006, 3007
RT, PUSH_RT = 3008, 3009
TICKER, PUSH_TICKER = 3010, 3011
ORDER_BOOK, PUSH_ORDER_BOOK = 3012, 3013
BROKER, PUSH_BROKER = 3014, 3015
STATIC_INFO, SNAPSHOT, MARKET_STATE = 3202, 3203, 3223

NAMES = {
    INIT_CONNECT: "InitConnect",
    GLOBAL_STATE: "GetGlobalState",
    NOTIFY: "Notify",
    KEEP_ALIVE: "KeepAlive",
    USER_INFO: "GetUserInfo",
    SUB: "Qot_Sub",
    REG_PUSH: "Qot_RegQotPush",
    SUB_INFO: "Qot_GetSubInfo",
    BASIC_QOT: "Qot_GetBasicQot",
    PUSH_BASIC_QOT: "Qot_UpdateBasicQot",
    KL: "Qot_GetKL",
    PUSH_KL: "Qot_UpdateKL",
    RT: "Qot_GetRT",
    PUSH_RT: "Qot_UpdateRT",
    TICKER: "Qot_GetTicker",
    PUSH_TICKER: "Qot_UpdateTicker",
    ORDER_BOOK: "Qot_GetOrderBook",
    PUSH_ORDER_BOOK: "Qot_UpdateOrderBook",
    BROKER: "Qot_GetBroker",
    PUSH_BROKER: "Qot_UpdateBroker",
    STATIC_INFO: "Qot_GetStaticInfo",
    SNAPSHOT: "Qot_GetSecuritySnapshot",
    MARKET_STATE: "Qot_GetMarketState",
}


class SubType(IntEnum):
    """Qot_Common.SubType; the candles' are in PERIODS."""

    QUOTE = 1
    ORDER_BOOK = 2
    TICKER = 4
    RT = 5
    BROKER = 14
    ORDER_BOOK_ODD = 22


# Period: Qot_Common.SubType and KLType. Written down here once more, as is what follows: the
# feed's own tables are what gets tested.
PERIODS = {
    "1m": (11, 1),
    "3m": (17, 10),
    "5m": (7, 6),
    "10m": (18, 12),
    "15m": (8, 7),
    "30m": (9, 8),
    "1h": (10, 9),
    "2h": (19, 13),
    "3h": (20, 14),
    "4h": (21, 15),
    "1d": (6, 2),
    "1w": (12, 3),
    "1M": (13, 4),
    "1Q": (15, 11),
    "1Y": (16, 5),
}
PERIOD_OF_SUBTYPE = {subtype: period for period, (subtype, _) in PERIODS.items()}
PERIOD_OF_KL_TYPE = {kl_type: period for period, (_, kl_type) in PERIODS.items()}
SUBTYPES = {*SubType, *PERIOD_OF_SUBTYPE}

# Qot_Common.QotMarket.
MARKETS = {
    "HK": 1,
    "HK_FUTURE": 2,
    "US": 11,
    "SH": 21,
    "SZ": 22,
    "SG": 31,
    "JP": 41,
    "AU": 51,
    "MY": 61,
    "CA": 71,
    "FX": 81,
    "CC": 91,
    "EC": 101,
}
PREFIXES = {number: prefix for prefix, number in MARKETS.items()}

Key = tuple[str, int]
"""What is subscribed, and costs one unit of quota: a code and a subtype."""


class Refused(Exception):
    """A request is answered with retType -1 and this text."""


class Cut(Exception):
    """A client isn't answered, but loses its connection."""


@cache
def messages(protocol: int) -> Any:
    """Import the vendor's generated messages of a protocol id, without importing ``futu``."""
    spec = find_spec("futu")
    assert spec is not None, "futu-api is not installed"
    assert spec.origin is not None
    folder = str(Path(spec.origin).parent / "common" / "pb")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(f"{NAMES[protocol]}_pb2")


def response(protocol: int) -> Any:
    """Make the response message of a protocol id, which is the message of a push as well."""
    made = messages(protocol).Response(retType=0)
    made.s2c.SetInParent()
    return made


def make_body(protocol: int, fill: Callable[[Any], None]) -> bytes:
    """Make the body of an answer or a push, whose s2c is filled so."""
    made = response(protocol)
    fill(made.s2c)
    body: bytes = made.SerializeToString()
    return body


def digest_of(body: bytes | bytearray | memoryview) -> bytes:
    """Return the SHA-1 that the header carries; it is of the body before encryption."""
    return hashlib.sha1(body, usedforsecurity=False).digest()


def frame(protocol: int, serial: int, digest: bytes, sealed: bytes) -> bytes:
    """Put the header before a body."""
    return HEADER.pack(b"FT", protocol, 0, 0, serial, len(sealed), digest, bytes(8)) + sealed


def code_of(security: Any) -> str:
    """Return a security as ``MARKET.CODE``."""
    if security.market not in PREFIXES:
        raise Refused(f"unknown market {security.market}")
    return f"{PREFIXES[security.market]}.{security.code}"


def name_security(security: Any, code: str) -> None:
    """Write ``MARKET.CODE`` into a security."""
    market, _, security.code = code.partition(".")
    security.market = MARKETS[market]
