"""Puts a symbol's trades from OpenD in order, without duplicates, and detects missing ones.

OpenD pushes trades as they happen, and some again: the last ones when a subscription begins, up to
50 after it lost its own servers. Their ``sequence`` identifies them. After a lost connection, the
newest trades are requested: if one of them is known already, none is missing in between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final, Literal

from bookcast.feeds.futu.decode import given, identity, moment, number, volume
from bookcast.feeds.futu.trade_conditions import CONDITIONS, updates_last
from bookcast.model.market_data import MAX_NUMBER, Data, Trade, Trades
from bookcast.model.numbers import whole
from bookcast.model.topics import Topic
from bookcast.model.updates import Publication

REMEMBERED: Final = 1024
"""So many sequence numbers are stored per symbol: more than OpenD ever sends again."""

MAX_WAITING: Final = 4096
"""The maximum number of trades that wait while the newest ones are requested."""

REALTIME_KINDS: Final = frozenset({0, 1})
"""``Qot_Common.PushDataType`` of trades as they happen. Others happened before."""
BY_DISCONNECTION, CACHED = 2, 3

MAX_BACKFILL: Final = 50
"""OpenD sends at most so many trades after it lost its own servers."""

_SIDES: Final[dict[int, Literal["buy", "sell", "neutral"]]] = {1: "buy", 2: "sell"}


class Tape:
    """The trades of one topic. It takes ``Qot_Common.Ticker`` and returns publications.

    While ``filling``, pushed trades wait for the answer with the newest trades.
    """

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._market = topic.symbol.partition(".")[0]
        self._known: set[int] = set()
        self._order: deque[int] = deque()
        self._waiting: deque[tuple[Any, float]] = deque(maxlen=MAX_WAITING)
        self._begun = False
        # _missed: trades may be missing since the last known one. _given_up: trades were dropped;
        # they stay missing even if the newest trades include the last known one.
        self._missed = self._given_up = False
        self.filling = False

    def begin(self) -> None:
        """Note that a subscription begins: trades may have been missed."""
        self.filling = True
        self._missed = bool(self._known)
        self._waiting.clear()

    def go_on_after(self, past: Iterable[Data]) -> None:
        """Note trades that another node's feed published. Their ids are sequence numbers."""
        trades = (trade for data in past if isinstance(data, Trades) for trade in data.trades)
        for trade in trades:
            if str(trade.id).isdecimal():
                self._note(int(str(trade.id)))
        self._begun = self._begun or bool(self._known)

    def push(self, tickers: Iterable[Any], received_ms: float) -> list[Publication]:
        """Process trades that OpenD pushed, and return what to publish now."""
        pushed = list(tickers)
        if self.filling:
            if len(self._waiting) + len(pushed) > MAX_WAITING:
                self._given_up = True
            self._waiting.extend((ticker, received_ms) for ticker in pushed)
            return []
        if all(ticker.pushDataType in REALTIME_KINDS for ticker in pushed):
            return self._publish([t for t in pushed if self._is_new(t)], received_ms)
        new = self._after_known(pushed)
        if len(new) >= MAX_BACKFILL and new[0].pushDataType == BY_DISCONNECTION:
            self._missed = True  # there may have been more
        return self._publish(new, received_ms)

    def fill(self, tickers: Iterable[Any], received_ms: float) -> list[Publication]:
        """Process the newest trades, as requested, then the waiting pushes.

        ``tickers`` is empty if OpenD didn't answer.
        """
        self.filling = False
        asked, waiting = list(tickers), list(self._waiting)
        first, self._begun = not self._begun, True
        if first:
            published = self._past(asked, waiting, received_ms)
        else:
            new = self._after_known(asked)
            if len(new) < len(asked):
                self._missed = False
            published = self._publish(new, received_ms, backfill=True)
        arrived = {ticker.sequence: pushed_ms for ticker, pushed_ms in waiting}
        for ticker in self._after_known([ticker for ticker, _ in waiting]):
            published += self._publish([ticker], arrived[ticker.sequence])
        self._waiting.clear()
        return published

    @property
    def has_known(self) -> bool:
        """Whether any trade is known."""
        return bool(self._known)

    @property
    def waits(self) -> bool:
        """Whether pushed trades wait to be published."""
        return self.filling and bool(self._waiting)

    def interrupt(self) -> None:
        """Note that OpenD has lost its own servers: trades may be missing."""
        self._missed = bool(self._known)

    def lose(self) -> None:
        """Note that trades were dropped: the next one begins a new epoch."""
        self._given_up = True

    def _past(
        self, asked: list[Any], waiting: list[tuple[Any, float]], received_ms: float
    ) -> list[Publication]:
        """Publish trades from before the subscription as backfill, then the others.

        The others begin with the first trade that was pushed as it happened.
        """
        live = {ticker.sequence for ticker, _ in waiting if ticker.pushDataType != CACHED}
        cut = next((n for n, ticker in enumerate(asked) if ticker.sequence in live), len(asked))
        cached = [ticker for ticker, _ in waiting if ticker.pushDataType == CACHED]
        published = []
        for ticker in (*asked[:cut], *cached):
            if self._is_new(ticker):
                trade = self._trade(ticker, received_ms, backfill=True)
                if trade is not None:
                    data = Trades((trade,))
                    published.append(
                        Publication(self._topic, data, trade.timestamp, received_ms, backfill=True)
                    )
        rest = [ticker for ticker in asked[cut:] if self._is_new(ticker)]
        return published + self._publish(rest, received_ms, backfill=False)

    def _after_known(self, tickers: list[Any]) -> list[Any]:
        """Return the new trades after the last known one. Older ones aren't published late."""
        begin = next(
            (n + 1 for n in range(len(tickers) - 1, -1, -1) if tickers[n].sequence in self._known),
            0,
        )
        return [ticker for ticker in tickers[begin:] if self._is_new(ticker)]

    def _publish(
        self, tickers: list[Any], received_ms: float, *, backfill: bool | None = None
    ) -> list[Publication]:
        """Publish trades together. ``backfill``: None: as OpenD marks each trade."""
        made = [
            self._trade(
                ticker,
                received_ms,
                backfill=ticker.pushDataType not in REALTIME_KINDS
                if backfill is None
                else backfill,
            )
            for ticker in tickers
        ]
        trades = tuple(trade for trade in made if trade is not None)
        if not trades:
            return []
        breaks, self._missed, self._given_up = self._missed or self._given_up, False, False
        time = trades[-1].timestamp
        return [Publication(self._topic, Trades(trades), time, received_ms, breaks=breaks)]

    def _is_new(self, ticker: Any) -> bool:
        return self._note(ticker.sequence)

    def _note(self, sequence: int) -> bool:
        """Note a sequence number. False: it is known already."""
        if sequence in self._known:
            return False
        self._known.add(sequence)
        self._order.append(sequence)
        if len(self._order) > REMEMBERED:
            self._known.discard(self._order.popleft())
        return True

    def _trade(self, ticker: Any, received_ms: float, *, backfill: bool) -> Trade | None:
        size, price = volume(ticker), ticker.price
        time = moment(ticker, self._topic.symbol)
        # The comparison is false for NaN too.
        if not (size > 0 and -MAX_NUMBER < price < MAX_NUMBER):
            return None
        condition = CONDITIONS.get(ticker.type)
        return Trade(
            price=number(price),
            size=size,
            side=_SIDES.get(ticker.dir, "neutral"),
            timestamp=whole(received_ms if time is None else time),
            id=identity(ticker.sequence),
            backfill=backfill,
            condition=condition,
            condition_sign=ticker.typeSign if ticker.HasField("typeSign") else None,
            updates_last=updates_last(condition, self._market),
            turnover=given(ticker, "turnover"),
        )
