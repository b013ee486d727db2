"""The trading hours of each security by the clock, as candles need them.

The tables have regular days, no holidays and no short days. The market's state, where it is known,
takes precedence. All times of a day are minutes in the market's own time: negative on the day
before, above 1440 on the next day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from bookcast.feeds.futu.kinds import HK_INDEX_ROOTS, kind_of, option_chain
from bookcast.feeds.futu.markets import TIME_ZONES
from bookcast.model.numbers import Number
from bookcast.model.topics import Symbol

MINUTE_MS: Final = 60_000
DAY_MINUTES: Final = 24 * 60
MAX_AUCTION: Final = 30
FRIDAY: Final = 4

Span = tuple[int, int]


class TradingDay(NamedTuple):
    """One trading day: its midnights, and when it opens and closes, in ms since 1970."""

    begins: float
    opens: float
    closes: float
    ends: float


class Hours(NamedTuple):
    """The trading hours of one kind of security.

    Attributes:
        sessions: the spans of each session, in order. A candle may continue over a break between
            spans, but not past the end of its session.
        opens, closes: the trading day. ``closes`` includes the closing auction.
        weekends: it trades on Saturday and Sunday too.
        nights: night sessions belong to the trading day that follows.
    """

    sessions: tuple[tuple[Span, ...], ...] = ()
    opens: int = 0
    closes: int = DAY_MINUTES
    weekends: bool = False
    nights: bool = False

    @property
    def ends_at_close(self) -> bool:
        """Whether nothing trades after the day's close."""
        return bool(self.sessions) and all(spans[-1][1] <= self.closes for spans in self.sessions)


def _at(text: str) -> int:
    """Return the minute of the day of a time like ``09:30``; ``27:00`` is on the next day."""
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def _spans(*texts: str) -> tuple[Span, ...]:
    """Return the spans of texts like ``09:30-12:00``."""
    return tuple((_at(begin), _at(end)) for begin, end in (text.split("-") for text in texts))


def _day(*texts: str, closes: str | None = None) -> Hours:
    """Return the hours of a market with one session a day, which may have breaks."""
    spans = _spans(*texts)
    return Hours((spans,), spans[0][0], _at(closes) if closes else spans[-1][1])


_OVERNIGHT: Final = (_at("20:00") - DAY_MINUTES, _at("04:00"))
_PRE, _REGULAR, _AFTER = _spans("04:00-09:30", "09:30-16:00", "16:00-20:00")
_US_DAY: Final = (_at("09:30"), _at("16:00"))

US_STOCKS: Final[Mapping[int, Hours]] = {
    1: Hours(((_REGULAR,),), *_US_DAY),
    2: Hours(((_PRE, _REGULAR, _AFTER),), *_US_DAY),
    3: Hours(((_OVERNIGHT, _PRE, _REGULAR, _AFTER),), *_US_DAY),
}
"""By ``Common.Session``, which decides the hours that OpenD's candles cover."""

STOCKS: Final[Mapping[str, Hours]] = {
    "HK": _day("09:30-12:00", "13:00-16:00", closes="16:10"),
    "SH": _day("09:30-11:30", "13:00-15:00"),
    "SZ": _day("09:30-11:30", "13:00-15:00"),
    "JP": _day("09:00-11:30", "12:30-15:30"),
    "SG": _day("09:00-12:00", "13:00-17:00", closes="17:16"),
    "MY": _day("09:00-12:30", "14:30-16:45", closes="17:00"),
    "AU": _day("10:00-16:00", closes="16:12"),
    "CA": _day("09:30-16:00"),
    "CC": Hours(weekends=True),
}
US_OPTIONS: Final = _day("09:30-16:00", closes="16:15")
US_INDEXES: Final = _day("09:30-16:00")
HK_FUTURES: Final = Hours(
    (_spans("09:15-12:00", "13:00-16:30"), _spans("17:15-27:00")),
    _at("09:15"),
    _at("16:30"),
    nights=True,
)
FUTURES: Final[Mapping[str, Hours]] = {
    "HK": HK_FUTURES,
    "HK_FUTURE": HK_FUTURES,
    "US": Hours(
        (((_at("18:00") - DAY_MINUTES, _at("17:00")),),), _at("09:30"), _at("17:00"), nights=True
    ),
    # Their products have different hours. All have a night session before the day.
    "SG": Hours(opens=_at("07:00"), nights=True),
    "JP": Hours(opens=_at("07:00"), nights=True),
}
UNKNOWN: Final = Hours()
"""Other markets: only their calendar days are known."""


