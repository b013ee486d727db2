"""The log of a topic: what one node shows its clients. The engine appends, the hub reads."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from bookcast.model.cursor import Cursor
from bookcast.model.history import Gap, History
from bookcast.model.market_data import LOSSLESS, is_lossless
from bookcast.model.topics import Topic
from bookcast.model.updates import Position, Update

MAX_WAITING: Final = 16
"""So many updates of a state wait for a flush. With more, the newest replaces the last one."""


class Step(NamedTuple):
    """The way from one place to a later one: an optional gap of lost updates, then the updates."""

    gap: Gap | None
    updates: Sequence[Update]


class Flushed(NamedTuple):
    """What a flush took: how many updates ``came``, and how many of them were conflated away."""

    came: int
    displaced: int


class TopicLog(ABC):
    """The updates of one topic that this node shows, oldest first.

    New updates wait until the hub flushes them, and waiting updates are never trimmed. Where no
    view reads the log, whoever appends calls :meth:`flush_unread`.

    Attributes:
        newest: the newest update, flushed or not.
        flushed: the newest update that is flushed.
        remembered: the newest backfill update, from before anybody asked for the topic.
        unreadable: the position, after ``newest``, of an update that this node can't decode.
    """

    __slots__ = ("flushed", "newest", "remembered", "topic", "unreadable")

    conflates = False
    """Whether the newest update stands for all before it: a book does, a trade doesn't."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.newest: Update | None = None
        self.flushed: Update | None = None
        self.remembered: Update | None = None
        self.unreadable: Position | None = None

    @abstractmethod
    def append(self, update: Update) -> None:
        """Append an update, which waits for the next flush.

        In an event log, a backfill update doesn't wait while nothing but backfill has come.
        """

    @abstractmethod
    def skip(self, position: Position) -> None:
        """Note that this node can't decode the update at a position, which comes next."""

    @abstractmethod
    def waiting_count(self) -> int:
        """Return how many updates came since the last flush."""

    @abstractmethod
    def flush(self) -> Flushed:
        """Mark the waiting updates as shown to all live clients, and return how many they were."""

    @abstractmethod
    def trim(self) -> None:
        """Drop updates past the bound. Call it after the flushed updates have been shown."""

    def flush_unread(self) -> None:
        """Flush and trim at once: no view reads the log."""
        self.flush()
        self.trim()

    @abstractmethod
    def since(self, cursor: Cursor | None, until: Update) -> Step:
        """Return the step from a cursor to a flushed update.

        ``cursor``: None begins before all kept updates.
        """

    @abstractmethod
    def start(self) -> Cursor | None:
        """Return the place before all kept updates; None where only the newest is kept."""

    @abstractmethod
    def last(self, count: int, until: Position) -> list[Update]:
        """Return the last ``count`` kept updates up to a position; a batch is never split."""

    @abstractmethod
    def before(self, moment: float) -> Update | None:
        """Return the newest kept update that was flushed before a moment of the log's clock."""

    @abstractmethod
    def past(self) -> list[Update]:
        """Return the kept updates and the newest one, oldest first."""

    @abstractmethod
    def clear(self) -> None:
        """Drop everything: the topic was removed."""

    @abstractmethod
    def begin_anew(self) -> None:
        """Treat dropped updates as history from before the first subscription, not as overflow."""

    def refill(self, past: Sequence[Update]) -> None:  # noqa: B027 - a state needs no past
        """Put Redis's history back, which this node's own updates had replaced in an outage."""

    def release(self) -> None:  # noqa: B027 - event logs keep the same for all
        """Drop what was kept for views: nothing on this node wants the topic any more."""


