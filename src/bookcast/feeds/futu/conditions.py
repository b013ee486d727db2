"""What is special about a trade: OpenD's ``TickerType`` as a word, and whether it moves the price.

In the US the sale conditions of the consolidated tapes (CTA and UTP plans) decide: each has a
column "update last". OpenD's numbers follow those conditions. Where the tapes answer "only if it is
the first trade of the day", one print can't tell, and the answer here is no. Elsewhere there is no
such table: a print that is too small, too late or negotiated doesn't move the price.

Which number OpenD gives for which condition is read from the names in ``Qot_Common.proto``; no real
OpenD has proven it.
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
"""``Qot_Common.TickerType``. Unknown (0) and the usual automatic match (1) have no word."""

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
"""What doesn't move the last price of a US security."""

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
"""The same in every other market."""


def updates_last(condition: str | None, prefix: str) -> bool:
    """Return whether a trade of a market may move the last price; one without a condition does."""
    return condition not in (KEEP_LAST_US if prefix == "US" else KEEP_LAST)
