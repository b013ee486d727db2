"""A symbol's trades from OpenD: each once, in order, and none missing without a word.

OpenD pushes trades as they happen, and some again: the last ones when a subscription begins, up to
50 after it lost its own servers. Its ``sequence`` tells them apart. When a connection was lost, the
newest trades are asked for: if one of them is known already, nothing is missing in between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final, Literal

from bookcast.feeds.futu.conditions import CONDITIONS, updates_last
from bookcast.feeds.futu.decode import given, identity, moment, number, volume
from bookcast.model.market_data import MAX_NUMBER, Data, Trade, Trades
from bookcast.model.numbers import whole
from bookcast.model.topics import Topic
from bookcast.model.updates import Publication

REMEMBERED: Final = 1024
"""So many sequences are kept of a symbol: more than OpenD ever sends again."""

MAX_WAITING: Final = 4096
"""So many trades wait at most while the newest ones are asked for."""

REALTIME_KINDS: Final = frozenset({0, 1})
"""``Qot_Common.PushDataType`` of what happens now; other kinds happened before."""
BY_DISCONNECTION, CACHED = 2, 3

MAX_BACKFILL: Final = 50
"""OpenD sends no more than so many trades after it lost its own servers."""

_SIDES: Final[dict[int, Literal["buy", "sell", "neutral"]]] = {1: "buy", 2: "sell"}


class Tape:
    """The trades of one topic. Feed it ``Qot_Common.Ticker``; publish what it gives.

    While ``filling``, pushed trades wait for the newest ones that OpenD was asked for.
    """

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._market = topic.symbol.partition(".")[0]
        self._known: set[int] = set()
        self._order: deque[int] = deque()
        self._waiting: deque[tuple[Any, float]] = deque(maxlen=MAX_WAITING)
        self._begun = False
        # Trades may be missing since the last one known. What was given up stays missing, even if
        # the newest trades have the last one known among them.
        self._missed = self._given_up = False
        self.filling = False

    def begin(self) -> None:
        """A subscription begins: trades may have been missed."""
        self.filling = True
        self._missed = bool(self._known)
        self._waiting.clear()

    def go_on_after(self, past: Iterable[Data]) -> None:
        """Know the trades that were published by another node's feed: their ids are sequences."""
        trades = (trade for data in past if isinstance(data, Trades) for trade in data.trades)
        for trade in trades:
            if str(trade.id).isdecimal():
                self._note(int(str(trade.id)))
        self._begun = self._begun or bool(self._known)

    def push(self, tickers: Iterable[Any], received_ms: float) -> list[Publication]:
        """Take trades that OpenD pushed, and give what is to be published now."""
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
        """Take the newest trades, asked for, none if OpenD didn't say; then what was pushed."""
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
        """Whether any trade ever came."""
        return bool(self._known)

    @property
    def waits(self) -> bool:
        """Whether pushed trades wait to be published."""
        return self.filling and bool(self._waiting)

    def interrupt(self) -> None:
        """OpenD has lost its own servers: trades may be missed."""
        self._missed = bool(self._known)

    def lose(self) -> None:
        """Some trades were given up: the next one begins anew."""
        self._given_up = True

    def _past(
        self, asked: list[Any], waiting: list[tuple[Any, float]], received_ms: float
    ) -> list[Publication]:
        """Publish what was before anybody asked, for those who want history; then the rest.

        Somebody listened already when the first trade was pushed as it happened.
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
        """Return the new ones after the last one known: what is older isn't published late."""
        begin = next(
            (n + 1 for n in range(len(tickers) - 1, -1, -1) if tickers[n].sequence in self._known),
            0,
        )
        return [ticker for ticker in tickers[begin:] if self._is_new(ticker)]

    def _publish(
        self, tickers: list[Any], received_ms: float, *, backfill: bool | None = None
    ) -> list[Publication]:
        """Publish trades together; ``backfill``: None for what OpenD says of each."""
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
        """Note a sequence; False: it is known already."""
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
        # Written so that NaN fails as well.
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
