"""The bounded history of an event topic, and what of it is lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import takewhile
from typing import Literal, NamedTuple

from bookcast.model.market_data import Book, Candle, Data, Trades, is_lossless
from bookcast.model.updates import Position, Update

Reason = Literal["overflow", "history", "epoch", "engine_restored", "unreadable"]
"""Why updates are missing.

``overflow``: the bound was passed. ``history``: they never reached this node. ``epoch``: continuity
was lost. ``engine_restored``: it was lost because the engine was away. ``unreadable``: another
release wrote an update that this node can't decode.
"""


class Gap(NamedTuple):
    """Updates that are lost, from and to inclusive; None where the numbers are unknown."""

    epoch: str
    from_seq: int | None
    to_seq: int | None
    reason: Reason


class History:
    """The newest ``size`` updates of one topic, all of one epoch. Each single trade counts."""

    __slots__ = (
        "_begun",
        "_break",
        "_entered",
        "_epoch",
        "_first",
        "_lost",
        "_reason",
        "_size",
        "_unreadable",
        "_weight",
        "updates",
    )

    def __init__(self, size: int) -> None:
        self._size = size
        self._weight = 0
        self._first = self._lost = self._entered = 0
        self._reason: Reason = "history"
        self._break: Reason = "epoch"
        self._epoch = ""  # of the newest update, kept or not
        # The newest epoch came here after this number. Final candles up to it may be missing.
        self._begun = 0
        self._unreadable: Position | None = None
        self.updates: deque[Update] = deque()

    def append(self, update: Update) -> None:
        """Add the newest update. The next :meth:`trim` drops the oldest."""
        updates = self.updates
        counted = not isinstance(update.data, Candle)  # final candles' numbers have holes
        if update.position.epoch != self._epoch:
            self.begin(update)
        if not updates or updates[-1].position.epoch != update.position.epoch:
            if updates or counted:
                self._forget(update.position.seq - 1 if counted else self._begun, "history")
            self._first = update.position.seq
        elif counted and updates[-1].position.seq + 1 < update.position.seq:
            # Some updates never reached this node: clients behind them need a gap.
            self._forget(update.position.seq - 1, self._reason_of_hole(update.position))
        updates.append(update)
        self._weight += _weight(update)

    def begin_anew(self) -> None:
        """Treat dropped updates as history from before the first subscription.

        No client of this node was too slow for them, so the reason isn't ``overflow``.
        """
        self._lost, self._reason = 0, "history"
        if not self.updates:
            return
        first = self.updates[0]
        self._first = first.position.seq
        if not isinstance(first.data, Candle):
            self._lost = self._first - 1
        if first.position.epoch == self._epoch:
            self._break = break_before(first)

    def begin(self, update: Update) -> None:
        """Begin a new epoch if this update is of one. A forming candle is noted but isn't kept.

        Updates of the epoch before stay for clients that are still in it. An epoch may return: in
        an outage a node publishes under its own, then returns to Redis's. A client coming from the
        node's own epoch was already shown the kept updates of Redis's epoch.
        """
        epoch, seq = update.position.epoch, update.position.seq
        if epoch == self._epoch:
            return
        self._epoch, self._break = epoch, break_before(update)
        self._begun = seq - 1 if self.updates else 0
        if not self.updates:
            self._lost = 0
        elif self.updates[-1].position.epoch == epoch:
            self._entered = seq - 1
            if isinstance(update.data, Candle):  # its number doesn't show what was in between
                self._lost, self._reason = seq - 1, "history"

    def refill(self, past: Sequence[Update]) -> None:
        """Put back the updates of a returned epoch that come before the kept ones.

        In an outage, this node's own updates had replaced them.
        """
        kept = self.updates
        if not past or past[0].position.epoch != self._epoch:
            return
        if kept and kept[0].position.epoch == self._epoch:
            first = kept[0].position.seq
        else:  # only forming candles came since: what is kept is of the outage
            first = self._begun + 1
            self._forget(0, "history")
        self._begun = 0
        older = [one for one in past if one.position.seq < first]
        if not older:
            return
        self._entered = max(self._entered, first - 1)
        kept.extendleft(reversed(older))
        self._weight += sum(map(_weight, older))
        self._first = older[0].position.seq
        self._lost = 0 if isinstance(older[0].data, Candle) else self._first - 1
        self._reason = "history"
        self.trim()

    def break_into(self, update: Update) -> Reason:
        """Return why the epoch of an update doesn't continue the epoch before."""
        return self._break if update.position.epoch == self._epoch else break_before(update)

    def skip(self, position: Position) -> None:
        """Note that the update at a position can't be decoded."""
        self._unreadable = position

    def trim(self) -> None:
        """Drop the oldest updates past the bound. :meth:`after` reports them as a gap."""
        updates = self.updates
        while self._weight > self._size and len(updates) > 1:
            oldest = updates.popleft()
            self._weight -= _weight(oldest)
            self._lost, self._reason = oldest.position.seq, "overflow"

    def after(self, shown: Position | None) -> tuple[Gap | None, list[Update]]:
        """Return the updates after a position and the gap before them; None: from the start."""
        updates = self.updates
        if not updates:
            if shown is None or shown.epoch != self._epoch or shown.seq >= self._lost:
                return None, []
            return Gap(self._epoch, shown.seq + 1, self._lost, self._reason), []
        epoch = updates[-1].position.epoch
        if shown is None:
            shown = Position(epoch, self._first - 1)
        if epoch != self._epoch == shown.epoch and shown.seq < self._begun:
            return Gap(shown.epoch, shown.seq + 1, self._begun, "history"), []
        if epoch not in {shown.epoch, self._epoch}:
            return None, []  # final candles of an old epoch that isn't the client's
        if shown.epoch != epoch:
            entered = [one for one in updates if one.position.seq > self._entered]
            return Gap(epoch, None, None, self._break), entered
        gap = None
        if shown.seq < self._lost:
            gap = Gap(epoch, shown.seq + 1, self._lost, self._reason)
        elif shown.seq < updates[0].position.seq - 1 and self._may_lack_older():
            gap = Gap(epoch, shown.seq + 1, updates[0].position.seq - 1, "history")
        return gap, self._newer_than(max(shown.seq, self._lost))

    def _newer_than(self, seq: int) -> list[Update]:
        newer = list(takewhile(lambda one: one.position.seq > seq, reversed(self.updates)))
        newer.reverse()
        return newer

    def newest(self, count: int, until: Position) -> list[Update]:
        """Return the last ``count`` updates up to a position; a batch of trades isn't split."""
        found: list[Update] = []
        for update in reversed(self.updates):
            if count <= 0:
                break
            if update.position.seq <= until.seq:
                found.append(update)
                count -= _weight(update)
        found.reverse()
        return found

    def _may_lack_older(self) -> bool:
        """Return whether an older final candle may exist that isn't here.

        The numbers of final candles don't show whether one came before the first. If the history is
        full and this node has dropped none, an older one may have been left out when it was read.
        """
        return not self._lost and self._weight >= self._size

    def _reason_of_hole(self, after: Position) -> Reason:
        """Return why updates before a position are missing."""
        lost, last = self._unreadable, self.updates[-1].position
        if lost is not None and lost.epoch == after.epoch and last.seq < lost.seq < after.seq:
            return "unreadable"
        return "history"

    def _forget(self, lost: int, reason: Reason) -> None:
        self.updates.clear()
        self._weight = self._entered = 0
        self._lost, self._reason = lost, reason


def is_kept(data: Data, *, books_too: bool) -> bool:
    """Return whether the history keeps such data: lossless data, and books if ``books_too``."""
    return is_lossless(data) or (books_too and isinstance(data, Book))


def break_before(update: Update) -> Reason:
    """Return why an update doesn't continue the epoch before it."""
    return "engine_restored" if update.engine_restored else "epoch"


def _weight(update: Update) -> int:
    return len(update.data.trades) if isinstance(update.data, Trades) else 1
