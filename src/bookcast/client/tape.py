"""What is known of a topic whose every update counts: trades, and final candles."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from bookcast.client.gaps import Gap
from bookcast.client.newest import Verdict
from bookcast.model.market_data import Candle, Trade
from bookcast.model.updates import Position
from bookcast.protocol.v1 import messages as v1

EventUpdate = v1.TradeMessage | v1.CandleUpdate


class Batch(NamedTuple):
    """What one message brought: the trades after ``prev`` up to ``seq``, or a candle."""

    epoch: str
    prev: int
    seq: int
    trades: tuple[Trade, ...] = ()
    candle: Candle | None = None

    @property
    def weight(self) -> int:
        """How many trades or final candles it counts for."""
        return len(self.trades) if self.candle is None else int(self.candle.final)


class Tape:
    """The trades or candles of a topic, without a hole that isn't told.

    Attributes:
        position: everything up to here is known.
        newest: what the last accepted update brought.
        keep: so many messages are kept, for whoever asks for their trades or candles later.
    """

    def __init__(self, *, are_trades: bool) -> None:
        self.position: Position | None = None
        self.newest: Batch | None = None
        self.keep = 0
        self._are_trades = are_trades
        # Whatever comes next in this epoch continues what is known.
        self._is_open = True
        # A gap that was found, and that the server hasn't told.
        self._owed: Gap | None = None
        self._epochs: set[str] = set()
        self._tail: deque[Batch] = deque()

    def receive(self, update: EventUpdate) -> Verdict:
        """Take an update, if it follows what is known."""
        epoch, seq, held = update.epoch, update.seq, self.position
        if held is not None and held.epoch == epoch and seq <= held.seq:
            return "old"
        batch = _read(update)
        if held is None:
            # Nothing was known when it was subscribed: what is before its first trade never came.
            if self._are_trades and batch.prev > 0:
                self._owed = Gap(epoch, None, batch.prev, "history")
        elif held.epoch != epoch:
            if self._are_trades or epoch in self._epochs:
                return "broken"
            self._owed = _gap_before(epoch)
        elif self._are_trades and not self._is_open and batch.prev != held.seq:
            return "broken"
        self._move(epoch, seq)
        self.newest = batch
        self._keep(batch)
        return "new"

    def take_owed(self) -> Gap | None:
        """Return what is missing before the update accepted last, and wasn't told."""
        owed, self._owed = self._owed, None
        return owed

    def gap(self, told: v1.GapMessage) -> Gap | Verdict:
        """Read a ``gap``. Return what is missing, or what kind of message it is otherwise."""
        epoch, first, last, held = told.epoch, told.from_seq, told.to_seq, self.position
        was_open = self._is_open
        if held is None or held.epoch != epoch:
            if held is not None and epoch in self._epochs:
                return "broken"
            self._move(epoch, last or 0)
            self._is_open = last is None
        elif first is None or last is None:
            self._owed = None
        else:
            if last <= held.seq:
                return "old"
            if self._are_trades and not was_open and first > held.seq + 1:
                return "broken"
            self._move(epoch, last)
            first = max(first, held.seq + 1)
        return Gap(epoch, first, last, told.reason)

    def place(self, begins: Position | None, *, recovered: bool | None, goes_back: bool) -> Verdict:
        """Take the place where the server says that a subscription begins.

        Args:
            begins: the place; None when nothing is known there.
            recovered: the server's answer to the position that it was told; None where it was
                told none.
            goes_back: history comes again.
        """
        held = self.position
        if begins is None or recovered is True:
            return "new"
        start = begins.seq if self._are_trades else 0
        if held is None:
            # A session that goes on from no position of ours begins with all that is kept.
            if self._are_trades and recovered is None:
                self._move(begins.epoch, begins.seq)
        elif held.epoch != begins.epoch:
            if recovered is None:
                return "broken"
            self._owed = _gap_before(begins.epoch)
            self._move(begins.epoch, start)
            self._is_open = not self._are_trades
        elif goes_back and (begins.seq < held.seq or not self._are_trades):
            self._move(begins.epoch, start)
            self._tail.clear()
        return "new"

    def past(self, count: int) -> list[Batch]:
        """Return the newest so many trades or final candles, and the candle that forms."""
        found: list[Batch] = []
        for batch in reversed(self._tail):
            if count <= 0:
                break
            found.append(batch)
            count -= batch.weight
        return found[::-1]

    def _keep(self, batch: Batch) -> None:
        # A candle that forms is replaced by its next state.
        if self._tail and self._tail[-1].weight == 0:
            self._tail.pop()
        self._tail.append(batch)
        while len(self._tail) > self.keep:
            self._tail.popleft()

    def _move(self, epoch: str, seq: int) -> None:
        self.position = Position(epoch, seq)
        self._is_open = False
        self._epochs.add(epoch)


def _read(update: EventUpdate) -> Batch:
    if isinstance(update, v1.TradeMessage):
        trades = tuple(update.data.trades)
        return Batch(update.epoch, update.prev_seq, update.seq, trades)
    return Batch(update.epoch, update.seq - 1, update.seq, candle=update.data)


def _gap_before(epoch: str) -> Gap:
    """Return the gap before an epoch: how the one before ended isn't known."""
    return Gap(epoch, None, None, "epoch")
