"""Other vendors' names of markets, indexes, futures and coins, with OpenD's names for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_US, _HK, _SH, _SZ, _CC = ("US",), ("HK",), ("SH",), ("SZ",), ("CC",)
_CHINA: Final = ("CN",)
"""Shanghai or Shenzhen, depending on the number."""

SUFFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("US", "O", "OQ", "N", "NYSE"), _US),
    **dict.fromkeys(("HK", "HKG"), _HK),
    **dict.fromkeys(("SH", "SS", "SHA", "XSHG", "SSE"), _SH),
    **dict.fromkeys(("SZ", "SHE", "XSHE", "SZSE"), _SZ),
    **dict.fromkeys(("T", "TYO", "JP", "TSE"), ("JP",)),
    **dict.fromkeys(("SI", "SG", "SES"), ("SG",)),
    **dict.fromkeys(("KL", "MY"), ("MY",)),
    **dict.fromkeys(("AX", "AU"), ("AU",)),
    **dict.fromkeys(("TO", "CA"), ("CA",)),
    "CN": _CHINA,
    "CC": _CC,
}
"""Suffixes of Yahoo, Reuters and others, after the code and a dot."""

BLOOMBERG: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("US", "UW", "UN", "UQ", "UR", "UA"), _US),
    "HK": _HK,
    **dict.fromkeys(("CH", "CG", "CS", "C1", "C2"), _CHINA),
    **dict.fromkeys(("JP", "JT"), ("JP",)),
    "SP": ("SG",),
    "MK": ("MY",),
    **dict.fromkeys(("AU", "AT"), ("AU",)),
    **dict.fromkeys(("CN", "CT"), ("CA",)),
}
"""Suffixes of Bloomberg, after the code and a space."""

EXCHANGES: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(
        (
            *("NASDAQ", "NASDAQGS", "NASDAQGM", "NASDAQCM", "XNAS", "NSQ"),
            *("NYSE", "NYSEARCA", "NYSEAMERICAN", "NYSEMKT", "XNYS", "NYQ", "AMEX", "XASE"),
            *("ARCA", "ARCX", "BATS", "CBOE", "IEX", "OTC", "OTCMKTS", "PINK", "O"),
            *("CME", "CMEMINI", "CBOT", "CBOTMINI", "NYMEX", "NYMEXMINI", "COMEX", "COMEXMINI"),
            *("INDEX", "INDEXSP", "INDEXDJX", "INDEXNASDAQ", "INDEXCBOE", "INDEXRUSSELL", "I"),
            *("SP", "DJ", "TVC", "DJCFD", "SPCFD"),
        ),
        _US,
    ),
    **dict.fromkeys(("HKEX", "SEHK", "HKSE", "HKG", "XHKG", "HKFE", "HSI", "INDEXHANGSENG"), _HK),
    **dict.fromkeys(("SSE", "SHA", "SHSE", "XSHG"), _SH),
    **dict.fromkeys(("SZSE", "SHE", "XSHE"), _SZ),
    # TSE means Tokyo or Toronto: codes of the first have digits, codes of the second letters.
    "TSE": ("JP", "CA"),
    **dict.fromkeys(("TYO", "JPX", "XTKS", "OSE"), ("JP",)),
    **dict.fromkeys(("TSX", "TSXV", "XTSE"), ("CA",)),
    **dict.fromkeys(("SGX", "SES", "XSES"), ("SG",)),
    **dict.fromkeys(("ASX", "XASX"), ("AU",)),
    **dict.fromkeys(("MYX", "KLSE", "BURSA", "XKLS"), ("MY",)),
    **dict.fromkeys(
        (
            *("X", "CRYPTO", "BINANCE", "COINBASE", "KRAKEN", "BITSTAMP", "BITFINEX", "BYBIT"),
            *("OKX", "GEMINI", "KUCOIN", "HUOBI", "HTX", "BITMEX", "CRYPTOCOM"),
        ),
        _CC,
    ),
}
"""Names of exchanges before a colon, without spaces and underscores."""

CLOSE: Final = ("SHSE", "SZSE", "XSHG", "XSHE", "NASDAQ", "NYSE", "SEHK", "HKEX", "SSE")
"""Those of them that are also written before a dot."""

INDEXES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("SPX", "GSPC", "INX", "SP500"), "US..SPX"),
    **dict.fromkeys(("DJI", "DJIA"), "US..DJI"),
    **dict.fromkeys(("IXIC", "CCMP", "COMPX"), "US..IXIC"),
    "NDX": "US..NDX",
    "RUT": "US..RUT",
    "VIX": "US..VIX",
    "HSI": "HK.800000",
    **dict.fromkeys(("HSCE", "HSCEI"), "HK.800100"),
    **dict.fromkeys(("HSTECH", "HSTEC"), "HK.800700"),
    **dict.fromkeys(("SSEC", "SHCOMP"), "SH.000001"),
    **dict.fromkeys(("SZCOMP", "SZSC"), "SZ.399001"),
    **dict.fromkeys(("CSI300", "SHSZ300"), "SH.000300"),
}
"""Names of indexes that aren't codes of US stocks."""

INDEX_NAMES: Final[Mapping[str, str]] = {
    **INDEXES,
    **dict.fromkeys(("COMP", "COMPQ"), "US..IXIC"),
    "INDU": "US..DJI",
}
"""Names of indexes after a sign (``^``, ``$``, ``.``); some of them are codes of stocks too."""

FUTURES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("HSI", "MHI", "HHI", "MCH", "HTI"), "HK"),
    **dict.fromkeys(("CN", "TWN", "SGP"), "SG"),
    **dict.fromkeys(("NK225", "NK225M", "TOPIX"), "JP"),
    **dict.fromkeys(
        (
            *("ES", "NQ", "YM", "RTY", "MES", "MNQ", "MYM", "M2K", "CL", "MCL", "QM", "NG"),
            *("RB", "HO", "GC", "MGC", "SI", "SIL", "HG", "PL", "PA", "ZB", "ZN", "ZF", "ZT"),
            *("ZC", "ZS", "ZW", "ZL", "ZM", "LE", "HE", "6A", "6B", "6C", "6E", "6J", "6S"),
            *("NKD", "MBT", "VX"),
        ),
        "US",
    ),
}
"""The markets of well-known futures, by their roots."""

CONTINUOUS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"([A-Z0-9]{1,6}?)=F",  # Yahoo
        r"([A-Z0-9]{1,6}?)\d!",  # TradingView
        r"[/@]([A-Z0-9]{1,6})",  # thinkorswim, TradeStation
    )
)
"""Other vendors' forms of the main contract."""

MONTHS: Final = {letter: f"{number:02}" for number, letter in enumerate("FGHJKMNQUVXZ", 1)}
"""The month of a contract by its letter."""

COINS: Final[Mapping[str, str]] = {
    **{
        coin: coin
        for coin in (
            *("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "LTC", "BCH", "DOT", "AVAX", "LINK"),
            *("UNI", "MATIC", "SHIB", "TRX", "XLM", "ETC", "ATOM", "NEAR", "AAVE", "BNB", "SUI"),
        )
    },
    "XBT": "BTC",
}
"""Cryptocurrencies that are recognised without a separator before the dollar."""

FIAT: Final = frozenset(
    (
        *("AUD", "CAD", "CHF", "CNH", "CNY", "EUR", "GBP", "HKD", "JPY"),
        *("KRW", "MYR", "NZD", "SGD", "TWD", "USD", "XAU", "XAG"),
    )
)
"""Currencies whose pair with the dollar isn't a pair of a cryptocurrency."""