def hours_of(symbol: Symbol, us_session: int = 0) -> Hours:
    """Return the trading hours of a symbol, by the kind that its code shows.

    Args:
        symbol: the symbol.
        us_session: which hours of US stocks are subscribed, as ``Common.Session``; 0: all.
    """
    prefix = symbol.partition(".")[0]
    match kind_of(symbol):
        case "future":
            return FUTURES.get(prefix, UNKNOWN)
        case "option" if prefix == "HK":
            chain = option_chain(symbol)
            on_index = chain is not None and chain.underlying in HK_INDEX_ROOTS
            return HK_FUTURES if on_index else STOCKS["HK"]
        case "option" if prefix == "US":
            return US_OPTIONS
        case "index" | "plate" if prefix == "US":
            return US_INDEXES
        case "stock" if prefix == "US":
            return US_STOCKS.get(us_session, US_STOCKS[3])
        case _:
            return STOCKS.get(prefix, UNKNOWN)


def period_date(period: str, day: date) -> date:
    """Return the first calendar day of the period (day, week, …, year) that contains ``day``."""
    match period:
        case "1w":
            return day - timedelta(days=day.weekday())
        case "1M":
            return day.replace(day=1)
        case "1Q":
            return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
        case "1Y":
            return day.replace(month=1, day=1)
        case _:
            return day


def period_end(period: str, first: date) -> date:
    """Return the last calendar day of the period that begins on ``first``."""
    days = {"1w": 7, "1M": 31, "1Q": 92, "1Y": 366}.get(period, 1)
    # The longest period of each kind: this date is in the next period.
    following = period_date(period, first + timedelta(days=days))
    return following - timedelta(days=1)


