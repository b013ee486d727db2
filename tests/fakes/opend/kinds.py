"""What kind of security a code names, and what it costs.

Written down once more: the feed's own reading is what gets tested.
"""

from __future__ import annotations

import re

from tests.fakes.opend.wire import Key, SubType

Unit = tuple[str, object]
"""The pool that it is of, and what it is."""

SF_SECURITIES = 50


def kind_of(code: str) -> str:
    """Return ``option``, ``future``, ``index`` or ``stock``."""
    market, _, bare = code.partition(".")
    if re.search(r"[A-Z]\d{6}[CP]\d+$", bare):
        return "option"
    if market == "HK_FUTURE" or re.search(r"(?<!BK)(main|[A-Z]+\d*\d{4})$", bare):
        return "stock" if bare.startswith("BK") or market in {"SH", "SZ"} else "future"
    if bare.startswith(".") or code.startswith("HK.800"):
        return "index"
    return "stock"


def units_of(key: Key, *, sf: bool) -> set[Unit]:
    """Return the units that a subscription costs in the account's pools."""
    code, subtype = key
    if kind_of(code) == "option":
        chain = re.sub(r"[CP]\d+$", "", code)
        return {("option", (chain, subtype))}
    units: set[Unit] = {("stock", key)}
    books = {SubType.ORDER_BOOK, SubType.ORDER_BOOK_ODD, SubType.BROKER}
    if sf and code.startswith("HK.") and kind_of(code) == "stock" and subtype in books:
        units.add(("sf_book", code))
    return units
