"""Suggests codes for a refused symbol: translates forms of other vendors into OpenD's.

Only OpenD knows whether a code exists. So suggestions are made only for a symbol that OpenD has
refused, and nothing is looked up. Each reader takes one form (a suffix, an exchange's prefix, an
OCC option, a pair of cryptocurrencies, an index, a future) and yields OpenD's codes for it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Final

from bookcast.feeds.futu.vendor_codes import (
    BLOOMBERG,
    CLOSE,
    COINS,
    CONTINUOUS,
    EXCHANGES,
    FIAT,
    FUTURES,
    INDEX_NAMES,
    INDEXES,
    MONTHS,
    SUFFIXES,
)
from bookcast.model.topics import MARKETS, MAX_SYMBOL_LENGTH, Symbol

MAX_HINTS: Final = 5

Codes = Iterator[str]
"""Suggested symbols in canonical form, the likeliest first."""

_PREFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    **{market: (market,) for market in sorted(MARKETS - {"EC"})},
    "HK_FUTURE": ("HK",),
}
_DOTTED: Final = {**_PREFIXES, **{name: EXCHANGES[name] for name in CLOSE}}
_NAMED: Final = {**EXCHANGES, **_PREFIXES}

_COLON: Final = re.compile(r"([A-Z_ ]+):(.+)")
_DOT: Final = re.compile(r"([A-Z_]{2,})\.(.+)")
_SEPARATED: Final = re.compile(r"(HK|US|SH|SZ|SG|JP|GB)[-/_ ](..+)")
_JOINED: Final = re.compile(r"(HK|SH|SZ)(\d{4,6})")
_SUFFIX: Final = re.compile(r"(.+)\.([A-Z]+)")
_FACTSET: Final = re.compile(r"(.+)-(HK|US|JP|SG|AU|CA|CN)")
_BEHIND: Final = re.compile(r"(.+):([A-Z0-9]+)")
_BLOOMBERG: Final = re.compile(r"(.+) ([A-Z][A-Z0-9])")
_KIND: Final = re.compile(r" (EQUITY|INDEX|COMDTY|CURNCY)$")
"""The last word of a Bloomberg code."""

_OPTION: Final = re.compile(r"([.-]?)([A-Z]{1,6}\d?)([ _]*)(\d{6})([CP])(\d+(?:\.\d+)?)")
_FUTURE: Final = re.compile(r"([A-Z0-9]*[A-Z][A-Z0-9]*?)(MAIN|CURRENT|NEXT|\d{4})")
_MONTH: Final = re.compile(r"([A-Z0-9]{1,5}?)([FGHJKMNQUVXZ])(?:20)?(\d\d)")
_PAIR: Final = re.compile(r"([A-Z0-9]{2,10}?)([-/_ ]?)(USDT|USDC|USD)(?:\.P|=X)?")
_TICKER: Final = re.compile(r"([A-Z]{1,5})(?:[-./_ ]([A-Z]|WS|RT))?")
_PLATE: Final = re.compile(r"(?:BK|LIST)\d+")

_TOKYO: Final = re.compile(r"[1-9]\d\d[0-9A-Z]")
_OTHERS: Final[Mapping[str, re.Pattern[str]]] = {
    "JP": _TOKYO,
    "SG": re.compile(r"(?=.*[A-Z])[A-Z0-9]{2,4}"),
    "MY": re.compile(r"\d{4}[A-Z0-9]{0,2}"),
    "AU": re.compile(r"(?=.*[A-Z])[A-Z0-9]{3,6}"),
    "CA": re.compile(r"[A-Z]{1,5}(?:\.[A-Z]{1,2})*"),
}
"""The form of codes in markets where writing a code in capital letters is enough."""

_HONG_KONG_DIGITS: Final = 5
_CHINA_DIGITS: Final = 6
_PAIR_LENGTH: Final = 6
"""The minimum length of a pair of cryptocurrency and quote currency."""


@lru_cache(maxsize=4096)  # called repeatedly while a topic is refused
def hints(symbol: Symbol, *, may_exist: bool = True) -> tuple[Symbol, ...]:
    """Return the symbols that may be meant by a refused one, the likeliest first.

    Args:
        symbol: in canonical form. Its market may come from the default market rather than from the
            user: ``0700.HK`` arrives as ``US.0700.HK``.
        may_exist: True: a code that is valid in its market has no suggestions, since perhaps only
            the right to it is missing. False: such a code is also read as one of other markets.
    """
    market, _, typed = symbol.partition(".")
    text = " ".join(unicodedata.normalize("NFKC", typed).split()).strip("'\"()[]")
    if not text.isascii():
        return ()
    text = _KIND.sub("", text.upper())
    found = dict.fromkeys(_read(text, market))
    if symbol in found:
        found = dict.fromkeys(() if may_exist else _elsewhere(text, market))
    return tuple(Symbol(one) for one in found if one != symbol)[:MAX_HINTS]


def _read(text: str, market: str) -> Codes:
    if not text or len(text) > MAX_SYMBOL_LENGTH or market == "EC":
        return
    for markets, rest in _named(text):
        found = [code for named in markets for code in _IN_MARKET[named](rest)]
        yield from found or _anywhere(rest)
        return
    found = list(_IN_MARKET[market](text))
    yield from found or _anywhere(text)


def _elsewhere(text: str, market: str) -> Codes:
    """Yield the readings of a code as one of other markets, though it is valid in its own."""
    may_be_american = market in {"SG", "AU", "CA"} and text.isalpha()
    if market in {"SH", "SZ"} or may_be_american or text in COINS:
        yield from _anywhere(text)


def _named(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the markets that a text names before or after the code, and the rest of the text."""
    for pattern, names in (
        (_COLON, _NAMED),
        (_DOT, _DOTTED),
        (_SEPARATED, {**_PREFIXES, "GB": ("US",)}),
        (_JOINED, _PREFIXES),
    ):
        if (match := pattern.fullmatch(text)) and (markets := names.get(_plain(match[1]))):
            yield markets, match[2].strip()
    for pattern, suffixes in (
        (_SUFFIX, {**_DOTTED, **SUFFIXES}),
        (_FACTSET, SUFFIXES),
        (_BEHIND, {**_NAMED, **SUFFIXES, **BLOOMBERG}),
        (_BLOOMBERG, BLOOMBERG),
    ):
        if (match := pattern.fullmatch(text)) and (markets := suffixes.get(match[2])):
            yield markets, match[1].strip()


