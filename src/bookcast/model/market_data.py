"""Market data: books, quotes, trades, candles, brokers. Frozen values.

Those that hold numbers and text alone are left out of the garbage collector's rounds.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import msgspec

from bookcast.model.numbers import Number, whole
from bookcast.model.topics import Channel

MAX_TIME_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999, after which times can't be written."""


CHECKSUM_LEVELS: Final = 10
"""So many levels of each side a book's checksum covers."""


MAX_NUMBER: Final = 2.0**53
"""Prices and sizes stay below this magnitude, so that every JSON reader holds them exactly."""


TradingSession = Literal[
    "pre", "regular", "after", "overnight", "night", "auction", "closing_auction", "break"
]
"""The session a security is in.

``pre``, ``regular``, ``after`` and ``overnight`` are those of stocks; ``night`` is the evening
session of futures; ``auction`` collects orders for the open, ``closing_auction`` for the close; in
a ``break`` nothing trades until the session goes on.
"""


class Order(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One order that stands in a book; ``id`` is the exchange's."""

    id: int | str
    size: Number


class Level(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """One price of a book. ``size`` is in shares or contracts, ``orders`` counts the orders."""

    price: Number
    size: Number
    orders: int | None = None


class DetailedLevel(Level, frozen=True, gc=False):
    """A level whose source tells its orders, first come first."""

    details: tuple[Order, ...] = ()


class Sides(NamedTuple):
    """Levels of both sides of a book, best first."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class Book(msgspec.Struct, frozen=True):
    """An order book, best level first on both sides; whole prices and sizes are integers.

    Base clients get a book as its source wrote it. ``published`` is the JSON object exactly as an
    outside publisher gave it; a feed of ours leaves it None. ``written`` has a feed's levels where
    it wrote them otherwise, for instance a price as 134.0.
    """

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    published: msgspec.Raw | None = None
    written: Sides | None = None

    @classmethod
    def of(
        cls,
        bids: tuple[Level, ...],
        asks: tuple[Level, ...],
        published: msgspec.Raw | None = None,
    ) -> Book:
        """Make a book of levels as their source wrote them."""
        sides = Sides(_with_whole(bids), _with_whole(asks))
        if published is not None or (sides.bids is bids and sides.asks is asks):
            return cls(*sides, published)
        return cls(*sides, None, Sides(bids, asks))

    def as_written(self) -> Sides:
        """Return the levels as their source wrote them, as far as that is known."""
        return self.written or Sides(self.bids, self.asks)


def _with_whole(side: tuple[Level, ...]) -> tuple[Level, ...]:
    """Return a side with whole prices and sizes as integers, the same one where all are.

    Every book of a feed, and every one that comes from Redis, passes here.
    """
    made: list[Level] | None = None
    for index, level in enumerate(side):
        price, size = level.price, level.size
        if (type(price) is float and price.is_integer()) or (
            type(size) is float and size.is_integer()
        ):
            made = list(side) if made is None else made
            made[index] = msgspec.structs.replace(level, price=whole(price), size=whole(size))
    return side if made is None else tuple(made)


class ExtendedQuote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The figures of the hours before or after the usual ones, in the units of a quote.

    ``change`` and ``change_rate`` compare with the close of the usual hours before. Some markets
    have a ``volume`` and no price.
    """

    last: Number | None = None
    high: Number | None = None
    low: Number | None = None
    volume: Number | None = None
    turnover: Number | None = None
    change: Number | None = None
    change_rate: Number | None = None
    amplitude: Number | None = None


OptionStyle = Literal["american", "european", "bermudan"]
"""When an option may be exercised."""


class OptionFigures(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What an option has besides its quote.

    ``size`` is what one contract covers, ``multiplier`` what a price counts for in money; ``oi`` is
    the open interest in contracts, ``net_oi`` the net one; ``iv`` is the implied volatility.
    ``days_left`` until it expires; below 0 it has.
    """

    strike: Number | None = None
    multiplier: Number | None = None
    size: Number | None = None
    oi: Number | None = None
    net_oi: Number | None = None
    iv: Number | None = None
    premium: Number | None = None
    delta: Number | None = None
    gamma: Number | None = None
    vega: Number | None = None
    theta: Number | None = None
    rho: Number | None = None
    days_left: int | None = None
    style: OptionStyle | None = None


class FutureFigures(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a future has besides its quote: settlement, open interest and its change today."""

    prev_settle: Number | None = None
    oi: Number | None = None
    oi_change: Number | None = None
    days_left: int | None = None


class WarrantFigures(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a warrant has besides its quote."""

    delta: Number | None = None
    iv: Number | None = None
    premium: Number | None = None


GreyMarket = Literal["pending", "trading", "ended"]
"""How far a share's grey market is, where it is traded before it is listed."""


class Quote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The basic figures of a symbol; None where unknown.

    Prices are in the symbol's currency, ``volume`` in shares or contracts, ``turnover`` in the
    currency; ``bid`` and ``ask`` are the best prices. ``suspended``: it isn't traded now.
    ``session`` is the one its market has now; ``pre``, ``after`` and ``overnight`` tell of the
    hours around the usual ones, to which all other figures belong. ``security_status`` is one word
    for what its exchange does with it; ``dark`` is about the grey market. Rates, amplitudes,
    premiums and volatilities are percentages: 31.5 is 31.5 %.
    """

    last: Number | None = None
    open: Number | None = None
    high: Number | None = None
    low: Number | None = None
    prev_close: Number | None = None
    volume: Number | None = None
    turnover: Number | None = None
    bid: Number | None = None
    ask: Number | None = None
    suspended: bool | None = None
    session: TradingSession | None = None
    pre: ExtendedQuote | None = None
    after: ExtendedQuote | None = None
    overnight: ExtendedQuote | None = None
    turnover_rate: Number | None = None
    amplitude: Number | None = None
    tick_size: Number | None = None
    name: str | None = None
    security_status: str | None = None
    dark: GreyMarket | None = None
    option: OptionFigures | None = None
    future: FutureFigures | None = None
    warrant: WarrantFigures | None = None


class Trade(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One trade. ``timestamp``: milliseconds since 1970. ``side``: who took liquidity.

    ``backfill`` marks a trade that happened before the feed began to listen. ``condition`` is one
    word for what is special about it, None for a usual trade; ``condition_sign`` is the exchange's
    own sign for that. Where ``updates_last`` is False, the last price stays what it was.
    """

    price: Number
    size: Number
    side: Literal["buy", "sell", "neutral"]
    timestamp: Number
    id: str | int | None = None
    backfill: bool = False
    condition: str | None = None
    condition_sign: int | None = None
    updates_last: bool = True
    turnover: Number | None = None


class Trades(msgspec.Struct, frozen=True):
    """Trades that were published together, oldest first; at least one."""

    trades: tuple[Trade, ...]


class Candle(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What happened in one period. ``time``: its beginning, in milliseconds since 1970.

    A candle that isn't ``final`` is still forming, and the next one replaces it. ``revised``: it
    was final before, and its source has corrected it since. ``prev_close``: the close before it.
    """

    time: Number
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number
    turnover: Number | None = None
    final: bool
    prev_close: Number | None = None
    revised: bool = False


class Broker(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A broker in the queue of one side. ``pos`` counts price levels from the best one, 1.

    ``order`` is the exchange's number of the order that stands there, ``size`` its shares, where
    the source tells single orders.
    """

    id: str | int
    name: str
    pos: int
    order: str | int | None = None
    size: Number | None = None


class Brokers(msgspec.Struct, frozen=True):
    """Who stands in the queues of both sides, best first."""

    bids: tuple[Broker, ...]
    asks: tuple[Broker, ...]


class TimePoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One minute of the day's line. ``time``: its beginning, in milliseconds since 1970.

    ``average`` is the day's average price so far; ``volume`` and ``turnover`` are the minute's.
    """

    time: Number
    price: Number
    average: Number | None = None
    prev_close: Number | None = None
    volume: Number | None = None
    turnover: Number | None = None


Data = Book | Quote | Trades | Candle | Brokers | TimePoint


LOSSLESS: Final[frozenset[Channel]] = frozenset({"trades", "candles"})
"""Channels of which every update may count."""


def is_lossless(data: Data) -> bool:
    """Return whether every such update must be delivered: trades, and final candles."""
    return isinstance(data, Trades) or (isinstance(data, Candle) and data.final)
