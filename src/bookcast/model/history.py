"""The recent past of a topic whose every update counts, bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Literal, NamedTuple

from bookcast.model.market_data import Book, Candle, Data, Trades, is_lossless
from bookcast.model.updates import Position, Update

Reason = Literal["overflow", "history", "epoch", "engine_restored", "unreadable"]
"""Why updates are missing: the bound was passed, they never came here, continuity was lost, or was
lost because the engine was away, or this node can't read what another release wrote."""


class Gap(NamedTuple):
    """Updates that nobody can be shown any more, from and to inclusive; None where unknown."""

    epoch: str
    from_seq: int | None
    to_seq: int | None
    reason: Reason


class History:
    """The newest updates of one topic in one epoch, ``size`` of them; a trade counts as one."""

    __slots__ = (
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
        self._epoch = ""  # of what came last, kept or not
        self._unreadable: Position | None = None
        self.updates: deque[Update] = deque()

    def append(self, update: Update) -> None:
        """Add the newest update; the oldest make room at the next :meth:`trim`."""
        updates = self.updates
        counted = not isinstance(update.data, Candle)  # the numbers of final ones have holes
        if update.position.epoch != self._epoch:
            self.begin(update)
        if not updates or updates[-1].position.epoch != update.position.epoch:
            if updates or counted:
                self._forget(update.position.seq - 1 if counted else 0, "history")
            self._first = update.position.seq
        elif counted and updates[-1].position.seq + 1 < update.position.seq:
            # Some never came here: whoever needs them must hear of it.
            self._forget(update.position.seq - 1, self._reason_of_hole(update.position))
        updates.append(update)
        self._weight += _weight(update)

    def begin_anew(self) -> None:
        """Count what isn't kept any more as what was before somebody here asked for it.

        Nobody here was too slow for it, and what comes before the first that is kept is unknown.
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
        """Note an update that may be the first of an epoch, kept or not: a forming candle isn't.

        What is kept of the epoch before stays for clients who are still there. An epoch may come
        back: a node publishes under one of its own while Redis is away, and returns to Redis's.
        Clients who come from that one were shown before what is kept of Redis's.
        """
        epoch, seq = update.position.epoch, update.position.seq
        if epoch == self._epoch:
            return
        self._epoch, self._break = epoch, break_before(update)
        if not self.updates:
            self._lost = 0
        elif self.updates[-1].position.epoch == epoch:
            self._entered = seq - 1
            if isinstance(update.data, Candle):  # their numbers don't show what was in between
                self._lost, self._reason = seq - 1, "history"

    def refill(self, past: Sequence[Update]) -> None:
        """Keep again what Redis has of an epoch that has come back, up to what is kept of it.

        What this node published alone had taken its place.
        """
        kept = self.updates
        if not kept or not past or past[0].position.epoch != kept[0].position.epoch:
            return
        older = [one for one in past if one.position.seq < kept[0].position.seq]
        if not older:
            return
        self._entered = max(self._entered, kept[0].position.seq - 1)
        kept.extendleft(reversed(older))
        self._weight += sum(map(_weight, older))
        self._first = older[0].position.seq
        self._lost = 0 if isinstance(older[0].data, Candle) else self._first - 1
        self._reason = "history"
        self.trim()

    def break_into(self, update: Update) -> Reason:
        """Return why the epoch of an update doesn't continue what was before."""
        return self._break if update.position.epoch == self._epoch else break_before(update)

    def skip(self, position: Position) -> None:
        """Note that there is an update at a position which can't be read."""
        self._unreadable = position

    def trim(self) -> None:
        """Forget the oldest past the bound, though not that they were there: see :meth:`after`."""
        updates = self.updates
        while self._weight > self._size and len(updates) > 1:
            oldest = updates.popleft()
            self._weight -= _weight(oldest)
            self._lost, self._reason = oldest.position.seq, "overflow"

    def after(self, shown: Position | None) -> tuple[Gap | None, list[Update]]:
        """Return what came after a position, and what of that is lost; None: from the start."""
        updates = self.updates
        if not updates:
            if shown is None or shown.epoch != self._epoch or shown.seq >= self._lost:
                return None, []
            return Gap(self._epoch, shown.seq + 1, self._lost, self._reason), []
        epoch = updates[-1].position.epoch
        if shown is None:
            shown = Position(epoch, self._first - 1)
        if epoch not in {shown.epoch, self._epoch}:
            return None, []  # final candles of an epoch that is over, and isn't the client's
        if shown.epoch != epoch:
            entered = [one for one in updates if one.position.seq > self._entered]
            return Gap(epoch, None, None, self._break), entered
        gap = None
        if shown.seq < self._lost:
            gap = Gap(epoch, shown.seq + 1, self._lost, self._reason)
        elif shown.seq < updates[0].position.seq - 1 and self._may_lack_older():
            gap = Gap(epoch, shown.seq + 1, updates[0].position.seq - 1, "history")
        newer: list[Update] = []
        for update in reversed(updates):
            if update.position.seq <= max(shown.seq, self._lost):
                break
            newer.append(update)
        newer.reverse()
        return gap, newer

    def is_of_others(self, *epochs: str) -> bool:
        """Return whether all that is kept is of other epochs than these."""
        return bool(self.updates) and self.updates[-1].position.epoch not in epochs

    def newest(self, count: int, until: Position) -> list[Update]:
        """Return so many updates up to a position; what was published together isn't split."""
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
        """Return whether there may have been more than this was begun with.

        Final candles don't show by their numbers what was before the first one. Where as many are
        kept as may be, and none was forgotten here, an older one may have been elsewhere.
        """
        return not self._lost and self._weight >= self._size

    def _reason_of_hole(self, after: Position) -> Reason:
        """Return why what came before a position isn't here."""
        lost, last = self._unreadable, self.updates[-1].position
        if lost is not None and lost.epoch == after.epoch and last.seq < lost.seq < after.seq:
            return "unreadable"
        return "history"

    def _forget(self, lost: int, reason: Reason) -> None:
        self.updates.clear()
        self._weight = self._entered = 0
        self._lost, self._reason = lost, reason


def is_kept(data: Data, *, books_too: bool) -> bool:
    """Return whether the history keeps an update: a lossless one, or a book if all are kept."""
    return is_lossless(data) or (books_too and isinstance(data, Book))


def break_before(update: Update) -> Reason:
    """Return why an update doesn't continue what was before it."""
    return "engine_restored" if update.engine_restored else "epoch"


def _weight(update: Update) -> int:
    return len(update.data.trades) if isinstance(update.data, Trades) else 1