def _plain(name: str) -> str:
    return name if name in _PREFIXES else re.sub("[ _]", "", name)


def _anywhere(text: str) -> Codes:
    """Yield the readings of a code that names no market."""
    yield from _pair(text)
    yield from _china(text)
    if text.isdecimal() and (len(text) <= _HONG_KONG_DIGITS or text.startswith("80")):
        yield from _hong_kong(text)
    if _TOKYO.fullmatch(text):
        yield f"JP.{text}"
    yield from _united_states(text)


# Market by market. Texts are in capital letters.


def _united_states(text: str) -> Codes:
    option = list(_option(text, "US"))
    index = list(_index(text))
    future = list(_future(text, "US"))
    yield from option or index or future
    if option or index or future:
        return
    text = text.removeprefix("$")
    if _PLATE.fullmatch(text):
        yield f"US.{text}"
    elif match := _TICKER.fullmatch(text):
        yield f"US.{match[1]}.{match[2]}" if match[2] else f"US.{match[1]}"
        if text in COINS:
            yield f"CC.{COINS[text]}USD"


def _hong_kong(text: str) -> Codes:
    if text.isdecimal():
        number = text.lstrip("0")
        if 0 < len(number) <= _HONG_KONG_DIGITS:
            yield f"HK.{number.zfill(_HONG_KONG_DIGITS)}"
        elif number.startswith("80") and len(number) == _CHINA_DIGITS:
            yield f"HK.{number}"  # an index
        return
    if FUTURES.get(text) == "HK":
        yield from _index(text)
        yield f"HK.{text}main"
    elif _PLATE.fullmatch(text):
        yield f"HK.{text}"
    else:
        yield from list(_option(text, "HK")) or [*_index(text), *_future(text, "HK")]


def _china(text: str) -> Codes:
    """Yield the codes of a number in Shanghai and Shenzhen. Its range shows which have it."""
    if len(text) == _CHINA_DIGITS and text.isdecimal():
        if _is_shenzhen(text):
            yield f"SZ.{text}"
        if _is_shanghai(text):
            yield f"SH.{text}"


