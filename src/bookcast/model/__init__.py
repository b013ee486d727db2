"""What travels the path: symbols, topics, positions, market data. Frozen values that do no I/O.

Those that hold numbers and text alone are left out of the garbage collector's rounds.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple, NewType, get_args

import msgspec

from bookcast.errors import InvalidInput, quoted
from bookcast.numbers import Number, whole

Channel = Literal["orderbook", "quote", "trades", "candles", "brokers", "timeframe"]

CHANNELS: Final[tuple[Channel, ...]] = get_args(Channel)

Period = Literal[
    "1m", "3m", "5m", "10m", "15m", "30m", "1h", "2h", "3h", "4h", "1d", "1w", "1M", "1Q", "1Y"
]
"""How long a candle lasts: m minutes, h hours, d day, w week, M month, Q quarter, Y year."""

PERIODS: Final[tuple[Period, ...]] = get_args(Period)

ODD: Final = "odd"
"""The variant of a book of odd lots, which is traded beside the usual one."""

TradingSession = Literal[
    "pre", "regular", "after", "overnight", "night", "auction", "closing_auction", "break"
]
"""The session a security is in.

``pre``, ``regular``, ``after`` and ``overnight`` are those of stocks; ``night`` is the evening
session of futures; ``auction`` collects orders for the open, ``closing_auction`` for the close; in
a ``break`` nothing trades until the session goes on.
"""

Symbol = NewType("Symbol", str)
"""A symbol in its canonical spelling, ``MARKET.CODE``, for instance ``US.AAPL``."""

MARKETS: Final = frozenset(
    {"HK", "US", "SH", "SZ", "HK_FUTURE", "SG", "JP", "AU", "MY", "CA", "FX", "CC", "EC"}
)
"""The market prefixes OpenD knows. A prefix outside this list is part of the code (``BRK.B``)."""

FUTURES_OF_HK: Final = "HK_FUTURE"
"""An old name of the market HK, for its futures: ``HK_FUTURE.HSImain`` is ``HK.HSImain``."""

MAX_SYMBOL_LENGTH: Final = 64

MAX_TIME_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999, after which times can't be written."""

CHECKSUM_LEVELS: Final = 10
"""So many levels of each side a book's checksum covers."""

MAX_NUMBER: Final = 2.0**53
"""Prices and sizes stay below this magnitude, so that every JSON reader holds them exactly."""


def parse_symbol(text: str, default_market: str) -> Symbol:
    """Return the canonical spelling of a symbol as somebody wrote it.

    ``AAPL`` and ``US.AAPL`` are the same symbol when the default market is ``US``, and so are
    ``HK_FUTURE.HSImain`` and ``HK.HSImain`` always. Codes are case-sensitive, since OpenD's are.

    Raises:
        InvalidInput: when the text is empty, too long or not printable, or has no code.
    """
    if not isinstance(text, str):
        raise InvalidInput("invalid_symbol", f"A symbol is text, not {quoted(text)}", path="symbol")
    if not text:
        raise InvalidInput("invalid_symbol", "A symbol can't be empty", path="symbol")
    if len(text) > MAX_SYMBOL_LENGTH:
        raise InvalidInput(
            "invalid_symbol",
            f"A symbol has at most {MAX_SYMBOL_LENGTH} characters, {quoted(text)} has {len(text)}",
            path="symbol",
        )
    if not text.isprintable() or text != text.strip():
        raise InvalidInput(
            "invalid_symbol",
            f"{quoted(text)} is no symbol: that is printable characters with no space around them",
            path="symbol",
        )
    market, dot, code = text.partition(".")
    if not dot or market not in MARKETS:
        market, code = default_market, text
    if not code:
        raise InvalidInput(
            "invalid_symbol", f"Symbol {text!r} names a market but no code", path="symbol"
        )
    return Symbol(f"{'HK' if market == FUTURES_OF_HK else market}.{code}")


_NO_FUTURE: Final = re.compile(r"HK\.([0-9]+|[A-Z0-9]+[0-9]{6}[CP][0-9]+)")
"""Hong Kong's stocks, warrants and indexes have numbers; its options have a date and a strike."""


def names_of(symbol: Symbol) -> tuple[str, ...]:
    """Return all canonical names of a symbol; one that may be a future of Hong Kong has two."""
    market, _, code = symbol.partition(".")
    if market != "HK" or _NO_FUTURE.fullmatch(symbol):
        return (symbol,)
    return symbol, f"{FUTURES_OF_HK}.{code}"


