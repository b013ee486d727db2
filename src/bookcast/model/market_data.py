"""Market data: books, quotes, trades, candles, brokers. All values are frozen.

Structs that hold only numbers and text are excluded from garbage collection (``gc=False``).
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import msgspec

from bookcast.model.numbers import Number, whole
from bookcast.model.topics import Channel

MAX_TIME_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999. Later times can't be formatted."""


CHECKSUM_LEVELS: Final = 10
"""A book's checksum covers so many levels of each side."""


MAX_NUMBER: Final = 2.0**53
"""Prices and sizes stay below this magnitude, so that every JSON reader holds them exactly."""


TradingSession = Literal[
    "pre", "regular", "after", "overnight", "night", "auction", "closing_auction", "break"
]
"""The trading session of a security.

``pre``, ``regular``, ``after`` and ``overnight`` are those of stocks. ``night`` is the evening
session of futures. ``auction`` collects orders for the open, ``closing_auction`` for the close. In
a ``break`` nothing trades until the session continues.
"""


class Order(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One order in a book. ``id`` is the exchange's number of it."""

    id: int | str
    size: Number


class Level(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """One price level of a book. ``size``: shares or contracts; ``orders``: number of orders."""

    price: Number
    size: Number
    orders: int | None = None


class DetailedLevel(Level, frozen=True, gc=False):
    """A level with its single orders, oldest first."""

    details: tuple[Order, ...] = ()


class Sides(NamedTuple):
    """Levels of both sides of a book, best first."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class Book(msgspec.Struct, frozen=True):
    """An order book, best level first on both sides. Whole prices and sizes are integers.

    Clients of the base protocol get a book as its source wrote it. ``published`` is the publisher's
    JSON object, byte for byte; None for a book of a feed. ``written`` has a feed's levels as it
    wrote them, where they differ, for instance in a price of 134.0; else None.
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
        """Return a book made from levels as their source wrote them."""
        sides = Sides(_with_whole(bids), _with_whole(asks))
        if published is not None or (sides.bids is bids and sides.asks is asks):
            return cls(*sides, published)
        return cls(*sides, None, Sides(bids, asks))

    def as_written(self) -> Sides:
        """Return the levels as their source wrote them, as far as that is known."""
        return self.written or Sides(self.bids, self.asks)


def _with_whole(side: tuple[Level, ...]) -> tuple[Level, ...]:
    """Return a side with whole prices and sizes as integers; the same tuple if nothing changes.

    It is a hot path: every book of a feed and every book from Redis passes it.
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
    """The figures of a session outside regular hours, in the units of a quote.

    ``change`` and ``change_rate`` compare with the last close of the regular hours. Some markets
    report a ``volume`` but no price.
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
    """The figures of an option besides its quote.

    ``size``: what one contract covers, in shares or units. ``multiplier``: money per unit of price.
    ``oi``: open
    interest in contracts; ``net_oi``: net open interest. ``iv``: implied volatility. ``days_left``:
    days until expiry, negative after it.
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
    """The figures of a future besides its quote: settlement, open interest and its change today."""

    prev_settle: Number | None = None
    oi: Number | None = None
    oi_change: Number | None = None
    days_left: int | None = None


class WarrantFigures(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The figures of a warrant besides its quote."""

    delta: Number | None = None
    iv: Number | None = None
    premium: Number | None = None


GreyMarket = Literal["pending", "trading", "ended"]
"""The state of a share's grey market, where it trades before it is listed."""


class Quote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The basic figures of a symbol; None where unknown.

    Prices are in the symbol's currency, ``volume`` is in shares or contracts, ``turnover`` in the
    currency. ``bid`` and ``ask`` are the best prices. ``suspended``: the security isn't traded now.
    ``session`` is the market's session now. ``pre``, ``after`` and ``overnight`` have the figures
    of those sessions; all other figures belong to the regular hours. ``security_status`` is one
    word for the exchange's status of the security; ``dark`` is the state of the grey market. Rates,
    amplitudes, premiums and volatilities are percentages: 31.5 is 31.5 %.
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
    """One trade. ``timestamp``: milliseconds since 1970. ``side``: the side that took liquidity.

    ``backfill``: the trade happened before the feed subscribed. ``condition``: one word for what is
    special about it, None for a regular trade. ``condition_sign``: the exchange's own sign for
    that. ``updates_last``: False if the trade doesn't change the last price.
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
    """Trades that were published together, oldest first. There is at least one."""

    trades: tuple[Trade, ...]


class Candle(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The trading of one period. ``time``: the period's beginning, in milliseconds since 1970.

    A candle that isn't ``final`` is still forming; the next update replaces it. ``revised``: it was
    final before, and its source has corrected it. ``prev_close``: the close of the period before.
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
    """A broker in the queue of one side. ``pos``: the price level, 1 is the best.

    ``order`` is the exchange's number of the order, ``size`` its shares; None where the source
    doesn't report single orders.
    """

    id: str | int
    name: str
    pos: int
    order: str | int | None = None
    size: Number | None = None


class Brokers(msgspec.Struct, frozen=True):
    """The broker queues of both sides, best price first."""

    bids: tuple[Broker, ...]
    asks: tuple[Broker, ...]


class TimePoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One minute of the intraday line. ``time``: its beginning, in milliseconds since 1970.

    ``average`` is the day's average price so far. ``volume`` and ``turnover`` are those of the
    minute.
    """

    time: Number
    price: Number
    average: Number | None = None
    prev_close: Number | None = None
    volume: Number | None = None
    turnover: Number | None = None


Data = Book | Quote | Trades | Candle | Brokers | TimePoint


LOSSLESS: Final[frozenset[Channel]] = frozenset({"trades", "candles"})
"""Event channels: clients must not miss a trade or a final candle."""


def is_lossless(data: Data) -> bool:
    """Return whether no such update may be skipped: true for trades and final candles."""
    return isinstance(data, Trades) or (isinstance(data, Candle) and data.final)