def _mainland(market: str) -> Callable[[str], Codes]:
    def read(text: str) -> Codes:
        codes = list(_china(text))
        own = f"{market}.{text}"
        if own in codes or _PLATE.fullmatch(text):
            yield own
        else:
            yield from codes
            yield from _index(text)

    return read


def _is_shanghai(number: str) -> bool:
    """Return whether Shanghai has such a number.

    Those are stocks, funds and B shares; indexes (000), bonds (1), repurchases (204), offers (7).
    """
    return number[0] in "5679" or number.startswith(("000", "10", "11", "13", "204", "88"))


def _is_shenzhen(number: str) -> bool:
    """Return whether Shenzhen has such a number.

    Those are stocks, the growth market, B shares; funds and bonds (1), indexes (399).
    """
    return number[0] in "0123"


def _crypto(text: str) -> Codes:
    match = _PAIR.fullmatch(text)
    coin = match[1] if match else text
    if re.fullmatch("[A-Z0-9]{2,10}", coin):
        yield (
            f"CC.{COINS.get(coin, coin)}USD" if match or len(coin) < _PAIR_LENGTH else f"CC.{coin}"
        )


def _other(market: str) -> Callable[[str], Codes]:
    pattern = _OTHERS[market]

    def read(text: str) -> Codes:
        future = list(_future(text, market)) if market in FUTURES.values() else []
        yield from future
        if not future and pattern.fullmatch(text):
            yield f"{market}.{text}"

    return read


def _foreign_exchange(text: str) -> Codes:
    if re.fullmatch("[A-Z]{6}", text):
        yield f"FX.{text}"


_IN_MARKET: Final[Mapping[str, Callable[[str], Codes]]] = {
    "US": _united_states,
    "HK": _hong_kong,
    "SH": _mainland("SH"),
    "SZ": _mainland("SZ"),
    "CC": _crypto,
    "FX": _foreign_exchange,
    "CN": _china,
    **{market: _other(market) for market in _OTHERS},
}


# Form by form


def _option(text: str, market: str) -> Codes:
    """Yield the code of an option in the OCC's form, with or without its padding.

    OpenD writes the strike price in thousandths, without leading zeros.
    """
    match = _OPTION.fullmatch(text)
    if match is None:
        return
    sign, root, gap, date, right, strike = match.groups()
    if not _is_date(date) and gap == "_":
        date = date[4:] + date[:4]  # this form has the year last
    if not _is_date(date):
        return
    in_dollars = bool(sign) or "_" in gap or "." in strike
    thousandths = Decimal(strike) * 1000 if in_dollars else Decimal(strike)
    if thousandths and thousandths == int(thousandths):
        yield f"{market}.{root}{date}{right}{int(thousandths)}"


def _is_date(text: str) -> bool:
    return 1 <= int(text[2:4]) <= 12 and 1 <= int(text[4:]) <= 31  # noqa: PLR2004 - a calendar's


def _pair(text: str) -> Codes:
    """Yield the code of a pair of a cryptocurrency and the dollar, or a dollar coin."""
    match = _PAIR.fullmatch(text)
    if match is None:
        return
    coin, separator, quote = match.groups()
    known = coin in COINS
    if coin not in FIAT and (known or separator or quote != "USD"):
        yield f"CC.{COINS.get(coin, coin)}USD"


def _index(text: str) -> Codes:
    """Yield the code of an index: a name with another vendor's sign, or one that no stock has."""
    name = text.lstrip("^$.").removesuffix(".X")
    signed = name != text
    if signed and name in INDEX_NAMES:
        yield INDEX_NAMES[name]
    elif name in INDEXES:
        yield INDEXES[name]
    elif text[0] in "^." and re.fullmatch("[A-Z0-9]{1,8}", name):
        yield f"US..{name}"


def _future(text: str, market: str) -> Codes:
    """Yield the code of a future: its main, current or next contract, or that of a month."""
    for pattern in CONTINUOUS:
        if match := pattern.fullmatch(text):
            yield f"{FUTURES.get(match[1], market)}.{match[1]}main"
            return
    if (match := _MONTH.fullmatch(text)) and match[1] in FUTURES:
        yield f"{FUTURES[match[1]]}.{match[1]}{match[3]}{MONTHS[match[2]]}"
    elif match := _FUTURE.fullmatch(text):
        yield f"{FUTURES.get(match[1], market)}.{match[1]}{match[2].lower()}"
