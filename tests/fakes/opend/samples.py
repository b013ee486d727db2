"""What the vendor's documents print of a real OpenD, as data for the controller."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from tests.fakes.opend.store import Json


def seconds(text: str, zone: str = "America/New_York") -> float:
    """Return a printed time in seconds since 1970."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


FIRST_QUOTE: Json = {"code": "HK.00700", "name": "TENCENT", "spread": 0, "status": 1, "dark": 0}
"""The first push of a symbol: every figure 0, and no time."""

ODD_LOTS: list[Json] = [
    {
        "sequence": 7490506385373790208,
        "time": seconds("2025-04-07 05:50:23.745"),
        "price": 181.70,
        "size": 2,
        "turnover": 363.40,
        "dir": 3,
        "type": 6,
    },
    {
        "sequence": 7490506389668757504,
        "time": seconds("2025-04-07 05:50:24.170"),
        "price": 181.73,
        "size": 1,
        "turnover": 181.73,
        "dir": 3,
        "type": 6,
    },
]
"""Two trades of US.AAPL before the market; the upper half of a sequence is a second."""

FIRST_OF_THE_NIGHT = seconds("2025-04-06 20:01:00")
"""The label of the first minute of the overnight session, minute 1201 of its day."""

FIRST_CANDLE = seconds("2025-04-07 09:31:00")
LAST_CANDLE = seconds("2025-04-07 16:00:00")
"""The labels of the first and the last candle of a minute of the usual hours, of which 390 are."""
