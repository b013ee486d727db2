"""Understands what OpenD pushes, and puts it into the inbox under its topic."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from bookcast.feeds.futu import decode
from bookcast.feeds.futu.candles import PERIODS, CandleSeries
from bookcast.feeds.futu.inbox import Inbox
from bookcast.feeds.futu.markets import symbol_of
from bookcast.feeds.futu.rhythm import Rhythm
from bookcast.feeds.futu.schema import messages
from bookcast.feeds.futu.tape import Tape
from bookcast.model import ODD, Channel, Publication, Symbol, Topic, TradingSession

logger = logging.getLogger(__name__)

Series = Tape | CandleSeries


class Pushes:
    """Takes pushes of OpenD. ``session_of`` tells which session a symbol's market has.

    Attributes:
        rhythm: how often each topic has news.
    """

    def __init__(
        self,
        inbox: Inbox,
        session_of: Callable[[Symbol], TradingSession | None],
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inbox = inbox
        self._session_of = session_of
        self._now = now
        self._topics: dict[tuple[Channel, int, str, str], Topic | None] = {}
        self._series: dict[Topic, Series] = {}
        # What quotes say, and, where there are none, what somebody noted who looked.
        self._quoted: dict[Symbol, bool] = {}
        self._noted: dict[Symbol, bool] = {}
        self._snapshots: dict[Topic, bytes] = {}
        self.rhythm = Rhythm(clock)
        self._handlers: Final[Mapping[int, tuple[str, Callable[[Any, float], None]]]] = {
            3005: ("Qot_UpdateBasicQot", self._quotes),
            3007: ("Qot_UpdateKL", self._candles),
            3009: ("Qot_UpdateRT", self._time_frame),
            3011: ("Qot_UpdateTicker", self._trades),
            3013: ("Qot_UpdateOrderBook", self._book),
            3015: ("Qot_UpdateBroker", self._brokers),
        }

    def take(self, protocol: int, body: bytes) -> None:
        """Take one push; other kinds of messages are left alone."""
        handler = self._handlers.get(protocol)
        if handler is None:
            return
        name, handle = handler
        response = messages(name).Response()
        try:
            response.ParseFromString(body)
        except Exception:
            # Nobody can tell whose trades or candles those were.
            for series in self._series.values():
                series.lose()
            raise
        if response.retType != 0:
            logger.warning("OpenD pushed an error: %s (%d)", response.retMsg, response.retType)
            return
        handle(response.s2c, self._now() * 1000)

    def series(self, topic: Topic) -> Series:
        """Give what keeps the trades or candles of a topic in order."""
        series = self._series.get(topic)
        if series is None:
            kind = Tape if topic.channel == "trades" else CandleSeries
            series = self._series[topic] = kind(topic)
        return series

    def fill(self, topic: Topic, past: Any) -> None:
        """Take the newest trades or candles that OpenD was asked for."""
        series = self.series(topic)
        received_ms = self._now() * 1000
        try:
            events = series.fill(past, received_ms)
        except Exception:
            logger.exception("the past of %s can't be understood", topic)
            events = series.fill((), received_ms)
        self._append(series, events)

    def publish_snapshot(self, topic: Topic, basic: Any) -> None:
        """Publish a snapshot's figures, as a quote or a book of one level.

        It is news only when it differs from the last one: OpenD gives snapshots of closed markets.
        """
        self.note_suspended(basic)
        content = basic.SerializePartialToString()
        if self._snapshots.get(topic) != content:
            self._snapshots[topic] = content
            self.rhythm.note(topic)
        self._inbox.put(topic, self._decode_snapshot, basic, self._now() * 1000)

    def note_suspended(self, basic: Any) -> None:
        """Note whether a symbol is suspended, as a snapshot says."""
        if (symbol := symbol_of(basic.security)) is not None:
            self._noted[symbol] = bool(basic.isSuspend)

    def is_suspended(self, symbol: Symbol) -> bool:
        """Tell whether a symbol's trading is suspended, as far as is known."""
        return self._quoted.get(symbol, self._noted.get(symbol, False))

    def forget(self, topic: Topic) -> None:
        """Forget a topic that OpenD won't give, if nothing of it ever came."""
        series = self._series.get(topic)
        if series is not None and not series.has_known:
            del self._series[topic]

    def _book(self, s2c: Any, received_ms: float) -> None:
        variant = ODD if s2c.orderBookType == decode.ODD_LOT else ""
        if (topic := self._topic("orderbook", s2c.security, variant)) is not None:
            self._inbox.put(topic, _decode_book, s2c, received_ms)

    def _quotes(self, s2c: Any, received_ms: float) -> None:
        for basic in s2c.basicQotList:
            if (topic := self._topic("quote", basic.security)) is not None:
                self._inbox.put(topic, self._decode_quote, basic, received_ms)

    def _brokers(self, s2c: Any, received_ms: float) -> None:
        if (topic := self._topic("brokers", s2c.security)) is not None:
            self._inbox.put(topic, _decode_brokers, s2c, received_ms)

    def _time_frame(self, s2c: Any, received_ms: float) -> None:
        topic = self._topic("timeframe", s2c.security)
        if topic is not None and s2c.rtList:
            self._inbox.put(topic, _decode_time_frame, s2c.rtList, received_ms)

    def _trades(self, s2c: Any, received_ms: float) -> None:
        if (topic := self._topic("trades", s2c.security)) is not None:
            series = self.series(topic)
            self._append(series, series.push(s2c.tickerList, received_ms))

    def _candles(self, s2c: Any, received_ms: float) -> None:
        period = PERIODS.get(s2c.klType)
        if period is None:
            return
        if (topic := self._topic("candles", s2c.security, period)) is not None:
            series = self.series(topic)
            self._append(series, series.push(s2c.klList, received_ms))

    def _append(self, series: Series, events: list[Publication]) -> None:
        if not self._inbox.append(events):
            logger.warning("%d trades or candles are given up: the engine is too slow", len(events))
            series.lose()

    def _topic(self, channel: Channel, security: Any, variant: str = "") -> Topic | None:
        key = channel, security.market, security.code, variant
        try:
            topic = self._topics[key]
        except KeyError:
            symbol = symbol_of(security)
            topic = Topic(channel, symbol, variant) if symbol is not None else None
            self._topics[key] = topic
        if topic is not None:
            self.rhythm.note(topic)
            if channel in {"orderbook", "trades"}:
                self._noted.pop(topic.symbol, None)  # it is traded again
        return topic

    def _decode_quote(self, topic: Topic, basic: Any, received_ms: float) -> Publication:
        quote = decode.quote(basic, self._session_of(topic.symbol))
        self._quoted[topic.symbol] = bool(quote.suspended)
        exchange_ms = decode.milliseconds(basic.updateTimestamp)
        return Publication(topic, quote, exchange_ms, received_ms)

    def _decode_snapshot(self, topic: Topic, basic: Any, received_ms: float) -> Publication:
        exchange_ms = decode.milliseconds(basic.updateTimestamp)
        if topic.channel == "orderbook":
            return Publication(topic, decode.snapshot_book(basic), exchange_ms, received_ms)
        quote = decode.snapshot_quote(basic, self._session_of(topic.symbol))
        return Publication(topic, quote, exchange_ms, received_ms)


def _decode_book(topic: Topic, s2c: Any, received_ms: float) -> Publication:
    return Publication(topic, decode.book(s2c), decode.book_time(s2c), received_ms)


def _decode_brokers(topic: Topic, s2c: Any, received_ms: float) -> Publication:
    return Publication(topic, decode.brokers(s2c), None, received_ms)


def _decode_time_frame(topic: Topic, points: Any, received_ms: float) -> Publication | None:
    for point in reversed(points):
        data = decode.time_point(point, topic.symbol)
        if data is not None:
            return Publication(topic, data, data.time, received_ms)
    return None
