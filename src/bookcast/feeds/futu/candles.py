"""A symbol's candles of one period from OpenD, which doesn't say when one is final.

The next one says so. OpenD dates candles of minutes and hours by their end, those of days and more
by their beginning; the model dates all by their beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from bookcast.feeds.futu.decode import moment, number, volume, whole
from bookcast.model import Candle, Data, Number, Publication, Topic

MINUTE_MS: Final = 60_000

LENGTHS: Final[Mapping[str, int]] = {
    "1m": 1,
    "3m": 3,
    "5m": 5,
    "10m": 10,
    "15m": 15,
    "30m": 30,
    "1h": 60,
    "2h": 120,
    "3h": 180,
    "4h": 240,
}
"""Minutes of the periods that are dated by their end."""

KINDS: Final[Mapping[str, int]] = {
    "1m": 1,
    "1d": 2,
    "1w": 3,
    "1M": 4,
    "1Y": 5,
    "5m": 6,
    "15m": 7,
    "30m": 8,
    "1h": 9,
    "3m": 10,
    "1Q": 11,
    "10m": 12,
    "2h": 13,
    "3h": 14,
    "4h": 15,
}
"""``Qot_Common.KLType`` of each period."""

PERIODS: Final = {kind: period for period, kind in KINDS.items()}


class CandleSeries:
    """The candles of one topic. Feed it ``Qot_Common.KLine``; publish what it gives.

    While ``filling``, nothing is published: the newest candles have been asked for.
    """

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._length_ms = LENGTHS.get(topic.variant, 0) * MINUTE_MS
        self._forming: Candle | None = None
        # The candle that OpenD spoke of last: how it dates it, and when it began.
        self._dated = 0.0
        self._began: Number = 0
        # Another node's feed has published it as final already.
        self._ended = False
        self._begun = False
        self._waiting: dict[float, tuple[Any, float]] = {}
        self._broken = self._interrupted = False
        self.filling = False

    def begin(self) -> None:
        """A subscription begins: candles may have been missed."""
        self.filling = True
        self._waiting.clear()

    def go_on_after(self, past: Iterable[Data]) -> None:
        """Go on with the candle that another node's feed published last."""
        for data in past:
            if not isinstance(data, Candle):
                continue
            dated = data.time + self._length_ms
            if dated < self._dated or (self._ended and dated == self._dated):
                continue
            self._ended = False
            self._dated, self._began, self._begun = dated, data.time, True
            self._forming, self._ended = (None, True) if data.final else (data, False)

    def push(self, lines: Iterable[Any], received_ms: float) -> list[Publication]:
        """Take candles that OpenD pushed, and give what is to be published now."""
        if self.filling:
            # Of each candle the newest state: there can't be many.
            self._waiting.update(
                (dated, (line, received_ms)) for dated, line in self._by_date(lines)
            )
            return []
        pushed = self._by_date(lines)
        if self._interrupted and pushed:
            self._check_continuity(pushed)
        return self._take(pushed, received_ms)

    def fill(self, lines: Iterable[Any], received_ms: float) -> list[Publication]:
        """Take the newest candles, asked for, none if OpenD didn't say; then what was pushed."""
        self.filling = False
        asked = self._by_date(lines)
        first, self._begun = not self._begun, True
        if self._dated:
            self._check_continuity(asked)
        published = self._take(asked, received_ms, past=first)
        for dated, (line, pushed_ms) in sorted(self._waiting.items(), key=lambda item: item[0]):
            published += self._take([(dated, line)], pushed_ms)
        self._waiting.clear()
        return published

    def _check_continuity(self, lines: list[tuple[float, Any]]) -> None:
        self._interrupted = False
        if not lines or lines[0][0] > self._dated:
            # What became of the candle that was forming isn't known.
            self._forming, self._broken = None, True

    @property
    def has_known(self) -> bool:
        """Whether any candle ever came."""
        return bool(self._dated)

    @property
    def waits(self) -> bool:
        """Whether pushed candles wait to be published."""
        return self.filling and bool(self._waiting)

    def interrupt(self) -> None:
        """OpenD has lost its own servers: candles may be missed."""
        self._interrupted = bool(self._dated)

    def lose(self) -> None:
        """Some candles were given up: the next one begins anew."""
        self._broken = True

    def _by_date(self, lines: Iterable[Any]) -> list[tuple[float, Any]]:
        dated = [(moment(line, self._topic.symbol), line) for line in lines if not line.isBlank]
        return sorted(
            ((date, line) for date, line in dated if date is not None), key=lambda pair: pair[0]
        )

    def _take(
        self, lines: list[tuple[float, Any]], received_ms: float, *, past: bool = False
    ) -> list[Publication]:
        published: list[Publication] = []
        shown = self._forming
        for dated, line in lines:
            if dated < self._dated or (self._ended and dated == self._dated):
                continue
            self._ended = False
            if dated > self._dated:
                if self._forming is not None:
                    final = msgspec.structs.replace(self._forming, final=True)
                    published.append(self._publication(final, received_ms, past=past))
                self._began, self._dated = self._begin(dated), dated
            self._forming = _candle(line, self._began)
        # OpenD sends the newest one again when it is subscribed.
        if self._forming is not None and (self._forming != shown or self._broken):
            published.append(self._publication(self._forming, received_ms))
        return published

    def _begin(self, dated: float) -> Number:
        if not self._length_ms:
            return whole(dated)
        begin = dated - self._length_ms
        # Before a break, or at the end of a day, one may be shorter.
        return whole(self._dated if begin < self._dated < dated else begin)

    def _publication(
        self, candle: Candle, received_ms: float, *, past: bool = False
    ) -> Publication:
        resumes, self._broken = self._broken, False
        return Publication(self._topic, candle, None, received_ms, past=past, resumes=resumes)


def _candle(line: Any, begin: Number) -> Candle:
    return Candle(
        time=begin,
        open=number(line.openPrice),
        high=number(line.highPrice),
        low=number(line.lowPrice),
        close=number(line.closePrice),
        volume=volume(line),
        turnover=number(line.turnover),
        final=False,
    )
