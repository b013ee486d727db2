"""What a program holds: one topic in one view, as it is now, and as an iteration."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

import msgspec

from bookcast.client.errors import BookcastClientError, Stopped
from bookcast.client.gaps import Gap, join_gaps
from bookcast.client.listeners import call_all, listen
from bookcast.client.queue import Item, Queue
from bookcast.client.tape import Batch
from bookcast.client.topic import SubscriptionState, Topic
from bookcast.client.view import View
from bookcast.model.market_data import Candle, Trade
from bookcast.model.topics import Channel, Period
from bookcast.model.updates import Position

V = TypeVar("V")

LOSSLESS: Final = frozenset({"trades", "candles"})


class Trades(msgspec.Struct, frozen=True):
    """Trades that came together, oldest first. ``gap``: what is missing before them."""

    trades: tuple[Trade, ...]
    gap: Gap | None = None


class GappedCandle(Candle, frozen=True, kw_only=True, omit_defaults=True):
    """A candle. ``gap``: final ones that are missing before it."""

    gap: Gap | None = None


class Subscription(Generic[V]):
    """A topic in one view.

    An iteration gives the newest state each time that there is a newer one; of trades and candles
    everything, in order. It waits while the line is down, ends after :meth:`close`, and raises a
    :class:`~bookcast.client.BookcastClientError` after a refusal.

    Attributes:
        channel: as it was asked for.
        symbol: the same.
        period: of candles.
        variant: ``odd`` for the book of odd lots.
        value: the newest that is proven; None before the first. Of trades and candles, the last
            that came.
    """

    def __init__(self, topic: Topic, view: View, max_buffered: int) -> None:
        self.channel: Channel = topic.name.channel
        self.symbol: str = topic.name.symbol
        self.period: Period | None = topic.name.period
        self.variant: str | None = topic.name.variant
        self.value: V | None = None
        # For the topic
        self.view = view
        self.position: Position | None = None
        """Where it stands; of trades and candles everything up to here was delivered."""
        self.waits_for_history = False
        """It gets nothing before the history that it asked for."""
        self.topic = topic
        self._clock = topic.wire.clock
        self._is_lossless = self.channel in LOSSLESS
        self._is_book = self.channel == "orderbook"
        self._queue: Queue[V] = Queue(max_buffered if self._is_lossless else 1)
        self._listeners: list[Callable[[SubscriptionState], object]] = []
        self._items: list[Item] = []
        self._last: Item | None = None
        self._gap: Gap | None = None
        self._shown_at = -math.inf
        self._pace: asyncio.TimerHandle | None = None
        self._held: Callable[[], None] | None = None
        self._error: BookcastClientError | None = None
        self._is_closed = False
        self._told: tuple[SubscriptionState, str | None] | None = None

    @property
    def state(self) -> SubscriptionState:
        """How it stands; see the states in docs/clients.md."""
        return "closed" if self._is_closed else self.topic.state_of(self)[0]

    @property
    def reason(self) -> str | None:
        """Why it is in this state, in words, where there is something to say."""
        return "closed by the program" if self._is_closed else self.topic.state_of(self)[1]

    @property
    def age_ms(self) -> float | None:
        """How long ago the newest update came, by the server's clock."""
        at = self.topic.updated_at
        return None if at is None else max(0.0, self._clock.now() - at)

    @property
    def epoch(self) -> str | None:
        """The epoch of what came last."""
        return None if self.position is None else self.position.epoch

    @property
    def seq(self) -> int | None:
        """The number of what came last, within its epoch."""
        return None if self.position is None else self.position.seq

    def on_state(self, listener: Callable[[SubscriptionState], object]) -> Callable[[], None]:
        """Call back with each new state. Return what ends that."""
        return listen(self._listeners, listener)

    async def next(self) -> V:
        """Return the next value: a newer state, or the next trades or candle in order.

        A wait that is cancelled loses nothing.

        Raises:
            Refused: when the server refuses the subscription.
            Stopped: when it was closed, or the client has stopped for good.
        """
        value: V = await self._queue.next()
        return value

    def __aiter__(self) -> Self:
        """Begin with the newest state, or with the trades and candles that wait."""
        if not self._is_lossless and self._last is not None and not len(self._queue):
            self._queue.push(self._last)
        return self

    async def __anext__(self) -> V:
        try:
            return await self.next()
        except Stopped as stopped:
            if stopped.code == "closed":
                raise StopAsyncIteration from None
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it. The topic is unsubscribed when nobody else wants it."""
        if not self._is_closed:
            self._is_closed = True
            self._stop_pace()
            self._queue.end(Stopped("closed", "closed by the program", final=True), at_once=True)
            self.topic.leave(self)
            self._tell("closed", "closed by the program")

    # From the topic

    def show(self, value: Any, position: Position) -> None:
        """Show a newer state."""
        interval = self.view.interval_ms
        if not interval and self._pace is None:
            self._show(value, position)
        else:
            self._at_own_pace(lambda: self._show(value, position))

    def take(self, batch: Batch) -> None:
        """Take trades or a candle. What it has already, it passes over."""
        held = self.position
        if self.waits_for_history or (
            held is not None and held.epoch == batch.epoch and batch.seq <= held.seq
        ):
            return
        self.position = Position(batch.epoch, batch.seq)
        value = Trades(batch.trades) if batch.candle is None else _gapped(batch.candle)
        item = Item(value, batch.weight, batch.epoch, batch.prev + 1, batch.seq, self._gap)
        self._gap = None
        self._items.append(item)
        self._at_own_pace(self._deliver_all)

    def miss(self, gap: Gap) -> None:
        """Note that something won't come."""
        if not self.waits_for_history:
            self._gap = join_gaps(self._gap, gap)

    def refuse(self, error: BookcastClientError) -> None:
        """End the iterations: the server or the line refuses it."""
        if not self._is_closed:
            self._error = error
            self._queue.end(error)
            self.state_may_have_changed()

    def accept(self, history: int) -> None:
        """Go on, perhaps after a refusal. ``history``: so much has been asked for."""
        self._recover()
        if self.view.history <= history:
            self.waits_for_history = False

    def state_may_have_changed(self) -> None:
        """Notify listeners if the state has changed."""
        if self._listeners and not self._is_closed:
            self._tell(*self.topic.state_of(self))

    def _tell(self, state: SubscriptionState, reason: str | None) -> None:
        if (state, reason) != self._told:
            self._told = (state, reason)
            call_all(self._listeners, state)

    def _show(self, value: Any, position: Position) -> None:
        if self._is_book:
            value = value.cut(self.view.depth)
        self.position = position
        self._deliver(Item(value, 0, position.epoch, position.seq, position.seq))

    def _deliver_all(self) -> None:
        items, self._items = self._items, []
        for item in items if len(items) == 1 else _joined(items):
            self._deliver(item)

    def _deliver(self, item: Item) -> None:
        if self._is_closed:
            return
        self._recover()  # it comes after all
        self._last = item
        self.value = item.with_gap()
        self._queue.push(item)

    def _recover(self) -> None:
        if self._error is not None:
            self._error = None
            self._queue.resume()

    def _at_own_pace(self, show: Callable[[], None]) -> None:
        """Show something at this subscription's own pace, if the wire's is faster."""
        interval = self.view.interval_ms
        if self._pace is None and (not interval or self.topic.is_as_slow_as(interval)):
            self._shown_at = self._clock.now()
            show()
            return
        self._held = show
        if self._pace is None:
            left = self._shown_at + interval - self._clock.now()
            if left > 0:
                self._pace = self._clock.after(left, self._show_held)
            else:
                self._show_held()

    def _show_held(self) -> None:
        show = self._held
        self._stop_pace()
        self._shown_at = self._clock.now()
        if show is not None:
            show()

    def _stop_pace(self) -> None:
        if self._pace is not None:
            self._pace.cancel()
        self._pace = self._held = None


def _gapped(candle: Candle) -> GappedCandle:
    return GappedCandle(**{name: getattr(candle, name) for name in candle.__struct_fields__})


def _joined(items: list[Item]) -> list[Item]:
    """Join trades that follow each other without a gap."""
    joined: list[Item] = []
    trades: list[Trade] = []
    for item in items:
        last = joined[-1] if joined else None
        is_more = last is not None and last.epoch == item.epoch and item.gap is None
        if last is not None and is_more and isinstance(item.value, Trades):
            trades.extend(item.value.trades)
            joined[-1] = last._replace(last=item.last, weight=len(trades))
        else:
            _close(joined, trades)
            trades = list(item.value.trades) if isinstance(item.value, Trades) else []
            joined.append(item)
    _close(joined, trades)
    return joined


def _close(joined: list[Item], trades: list[Trade]) -> None:
    """Put all trades into the last item that is joined."""
    if trades:
        joined[-1] = joined[-1]._replace(value=Trades(tuple(trades)))