class Calendar:
    """Calculates with the trading hours of one symbol, in milliseconds since 1970."""

    def __init__(self, symbol: Symbol, us_session: int = 0) -> None:
        self.hours = hours_of(symbol, us_session)
        self._zone = ZoneInfo(TIME_ZONES.get(symbol.partition(".")[0], "Asia/Hong_Kong"))
        # A cache, since the same candle is checked every second.
        self._ends: tuple[float, tuple[float, float] | None] = (0.0, None)
        self._last_days: dict[tuple[str, float], TradingDay] = {}

    def date_of(self, ms: float) -> date:
        """Return the calendar day of a time."""
        return self._local(ms).date()

    def at(self, day: date, minute: float = 0) -> Number:
        """Return the time of a minute of a day."""
        local = datetime.combine(day, time()) + timedelta(minutes=minute)
        return int(local.replace(tzinfo=self._zone).timestamp() * 1000)

    def begin(self, label: float, minutes: int) -> float:
        """Return the beginning of a candle that ends at ``label``, with so many minutes of trading.

        Breaks within its session don't count. It begins no sooner than its session.
        """
        local = self._local(label)
        found = self._session(local)
        if found is None:
            return label - minutes * MINUTE_MS
        day, spans = found
        end, left = _minute(local, day), float(minutes)
        for begin, span_end in reversed(spans):
            if begin >= end:
                continue
            # The closing auction belongs to the last span.
            last = end if (begin, span_end) == spans[-1] else min(span_end, end)
            if last - begin >= left:
                return self.at(day, last - left) if last != end else label - left * MINUTE_MS
            left -= last - begin
        return self.at(day, spans[0][0])

    def end(self, begin: float, minutes: int) -> float:
        """Return the end of a candle from its beginning: the inverse of :meth:`begin`."""
        local = self._local(begin)
        for day, spans in self._near(local.date()):
            left, minute = float(minutes), _minute(local, day)
            if not spans[0][0] <= minute < spans[-1][1]:
                continue
            for span_begin, span_end in spans:
                first = max(span_begin, minute)
                if span_end - first >= left:
                    return self.at(day, first + left)
                left -= max(0, span_end - first)
            return self.at(day, spans[-1][1])
        return begin + minutes * MINUTE_MS

    def resumes(self, end: float) -> float:
        """Return when trading continues after a candle's end: after the break, or at once."""
        local = self._local(end)
        for day, spans in self._near(local.date()):
            minute = _minute(local, day)
            for (_, span_end), (following, _) in pairwise(spans):
                if minute == span_end:
                    return self.at(day, following)
        return end

    def session_end(self, label: float) -> tuple[float, float] | None:
        """Return the end of the span of trading that contains ``label``, and the start of the next.

        None if the hours are unknown, or nothing trades at that time.
        """
        if self._ends[0] != label:
            self._ends = label, self._session_end(label)
        return self._ends[1]

    def _session_end(self, label: float) -> tuple[float, float] | None:
        local = self._local(label)
        ends = sorted(
            (day, span, spans) for day, spans in self._near(local.date()) for span in spans
        )
        for number, (day, (begin, end), spans) in enumerate(ends):
            next_day, (following, _), next_spans = ends[(number + 1) % len(ends)]
            closes = self._closes(end, spans)
            # A label in a break belongs to the span before it.
            breaks = next_day == day and next_spans is spans
            if begin < _minute(local, day) <= (following if breaks else closes):
                ended = self.at(day, closes)
                return ended, max(ended, self.at(next_day, following))
        return None

    def opens_soon(self, now: float, minutes: int) -> bool:
        """Return whether trading begins, by the clock, within so many minutes."""
        today = self.date_of(now)
        opens = self.at(today, self.hours.opens)
        return bool(self.hours.sessions) and now < opens <= now + minutes * MINUTE_MS

    def last_day(self, period: str, begin: float) -> TradingDay:
        """Return the last day of a period on which the market trades, by the calendar."""
        key = period, begin
        if key not in self._last_days:
            self._last_days = {key: self._last_day(period, self.date_of(begin))}
        return self._last_days[key]

    def _last_day(self, period: str, first: date) -> TradingDay:
        day = period_end(period, first)
        while not self.hours.weekends and day.weekday() > FRIDAY and day > first:
            day -= timedelta(days=1)
        minutes = (0, self.hours.opens, self.hours.closes, DAY_MINUTES)
        return TradingDay(*(self.at(day, minute) for minute in minutes))

    def _closes(self, end: int, spans: tuple[Span, ...]) -> int:
        """Return the end of a span with the auction that follows it."""
        auction = end == spans[-1][1] and 0 <= self.hours.closes - end <= MAX_AUCTION
        return self.hours.closes if auction else end

    def _local(self, ms: float) -> datetime:
        return datetime.fromtimestamp(ms / 1000, self._zone).replace(tzinfo=None)

    def _near(self, day: date) -> Iterator[tuple[date, tuple[Span, ...]]]:
        """Yield the sessions of a day, of the day before and of the next day."""
        for days in (-1, 0, 1):
            for spans in self.hours.sessions:
                yield day + timedelta(days=days), spans

    def _session(self, local: datetime) -> tuple[date, tuple[Span, ...]] | None:
        """Return the session that contains a label, and the day from which its minutes count."""
        for day, spans in self._near(local.date()):
            if spans[0][0] < _minute(local, day) <= self._closes(spans[-1][1], spans):
                return day, spans
        return None


def _minute(local: datetime, day: date) -> float:
    """Return a time as minutes from a day's midnight."""
    return (local - datetime.combine(day, time())).total_seconds() / 60
