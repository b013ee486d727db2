"""Processes OpenD's pushes, and queues them in the inbox under their topics."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from bookcast.feeds.futu import decode, quotes
from bookcast.feeds.futu.candles import PERIODS, CandleSeries
from bookcast.feeds.futu.inbox import Inbox
from bookcast.feeds.futu.markets import MarketState, symbol_of
from bookcast.feeds.futu.schema import messages
from bookcast.feeds.futu.security_status import halt
from bookcast.feeds.futu.session_end import Endings
from bookcast.feeds.futu.tape import Tape
from bookcast.feeds.futu.times import FutuTimes
from bookcast.feeds.futu.update_rate import Rhythm
from bookcast.model.topics import ODD, Channel, Symbol, Topic
from bookcast.model.updates import Publication

logger = logging.getLogger(__name__)

Series = Tape | CandleSeries


class Pushes:
    """Processes the pushes of OpenD.

    Args:
        inbox: queues what is to be published.
        state_of: returns the state of a symbol's market.
        us_session: which hours of US stocks are subscribed, as ``Common.Session``.
        now: seconds since 1970.
        clock: monotonic seconds.
        times: how long corrections are waited for.

    Attributes:
        rhythm: how often each topic gets data.
    """

    def __init__(
        self,
        inbox: Inbox,
        state_of: Callable[[Symbol], MarketState],
        *,
        us_session: int = 0,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        times: FutuTimes | None = None,
    ) -> None:
        self._inbox = inbox
        self._state_of = state_of
        self._us_session = us_session
        self._endings = Endings(state_of, (times or FutuTimes()).corrections_seconds)
        self._now = now
        self._topics: dict[tuple[Channel, int, str, str], Topic | None] = {}
        self._series: dict[Topic, Series] = {}
        # Why a symbol isn't traded: by its quotes, and for symbols without quotes by a snapshot.
        self._quoted: dict[Symbol, str | None] = {}
        self._noted: dict[Symbol, str | None] = {}
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
        """Process one push. Other messages are ignored."""
        handler = self._handlers.get(protocol)
        if handler is None:
            return
        name, handle = handler
        response = messages(name).Response()
        try:
            response.ParseFromString(body)
        except Exception:
            # The lost trades or candles may be those of any series.
            for series in self._series.values():
                series.lose()
            raise
        if response.retType != 0:
            logger.warning("OpenD pushed an error: %s (%d)", response.retMsg, response.retType)
            return
        handle(response.s2c, self._now() * 1000)

    def series(self, topic: Topic) -> Series:
        """Return the series of a topic's trades or candles; a new one if there is none."""
        series = self._series.get(topic)
        if series is None:
            series = self._series[topic] = (
                Tape(topic) if topic.channel == "trades" else CandleSeries(topic, self._us_session)
            )
        return series

    def fill(self, topic: Topic, past: Any) -> None:
        """Process the newest trades or candles of a topic, as requested."""
        series = self.series(topic)
        received_ms = self._now() * 1000
        try:
            events = series.fill(past, received_ms)
        except Exception:
            logger.exception("the past of %s can't be understood", topic)
            events = series.fill((), received_ms)
        self._append(series, events)

    def end_sessions(self, held: Collection[Topic]) -> None:
        """Publish the last candles of sessions that have ended, for subscribed topics.

        The end of a candle that isn't subscribed any more is unknown.
        """
        now_ms = self._now() * 1000
        for topic, series in self._series.items():
            if isinstance(series, CandleSeries) and topic in held:
                self._endings.look(topic.symbol, now_ms)
                if self._endings.has_ended(topic.symbol, series, now_ms):
                    self._append(series, series.end(now_ms))

    def publish_snapshot(self, topic: Topic, snapshot: Any) -> None:
        """Publish a ``Snapshot`` as a quote or a book of one level.

        It counts for the topic's rhythm only if it differs from the last one, because OpenD also
        sends snapshots of closed markets.
        """
        self.note_halt(snapshot.basic)
        content = snapshot.SerializePartialToString()
        if self._snapshots.get(topic) != content:
            self._snapshots[topic] = content
            self.rhythm.note(topic)
        self._inbox.put(topic, self._decode_snapshot, snapshot, self._now() * 1000)

    def note_halt(self, basic: Any) -> None:
        """Note from a snapshot whether a symbol is traded."""
        if (symbol := symbol_of(basic.security)) is not None:
            self._noted[symbol] = halt(basic, suspended=basic.isSuspend)

    def halt(self, symbol: Symbol) -> str | None:
        """Return why a symbol isn't traded; None if it may be traded."""
        return self._quoted.get(symbol, self._noted.get(symbol))

    def forget(self, topic: Topic) -> None:
        """Drop the series of a refused topic, if it never had data."""
        series = self._series.get(topic)
        if series is not None and not series.has_known:
            del self._series[topic]

    def _book(self, s2c: Any, received_ms: float) -> None:
        variant = ODD if s2c.orderBookType == decode.ODD_LOT else ""
        if (topic := self._topic("orderbook", s2c.security, variant)) is not None:
            self._inbox.put(topic, _decode_book, s2c, received_ms)

    def _quotes(self, s2c: Any, received_ms: float) -> None:
        for basic in s2c.basicQotList:
            topic = self._topic("quote", basic.security)
            # The first one may be empty. It isn't published.
            if topic is not None and not quotes.is_empty(basic):
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
        self._quoted[topic.symbol] = halt(basic, suspended=basic.isSuspended)
        quote = quotes.quote(basic, self._state_of(topic.symbol).session)
        exchange_ms = decode.milliseconds(basic.updateTimestamp)
        return Publication(topic, quote, exchange_ms, received_ms)

    def _decode_snapshot(self, topic: Topic, snapshot: Any, received_ms: float) -> Publication:
        exchange_ms = decode.milliseconds(snapshot.basic.updateTimestamp)
        if topic.channel == "orderbook":
            book = decode.snapshot_book(snapshot.basic)
            return Publication(topic, book, exchange_ms, received_ms)
        quote = quotes.snapshot_quote(snapshot, self._state_of(topic.symbol).session)
        return Publication(topic, quote, exchange_ms, received_ms)


def _decode_book(topic: Topic, s2c: Any, received_ms: float) -> Publication:
    return Publication(topic, decode.book(s2c), decode.book_time(s2c), received_ms)


def _decode_brokers(topic: Topic, s2c: Any, received_ms: float) -> Publication:
    return Publication(topic, decode.brokers(s2c), None, received_ms)


def _decode_time_frame(topic: Topic, points: Any, received_ms: float) -> Publication | None:
    for point in reversed(points):
        data = decode.time_point(point, topic.symbol)
        if data is not None:
            # OpenD doesn't report a time within the minute.
            return Publication(topic, data, None, received_ms)
    return None
