"""Puts a symbol's candles of one period from OpenD in order, and decides when one is final.

OpenD doesn't report that. A candle is final when the next one comes, or when its session has ended.
OpenD dates candles of minutes and hours by their end: the documents' samples begin at 09:31. How it
dates those of days and longer periods isn't verified: by the first day of the period, the last one,
or the newest. The model dates all by their beginning.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any, Final

import msgspec

from bookcast.feeds.futu.decode import given, moment, number, price, volume
from bookcast.feeds.futu.hours import Calendar, period_date
from bookcast.model.market_data import Candle, Data
from bookcast.model.numbers import bounds, whole
from bookcast.model.topics import Topic
from bookcast.model.updates import Publication

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
"""The minutes of the periods that OpenD dates by their end."""

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

KEPT: Final = 16
"""So many final candles are stored per series, to detect corrections by OpenD."""

ONE_DAY: Final = timedelta(days=1)

Line = tuple[float, Any]
"""A label and its ``Qot_Common.KLine``. The label is the time by which OpenD dates the candle."""


class CandleSeries:
    """The candles of one topic. It takes ``Qot_Common.KLine`` and returns publications.

    While ``filling``, nothing is published: the answer with the newest candles is awaited.

    Attributes:
        forming: the candle that isn't final yet; None if there is none.
        label: OpenD's time of the newest candle.
        since_ms: when the first update of the forming candle arrived.
        changed_ms: when the forming candle last changed.
    """

    def __init__(self, topic: Topic, us_session: int = 0) -> None:
        self._topic = topic
        self.calendar = Calendar(topic.symbol, us_session)
        self.period = topic.variant
        self.minutes = LENGTHS.get(topic.variant, 0)
        self.forming: Candle | None = None
        self.label = self.since_ms = self.changed_ms = 0.0
        # The beginning of the newest candle, and the beginnings of recent candles by label.
        self._began = 0.0
        self._beginnings: dict[float, float] = {}
        self._label_is_estimated = False
        self._finals: dict[float, Candle] = {}
        self._begun = False
        self._waiting: dict[float, tuple[Any, float]] = {}
        self._broken = self._interrupted = False
        self.filling = False

    def begin(self) -> None:
        """Note that a subscription begins: candles may have been missed."""
        self.filling = True
        self._waiting.clear()

    def go_on_after(self, past: Iterable[Data]) -> None:
        """Continue after the candles that another node's feed published."""
        for data in past:
            if not isinstance(data, Candle):
                continue
            self._begun = True
            if data.final:
                self._keep(data)
            if data.time < self._began or (data.time == self._began and self.forming is None):
                continue
            if data.time > self._began:
                # OpenD's own label may differ, for instance on a short day.
                self.label = self.calendar.end(data.time, self.minutes)
                self._label_is_estimated = bool(self.minutes)
            self._began = data.time
            self.forming = None if data.final else data

    def push(self, lines: Iterable[Any], received_ms: float) -> list[Publication]:
        """Process candles that OpenD pushed, and return what to publish now."""
        if self.filling:
            # Only the newest state of each candle waits, so there are few.
            self._waiting.update(
                (label, (line, received_ms)) for label, line in self._by_label(lines)
            )
            return []
        pushed = self._by_label(lines)
        if self._interrupted and pushed:
            self._check_continuity(pushed)
        return self._take(pushed, received_ms)

    def fill(self, lines: Iterable[Any], received_ms: float) -> list[Publication]:
        """Process the newest candles, as requested, then the waiting pushes.

        ``lines`` is empty if OpenD didn't answer.
        """
        self.filling = False
        asked = self._by_label(lines)
        first, self._begun = not self._begun, True
        if self.has_known:
            self._check_continuity(asked)
        published = self._take(asked, received_ms, backfill=first)
        for label, (line, pushed_ms) in sorted(self._waiting.items(), key=lambda item: item[0]):
            published += self._take([(label, line)], pushed_ms)
        self._waiting.clear()
        return published

    def end(self, now_ms: float) -> list[Publication]:
        """Make the forming candle final: its session has ended. Later changes are corrections."""
        if self.forming is None or self.filling or self._interrupted:
            return []
        final = msgspec.structs.replace(self.forming, final=True)
        self.forming = None
        self._keep(final)
        return [self._publication(final, now_ms)]

    def _check_continuity(self, lines: list[Line]) -> None:
        self._interrupted = False
        if not lines or self._begin(*lines[0]) > self._began:
            # The final state of the forming candle is unknown.
            self.forming, self._broken = None, True

    @property
    def has_known(self) -> bool:
        """Whether any candle is known."""
        return bool(self.label)

    @property
    def waits(self) -> bool:
        """Whether pushed candles wait to be published."""
        return self.filling and bool(self._waiting)

    def interrupt(self) -> None:
        """Note that OpenD has lost its own servers: candles may be missing."""
        self._interrupted = self.has_known

    def lose(self) -> None:
        """Note that candles were dropped: the next one begins a new epoch."""
        self._broken = True

    def _by_label(self, lines: Iterable[Any]) -> list[Line]:
        labelled = [
            (moment(line, self._topic.symbol), line) for line in lines if _holds_something(line)
        ]
        return sorted(
            ((label, line) for label, line in labelled if label is not None),
            key=lambda pair: pair[0],
        )

    def _take(
        self, lines: list[Line], received_ms: float, *, backfill: bool = False
    ) -> list[Publication]:
        published: list[Publication] = []
        shown, corrected_older = self.forming, False
        for label, line in lines:
            begin = self._begin(label, line)
            if begin < self._began or (begin == self._began and begin in self._finals):
                if corrected := self._corrected(begin, line):
                    published.append(self._publication(corrected, received_ms))
                    corrected_older = begin < self._began in self._finals
                continue
            if begin > self._began:
                if self.forming is not None:
                    final = msgspec.structs.replace(self.forming, final=True)
                    self._keep(final)
                    published.append(self._publication(final, received_ms, backfill=backfill))
                self._began, self.forming, self.since_ms = begin, None, received_ms
            self.label, self._label_is_estimated = label, False
            candle = _candle(line, begin, self.forming)
            if candle != self.forming:
                self.forming, self.changed_ms = candle, received_ms
        # OpenD sends the newest candle again at each subscription. After a correction it is
        # published again, because the last publication counts as the topic's newest state.
        if self.forming is not None and (self.forming != shown or self._broken or published):
            published.append(self._publication(self.forming, received_ms))
        elif corrected_older:
            newest = msgspec.structs.replace(self._finals[self._began], revised=True)
            published.append(self._publication(newest, received_ms))
        return published

    def _begin(self, label: float, line: Any) -> float:
        """Return the beginning of a candle. It doesn't change once it has been published."""
        begin = self._beginnings.get(label)
        if begin is None:
            begin = self._reckon(label) if self.minutes else self._first_day(label, line)
            self._beginnings[label] = begin
            if len(self._beginnings) > 2 * KEPT:
                del self._beginnings[min(self._beginnings)]
        return begin

    def _reckon(self, label: float) -> float:
        """Return a candle's beginning: its minutes of trading before its label.

        It is never before the end of the candle before it: a candle may be shorter, before a break
        or at the end of a session.
        """
        begin = self.calendar.begin(label, self.minutes)
        if self._label_is_estimated and begin <= self._began < label <= self.label:
            return self._began
        if begin < self.label < label:
            return min(self.calendar.resumes(self.label), label)
        return begin

    def _first_day(self, label: float, line: Any) -> float:
        """Return midnight of the first day of the period, whichever of its days OpenD names.

        The text of the label is used if it agrees with the label: it has the day in market time.
        """
        labelled = day = self.calendar.date_of(label)
        with contextlib.suppress(ValueError):
            day = date.fromisoformat(line.time[:10])
        if abs(day - labelled) > ONE_DAY:
            day = labelled
        return self.calendar.at(period_date(self.period, day))

    def _corrected(self, begin: float, line: Any) -> Candle | None:
        """Return the correction of a final candle; None if nothing changed."""
        final = self._finals.get(begin)
        if final is None:
            return None  # too old: what was published isn't stored any more
        line_now = _candle(line, begin, final)
        candle = msgspec.structs.replace(line_now, final=True, revised=True)
        if candle == msgspec.structs.replace(final, revised=True):
            return None
        self._keep(candle)
        return candle

    def _keep(self, final: Candle) -> None:
        self._finals[final.time] = final
        if len(self._finals) > KEPT:
            del self._finals[min(self._finals)]

    def _publication(
        self, candle: Candle, received_ms: float, *, backfill: bool = False
    ) -> Publication:
        breaks, self._broken = self._broken, False
        return Publication(self._topic, candle, None, received_ms, backfill=backfill, breaks=breaks)


def _holds_something(line: Any) -> bool:
    """Return whether a candle has more than its time."""
    return not line.isBlank and bool(line.HasField("closePrice"))


def _candle(line: Any, begin: float, before: Candle | None) -> Candle:
    """Return the candle of a line. OpenD sometimes omits the previous close, or sends 0."""
    prev_close = price(line.lastClosePrice)
    opened, closed = number(line.openPrice), number(line.closePrice)
    high, low = bounds(number(line.highPrice), number(line.lowPrice), (opened, closed))
    return Candle(
        time=whole(begin),
        open=opened,
        high=high,
        low=low,
        close=closed,
        volume=volume(line),
        turnover=given(line, "turnover"),
        final=False,
        prev_close=before.prev_close if prev_close is None and before else prev_close,
    )