class Topic(NamedTuple):
    """The unit of sequence numbers: one kind of data of one symbol.

    ``variant`` tells apart topics of one channel and symbol: a candle's period, ``odd`` for a book
    of odd lots. Others have none.
    """

    channel: Channel
    symbol: Symbol
    variant: str = ""

    def __str__(self) -> str:
        return f"{self.channel}:{self.symbol}" + (f":{self.variant}" if self.variant else "")


class Position(msgspec.Struct, frozen=True, gc=False):
    """Where a topic stands. ``seq`` grows by 1 per update and compares only within one epoch."""

    epoch: str
    seq: int

    def is_past(self, other: Position) -> bool:
        """Return whether this position of a topic certainly comes after another one of it.

        Two epochs can be compared only if their names begin with a time, as those of Redis do.
        """
        if self.epoch == other.epoch:
            return self.seq > other.seq
        begun, other_begun = _begun(self.epoch), _begun(other.epoch)
        return bool(other_begun) and begun > other_begun


def _begun(epoch: str) -> int:
    """Return when an epoch began, in milliseconds since 1970; 0 if its name doesn't say so."""
    began = epoch.partition("-")[0]
    return int(began) if began.isdecimal() else 0


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


class Gone(NamedTuple):
    """The publisher of a topic's newest update is gone. ``position``: of that update."""

    position: Position
    reason: str


class Once(NamedTuple):
    """What lets a publication be done once, though it comes twice. Both are hashes.

    ``key`` names it; ``content`` tells it from something else under the same key.
    """

    key: bytes
    content: bytes


class Publication(NamedTuple):
    """What a feed or a publisher hands to the engine.

    ``exchange_ms`` and ``feed_ms`` are milliseconds since 1970: when the exchange, and when the
    feed, saw this; None where unknown. ``past``: it happened before anybody asked, and only those
    who ask for history get it. ``resumes``: what came between the last one and this is lost, so a
    new epoch begins. ``once``: it may come twice, and is done once.
    """

    topic: Topic
    data: Data
    exchange_ms: float | None = None
    feed_ms: float | None = None
    past: bool = False
    resumes: bool = False
    once: Once | None = None


class Security(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What can be subscribed. ``tick_size``: the smallest step of its price, where it is now.

    ``kind``: ``stock``, ``fund``, ``index`` and the like; ``lot_size`` in shares or contracts;
    ``session``: the one its market has now. None where unknown.
    """

    symbol: Symbol
    name: str | None = None
    kind: str | None = None
    lot_size: int | None = None
    tick_size: Number | None = None
    session: TradingSession | None = None


QuotaPool = Literal["stock", "option", "sf_book"]
"""What a quota counts: subscriptions, chains of options, or Hong Kong securities (SF right)."""


class Quota(NamedTuple):
    """What may be subscribed where. ``next_free_ms``: in how long some may come free, if known."""

    used: int
    limit: int
    next_free_ms: float | None = None
    pool: QuotaPool = "stock"


class Supply(NamedTuple):
    """How a feed can supply a topic now.

    Attributes:
        source: what the feed calls itself, or how it gets this topic.
        state: ``live`` when data come as soon as there are any; ``pending`` while the feed tries to
            get them; ``halted`` and ``closed`` when the symbol or its market isn't traded;
            ``feed_down`` when the feed is cut off.
        reason: why, in words.
        every_ms: the feed asks for data so often, instead of being sent them.
        quota: what the feed waits for.
        refusal: why somebody refuses to give the topic, in his words.
        did_you_mean: symbols that may have been meant instead of a refused one.
        only_published: the feed never gives this topic, so whoever publishes it is its source.
    """

    source: str
    state: Literal["live", "pending", "halted", "closed", "feed_down"] = "live"
    reason: str | None = None
    every_ms: float | None = None
    quota: Quota | None = None
    refusal: str | None = None
    did_you_mean: tuple[Symbol, ...] = ()
    only_published: bool = False


class Update(msgspec.Struct, frozen=True):
    """A publication that the engine has given its place. ``server_ms``: milliseconds since 1970.

    ``past``: it happened before anybody asked; those who asked for history get it. ``restored``: it
    begins its epoch, and what came before it is lost because the engine was away.
    """

    topic: Topic
    position: Position
    data: Data
    server_ms: float
    exchange_ms: float | None = None
    feed_ms: float | None = None
    past: bool = False
    restored: bool = False


LOSSLESS: Final[frozenset[Channel]] = frozenset({"trades", "candles"})
"""Channels of which every update may count."""


def is_lossless(data: Data) -> bool:
    """Return whether every such update must be delivered: trades, and final candles."""
    return isinstance(data, Trades) or (isinstance(data, Candle) and data.final)
