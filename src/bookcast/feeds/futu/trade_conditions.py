"""Conditions of trades: OpenD's ``TickerType`` as a word, and whether it updates the last price.

In the US the sale conditions of the consolidated tapes (CTA and UTP plans) decide. Each has a
column "update last". OpenD's numbers follow those conditions. Where the tapes say "only if it is
the first trade of the day", a single trade doesn't show that, and the answer here is no. Other
markets have no such table: here a trade that is too small, too late or negotiated doesn't update
the last price.

Which number OpenD uses for which condition is derived from the names in ``Qot_Common.proto``. It
hasn't been verified with a real OpenD.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CONDITIONS: Final[Mapping[int, str]] = {
    2: "late",
    3: "non_automatch",
    4: "internal_automatch",
    5: "internal_non_automatch",
    6: "odd_lot",
    7: "auction",
    8: "bulk",
    9: "cash",
    10: "cross_market",
    11: "bulk_sold",
    12: "price_variation",
    13: "rule_127_155",
    14: "delayed",
    15: "market_center_close",
    16: "next_day",
    17: "market_center_opening",
    18: "prior_reference_price",
    19: "market_center_open",
    20: "seller",
    21: "form_t",
    22: "extended_hours",
    23: "contingent",
    24: "average_price",
    25: "sold_out_of_sequence",
    26: "odd_lot_cross_market",
    27: "derivatively_priced",
    28: "reopening",
    29: "closing",
    30: "composite_delayed",
    31: "overseas",
}
"""The word of each ``Qot_Common.TickerType``; none for unknown (0) and automatic match (1)."""

KEEP_LAST_US: Final = frozenset(
    {
        "late",
        "odd_lot",
        "cash",
        "bulk_sold",
        "price_variation",
        "delayed",
        "market_center_close",
        "next_day",
        "prior_reference_price",
        "market_center_open",
        "seller",
        "form_t",
        "extended_hours",
        "contingent",
        "average_price",
        "sold_out_of_sequence",
        "odd_lot_cross_market",
        "derivatively_priced",
        "composite_delayed",
    }
)
"""Conditions that don't update the last price of a US security."""

KEEP_LAST: Final = frozenset(
    {
        "late",
        "odd_lot",
        "bulk",
        "bulk_sold",
        "delayed",
        "average_price",
        "odd_lot_cross_market",
        "composite_delayed",
    }
)
"""Conditions that don't update the last price in other markets."""


def updates_last(condition: str | None, prefix: str) -> bool:
    """Return whether a trade updates the last price. One without a condition does."""
    return condition not in (KEEP_LAST_US if prefix == "US" else KEEP_LAST)