class StateLog(TopicLog):
    """The log of a state (book, quote, brokers): each update is complete, the newest one counts.

    Lossless subscriptions want every update all the same. For them ``queue_size`` updates are kept:
    always with ``keeps_all``, else from :meth:`keep_all` on. A new epoch doesn't drop kept updates,
    since each stands for itself. A client whose place is in none of the kept epochs, or is unknown,
    begins with the newest epoch. ``clock``: this node's monotonic seconds. The clocks of publishers
    may differ from it.
    """

    __slots__ = (
        "_came",
        "_clock",
        "_displaced",
        "_flushes",
        "_keeps_all",
        "_kept",
        "_queue_size",
        "_waiting",
        "taken",
    )

    conflates = True

    def __init__(
        self,
        topic: Topic,
        queue_size: int,
        *,
        keeps_all: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(topic)
        self._clock = clock
        self._queue_size = queue_size
        self._keeps_all = keeps_all
        self._kept: deque[Update] | None = None
        # While updates are kept: the time of each flush, and the newest update that it took.
        self._flushes: deque[tuple[float, Update]] | None = None
        self._came = self._displaced = 0
        self._waiting: list[Update] = []
        self.taken: Sequence[Update] = ()
        """The updates of the last flush."""
        if keeps_all:
            self.keep_all()

    @property
    def keeps_all(self) -> bool:
        """Whether more than the newest is kept."""
        return self._kept is not None

    def keep_all(self) -> None:
        """Keep every update from now on, within the bound, beginning with the flushed one."""
        if self._kept is None:
            flushed = [self.flushed] if self.flushed is not None else []
            self._kept = deque((*flushed, *self._waiting))
            now = self._clock()
            self._flushes = deque(((now, one) for one in flushed), maxlen=self._queue_size)

    def release(self) -> None:
        """Keep only the newest update, unless ``keeps_all`` was set."""
        if not self._keeps_all:
            self._kept = self._flushes = None

    def append(self, update: Update) -> None:
        """Append an update, which waits for the next flush."""
        self.newest, self.unreadable = update, None
        self._came += 1
        if self._kept is not None:
            self._kept.append(update)
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(update)
        else:
            self._waiting[-1] = update
            self._displaced += 1

    def skip(self, position: Position) -> None:
        """Note that this node can't decode the update at a position, which comes next."""
        self.unreadable = position

    def waiting_count(self) -> int:
        """Return how many updates came since the last flush."""
        return self._came

    def flush(self) -> Flushed:
        """Mark the waiting updates as shown to all live clients, and return how many they were."""
        self.taken, self._waiting = self._waiting, []
        if self.taken:
            self._note_flush(self.taken[-1])
        flushed = Flushed(self._came, self._displaced)
        self._came = self._displaced = 0
        return flushed

    def trim(self) -> None:
        """Drop the oldest updates past the bound of the queue."""
        while self._kept is not None and len(self._kept) > self._queue_size:
            self._kept.popleft()

    def flush_unread(self) -> None:
        """Flush and trim at once: no view reads the log."""
        if self._came and self.newest is not None:
            self._note_flush(self.newest)
            self.taken, self._waiting = (), []
            self._came = self._displaced = 0
        self.trim()

    def _note_flush(self, newest: Update) -> None:
        self.flushed = newest
        if self._flushes is not None:
            self._flushes.append((self._clock(), newest))

    def since(self, cursor: Cursor | None, until: Update) -> Step:
        """Return every kept update after a cursor, or the newest where only that is kept."""
        if cursor is None or self._kept is None:
            return Step(None, [until])
        place = cursor.position
        updates: list[Update] = []
        for update in reversed(self._kept):
            if update.position.epoch == place.epoch and update.position.seq <= place.seq:
                return Step(None, updates[::-1])
            if updates or update is until:  # newer ones wait for the next flush
                updates.append(update)
        oldest = updates[-1].position if updates else until.position
        if place.epoch == oldest.epoch:
            first, last = place.seq + 1, oldest.seq - 1
            gap = Gap(oldest.epoch, first, last, "overflow") if first <= last else None
            return Step(gap, updates[::-1])
        # After an outage the newest book of Redis was shown once more: it is sent once.
        epoch = until.position.epoch
        newest = {one.position: one for one in updates[::-1] if one.position.epoch == epoch}
        return Step(Gap(epoch, None, None, "epoch"), list(newest.values()))

    def start(self) -> Cursor | None:
        """Return the place before the newest epoch's kept updates; None where none are kept."""
        if not self._kept:
            return None
        epoch = self._kept[-1].position.epoch
        return Cursor.before(next(one for one in self._kept if one.position.epoch == epoch))

    def last(self, _count: int, _until: Position) -> list[Update]:
        """Return nothing: a state has no history."""
        return []

    def before(self, moment: float) -> Update | None:
        """Return the newest kept update that was flushed before a moment of the log's clock."""
        return next((update for at, update in reversed(self._flushes or ()) if at <= moment), None)

    def past(self) -> list[Update]:
        """Return the kept updates and the newest one, oldest first."""
        return _with_newest(list(self._kept or ()), self.newest)

    def begin_anew(self) -> None:
        """Do nothing: a state has no gaps to report."""

    def clear(self) -> None:
        """Drop everything: the topic was removed."""
        self.newest = self.flushed = self.remembered = self.unreadable = None
        self.taken, self._waiting = (), []
        self._came = self._displaced = 0
        if self._kept is not None and self._flushes is not None:
            self._kept.clear()
            self._flushes.clear()


class EventLog(TopicLog):
    """The log of events: clients must see every trade and every final candle, in order.

    ``history_size`` of them are kept. Each single trade counts.
    """

    __slots__ = ("_displaced", "_history", "_history_size", "_waiting")

    def __init__(self, topic: Topic, history_size: int) -> None:
        super().__init__(topic)
        self._history_size = history_size
        self._history = History(history_size)
        self._waiting = self._displaced = 0

    def append(self, update: Update) -> None:
        """Append an update. A forming candle is replaced by the next candle."""
        previous, self.newest, self.unreadable = self.newest, update, None
        if is_lossless(update.data):
            self._history.append(update)
        else:
            self._history.begin(update)
        if update.backfill and not self._waiting and (previous is None or previous.backfill):
            # It counts as shown to all clients.
            self.flushed = self.remembered = update
            return
        self._waiting += 1
        if previous is not None and self._waiting > 1 and not is_lossless(previous.data):
            self._displaced += 1

    def skip(self, position: Position) -> None:
        """Note that this node can't decode the update at a position, which comes next."""
        self.unreadable = position
        self._history.skip(position)

    def waiting_count(self) -> int:
        """Return how many updates came since the last flush."""
        return self._waiting

    def flush(self) -> Flushed:
        """Mark the waiting updates as shown to all live clients, and return how many they were."""
        flushed = Flushed(self._waiting, self._displaced)
        self._waiting = self._displaced = 0
        self.flushed = self.newest
        return flushed

    def trim(self) -> None:
        """Drop the oldest updates past the bound of the history."""
        self._history.trim()

    def since(self, cursor: Cursor | None, until: Update) -> Step:
        """Return all lossless updates after a cursor, then the candle that is forming, if any."""
        end, latest = until.position, _epoch_of(self.newest or until)
        place = cursor.position if cursor is not None else end
        kept = self._history.after(cursor.position if cursor is not None else None)
        gap, updates = _up_to(end, latest, *kept)
        before = updates[-1].position.epoch if updates else place.epoch
        if not is_lossless(until.data):
            updates = [*updates, until]
        if before != end.epoch and (gap is None or gap.epoch != end.epoch):
            # The history has nothing of this epoch yet. One gap covers the old epoch's losses too.
            updates = updates if gap is None else [until]
            gap = Gap(end.epoch, None, None, self._history.break_into(until))
        elif place.epoch == end.epoch and place.seq > end.seq:
            # The client claims a position after the newest one.
            gap = Gap(end.epoch, None, None, "epoch")
        return Step(gap, updates)

    def start(self) -> Cursor | None:
        """Return the place before all kept updates; None where nothing is kept."""
        return Cursor.before(self._history.updates[0]) if self._history.updates else None

    def last(self, count: int, until: Position) -> list[Update]:
        """Return the last ``count`` kept updates up to a position; a batch is never split."""
        return self._history.newest(count, until)

    def before(self, _moment: float) -> Update | None:
        """Return nothing: clients of event topics come back with their own cursor."""
        return None

    def past(self) -> list[Update]:
        """Return the kept updates and the newest one, oldest first."""
        return _with_newest(list(self._history.updates), self.newest)

    def refill(self, past: Sequence[Update]) -> None:
        """Put Redis's history back, which this node's own updates had replaced in an outage."""
        self._history.refill([one for one in past if is_lossless(one.data)])

    def begin_anew(self) -> None:
        """Treat dropped updates as history from before the first subscription, not as overflow."""
        self._history.begin_anew()

    def clear(self) -> None:
        """Drop everything: the topic was removed."""
        self.newest = self.flushed = self.remembered = self.unreadable = None
        self._history = History(self._history_size)
        self._waiting = self._displaced = 0


class LogRules(msgspec.Struct, frozen=True):
    """The bounds of every log.

    Attributes:
        history_size: so many trades or final candles are kept per topic.
        queue_size: so many books are kept per topic, where they are kept.
        keeps_books: all books are kept, also before a lossless subscription needs them.
        clock: this node's monotonic seconds.
    """

    history_size: int = 1000
    queue_size: int = 1000
    keeps_books: bool = False
    clock: Callable[[], float] = time.monotonic

    def log_of(self, topic: Topic) -> TopicLog:
        """Return a new log of the kind that the topic's channel needs."""
        if topic.channel in LOSSLESS:
            return EventLog(topic, self.history_size)
        keeps_all = self.keeps_books and topic.channel == "orderbook"
        return StateLog(topic, self.queue_size, keeps_all=keeps_all, clock=self.clock)


def _epoch_of(update: Update) -> str:
    return update.position.epoch


def _with_newest(past: list[Update], newest: Update | None) -> list[Update]:
    if newest is not None and (not past or past[-1] is not newest):
        past.append(newest)
    return past


def _up_to(until: Position, latest: str, gap: Gap | None, updates: Sequence[Update]) -> Step:
    """Leave out updates after a position. ``latest``: the epoch of the newest update.

    Updates of another epoch came before the position: final candles, for instance, when only a
    forming one has come in the new epoch. Those of the latest epoch wait for the next flush.
    """
    waits = {latest} - {until.epoch}
    updates = [
        update
        for update in updates
        if update.position.epoch not in waits
        and (update.position.epoch != until.epoch or update.position.seq <= until.seq)
    ]
    if gap is not None and gap.epoch in waits:
        gap = None  # it is reported with the next flush
    if gap is not None and gap.to_seq is not None and gap.to_seq > until.seq:
        gap = gap._replace(to_seq=until.seq)
    return Step(gap, updates)
