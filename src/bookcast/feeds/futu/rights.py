"""The rights of an account for each market, as OpenD reports them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from bookcast.feeds.futu.kinds import kind_of
from bookcast.model.topics import Symbol

RIGHTS: Final = {1: "BMP", 2: "Level 1", 3: "Level 2", 4: "SF", 5: "none", 6: "Level 3"}
"""``Qot_Common.QotRight``. BMP and none allow no subscription; BMP allows snapshots."""

BMP: Final = 1
NONE: Final = 5
NO_PUSH: Final = frozenset({BMP, NONE})

SF: Final = 4
"""The right to books with single orders, for a limited number of securities at a time."""

RIGHT_FIELDS: Final[Mapping[str, str]] = {
    "HK stocks": "hkQotRight",
    "HK options": "hkOptionQotRight",
    "HK futures": "hkFutureQotRight",
    "US stocks": "usQotRight",
    "US options": "usOptionQotRight",
    "US indexes": "usIndexQotRight",
    "US OTC": "usOtcQotRight",
    "US futures": "usFutureQotRight",
    "US CME futures": "usCMEFutureQotRight",
    "US CBOT futures": "usCBOTFutureQotRight",
    "US NYMEX futures": "usNYMEXFutureQotRight",
    "US COMEX futures": "usCOMEXFutureQotRight",
    "US CBOE futures": "usCBOEFutureQotRight",
    "mainland China": "cnQotRight",
    "SH stocks": "shQotRight",
    "SZ stocks": "szQotRight",
    "SG stocks": "sgStockQotRight",
    "SG futures": "sgFutureQotRight",
    "JP stocks": "jpStockQotRight",
    "JP futures": "jpFutureQotRight",
    "MY stocks": "myStockQotRight",
    "crypto": "ccQotRight",
    "event contracts": "ecQotRight",
}
"""The field of ``GetUserInfo`` and of a ``Notify`` with the right for each market."""

MANY_LEVELS: Final = frozenset({3, 4, 6})
"""With these rights books have many levels; with Level 1 they have one."""

LEVEL_1: Final = 2

_FUTURES: Final[Mapping[str, str]] = {
    "US CME futures": "ES MES NQ MNQ RTY M2K EMD NKD NIY 6A 6B 6C 6E 6J 6M 6N 6S M6A M6B M6E HE LE "
    "GF BTC MBT ETH MET SR3",
    "US CBOT futures": "YM MYM ZB UB ZN TN ZF ZT ZQ ZC ZS ZW ZL ZM ZO ZR KE XC XK XW",
    "US NYMEX futures": "CL MCL QM NG QG MNG HO RB BZ PL PA",
    "US COMEX futures": "GC MGC QO SI SIL QI HG MHG QC ALI",
    "US CBOE futures": "VX VXM",
}
"""The roots of US futures, by the exchange whose right they need."""

_ROOT: Final = re.compile(r"([A-Z0-9]+?)(\d{4}|main|current|next)")
_BY_PREFIX: Final = {"CC": "crypto", "EC": "event contracts"}
_OF_KINDS: Final = {
    ("HK", "option"): ("HK options",),
    ("HK", "future"): ("HK futures",),
    ("HK_FUTURE", "future"): ("HK futures",),
    ("US", "option"): ("US options",),
    ("US", "index"): ("US indexes",),
    ("SG", "future"): ("SG futures",),
    ("JP", "future"): ("JP futures",),
}


def rights_of(message: Any) -> dict[str, int]:
    """Return the rights in a ``GetUserInfo`` answer or a ``Notify.QotRight``, by market.

    Absent ones are unknown. An older OpenD reports the right for US options only as yes or no.
    """
    known = {descriptor.name for descriptor, _ in message.ListFields()}
    rights = {
        market: getattr(message, field)
        for market, field in RIGHT_FIELDS.items()
        if field in known and getattr(message, field)
    }
    if "US options" not in rights and "hasUSOptionQotRight" in known:
        rights["US options"] = LEVEL_1 if message.hasUSOptionQotRight else NONE
    return rights


def market_of(symbol: Symbol, rights: Mapping[str, int] = MappingProxyType({})) -> str:
    """Return the market whose right a symbol needs, as in RIGHT_FIELDS.

    ``rights``: the known rights. An older OpenD has one right for several markets.
    """
    markets = _markets_of(symbol)
    return next((market for market in markets if market in rights), markets[0])


def _markets_of(symbol: Symbol) -> tuple[str, ...]:
    prefix, _, code = symbol.partition(".")
    kind = kind_of(symbol)
    if prefix in _BY_PREFIX:
        return (_BY_PREFIX[prefix],)
    if (prefix, kind) == ("US", "future"):
        root = _ROOT.fullmatch(code)
        exchange = (name for name, roots in _FUTURES.items() if root and root[1] in roots.split())
        return (*exchange, "US futures")
    if prefix in {"SH", "SZ"}:
        return (f"{prefix} stocks", "mainland China")
    return _OF_KINDS.get((prefix, kind), (f"{prefix} stocks",))


def missing_right(symbol: Symbol, rights: Mapping[str, int]) -> str | None:
    """Return, in words, the right that an account lacks for a symbol; None if it lacks none.

    It only explains a refusal. OpenD decides.
    """
    market = market_of(symbol, rights)
    right = rights.get(market)
    if right not in NO_PUSH:
        return None
    held = "none" if right != BMP else "BMP, which has snapshots only"
    return f"the account's right for {market} is {held}"
