"""What waits for a program: the newest state alone, or every trade and final candle."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from bookcast.client.errors import BookcastClientError
from bookcast.client.gaps import Gap, join_gaps

V = TypeVar("V")


class Item(NamedTuple):
    """A value that waits, and the numbers of the updates that are in it.

    ``weight``: how many trades or final candles it counts for; 0: a newer one takes its place.
    """

    value: Any
    weight: int
    epoch: str
    first: int
    last: int
    gap: Gap | None = None

    def with_gap(self) -> Any:
        """Return the value, with the gap before it where there is one."""
        return self.value if self.gap is None else msgspec.structs.replace(self.value, gap=self.gap)


class Queue(Generic[V]):
    """Items that wait, up to a number of trades or final candles; past that the oldest go."""

    def __init__(self, most: int) -> None:
        self.ending: BookcastClientError | None = None
        """Why nothing more comes, once that is so."""
        self._most = most
        self._items: deque[Item] = deque()
        self._weight = 0
        # What was dropped before the oldest item.
        self._gap: Gap | None = None
        self._waiting: list[asyncio.Future[None]] = []

    def push(self, item: Item) -> None:
        """Queue an item. A forming candle or a state replaces the one before it."""
        if self._items and self._items[-1].weight == 0:
            replaced = self._items.pop()
            if replaced.gap is not None:
                item = item._replace(gap=join_gaps(replaced.gap, item.gap))
        self._items.append(item)
        self._weight += item.weight
        while self._weight > self._most and len(self._items) > 1:
            self._drop_oldest()
        if self._waiting:
            self._wake()

    def end(self, error: BookcastClientError, *, at_once: bool = False) -> None:
        """End it: after what waits, or at once."""
        self.ending = error
        if at_once:
            self._items.clear()
            self._weight = 0
        self._wake()

    def resume(self) -> None:
        """Go on after an end: something comes after all."""
        self.ending = None

    def __len__(self) -> int:
        return len(self._items)

    async def next(self) -> Any:
        """Return the oldest value, and take it out; wait for one where there is none.

        Raises:
            BookcastClientError: once nothing more comes.
        """
        # Nothing is taken before it is returned, so a cancelled wait loses nothing.
        while not self._items:
            if self.ending is not None:
                raise self.ending.with_traceback(None)
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            try:
                await waiting
            except asyncio.CancelledError:
                # A program may give up waiting again and again, all night.
                if waiting in self._waiting:
                    self._waiting.remove(waiting)
                raise
        return self._take().with_gap()

    def _take(self) -> Item:
        item = self._items.popleft()
        self._weight -= item.weight
        if self._gap is not None:
            item = item._replace(gap=join_gaps(self._gap, item.gap))
            self._gap = None
        return item

    def _drop_oldest(self) -> None:
        lost = self._take()
        before = lost.gap and msgspec.structs.replace(lost.gap, reason="consumer")
        self._gap = join_gaps(before, Gap(lost.epoch, lost.first, lost.last, "consumer"))

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)
