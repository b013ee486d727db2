"""The exchange's status of a security: OpenD's ``SecurityStatus`` and ``DarkStatus`` in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bookcast.model.market_data import GreyMarket

STATUSES: Final[Mapping[int, str]] = {
    1: "normal",
    2: "to_be_listed",
    3: "purchasing",
    4: "subscribing",
    5: "before_grey_market",
    6: "grey_market",
    7: "grey_market_ended",
    8: "to_be_opened",
    9: "suspended",
    10: "called",
    11: "last_trading_day_passed",
    12: "expired",
    13: "delisted",
    14: "moved_to_temporary_code",
    15: "temporary_code_ended",
    16: "board_changed",
    17: "code_changed",
    18: "circuit_breaker",
    19: "circuit_breaker_unrecoverable",
    20: "after_hours_matching",
    21: "after_hours_trading",
}
"""The word of each ``Qot_Common.SecurityStatus``; none for 0 and unknown numbers."""

SUSPENDED: Final = "its trading is suspended"

HALTS: Final[Mapping[int, str]] = {
    2: "it isn't listed yet",
    3: "it isn't listed yet: its shares are being purchased",
    4: "it isn't listed yet: its shares are being subscribed",
    5: "its grey market hasn't opened yet",
    7: "its grey market has ended",
    9: SUSPENDED,
    10: "it was called",
    11: "its last trading day has passed",
    12: "it has expired",
    13: "it is delisted",
    14: "it is traded under a temporary code",
    15: "trading under this temporary code has ended",
    16: "it changed its board: this code isn't traded any more",
    17: "it changed its code: this one isn't traded any more",
    18: "a circuit breaker has stopped its trading",
    19: "a circuit breaker has stopped its trading for the day",
}
"""Why a security with such a status isn't traded, whatever its market's state. With all others it
is traded, or its market isn't open: to_be_opened, after_hours_matching, after_hours_trading."""

_DARK: Final[Mapping[int, GreyMarket]] = {1: "trading", 2: "ended"}
_DARK_BY_STATUS: Final[Mapping[int, GreyMarket]] = {5: "pending", 6: "trading", 7: "ended"}


def halt(basic: Any, *, suspended: bool) -> str | None:
    """Return why a security isn't traded; None if it may be traded."""
    return HALTS.get(basic.secStatus) or (SUSPENDED if suspended else None)


def grey_market(basic: Any) -> GreyMarket | None:
    """Return the state of the grey market. A ``SnapshotBasicData`` has it only in ``secStatus``."""
    named = "darkStatus" in basic.DESCRIPTOR.fields_by_name and _DARK.get(basic.darkStatus)
    return named or _DARK_BY_STATUS.get(basic.secStatus)
