"""What one node shows of a topic: the one log that the engine appends to and the hub reads."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Final, NamedTuple

import msgspec

from bookcast.model.cursor import Cursor
from bookcast.model.history import Gap, History
from bookcast.model.market_data import LOSSLESS, is_lossless
from bookcast.model.topics import Topic
from bookcast.model.updates import Position, Update

MAX_WAITING: Final = 16
"""So many updates of one state wait for a flush; past that, the newest takes the last place."""


class Step(NamedTuple):
    """What leads from one place to a later one: updates, after the gap of those that are lost."""

    gap: Gap | None
    updates: Sequence[Update]


class Flushed(NamedTuple):
    """How many updates ``came`` since the last flush, and how many of them newer ones displaced."""

    came: int
    displaced: int


class TopicLog(ABC):
    """The updates of one topic that this node shows, oldest first.

    What comes waits until it is flushed, and nothing that waits is trimmed. Where nobody reads the
    log, whoever appends calls :meth:`flush_unread`.

    Attributes:
        newest: the newest update, flushed or not.
        flushed: the newest one that is flushed.
        remembered: the newest one from before anybody asked.
        unreadable: the place after ``newest`` of an update that this node can't read.
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

        Where every update counts, one from before anybody asked doesn't wait, as long as nothing
        else came.
        """

    @abstractmethod
    def skip(self, position: Position) -> None:
        """Note that the next update, at a position, can't be read by this node."""

    @abstractmethod
    def waiting_count(self) -> int:
        """Return how many updates came since the last flush."""

    @abstractmethod
    def flush(self) -> Flushed:
        """Mark what waits as shown to all clients that can take it. Return how much it was."""

    @abstractmethod
    def trim(self) -> None:
        """Forget what is past the bound. Call it after what was flushed has been shown."""

    def flush_unread(self) -> None:
        """Flush and trim: nobody is to be shown what waits."""
        self.flush()
        self.trim()

    @abstractmethod
    def since(self, cursor: Cursor | None, until: Update) -> Step:
        """Return what leads from a place to an update that was flushed.

        ``cursor``: None begins before all that is kept.
        """

    @abstractmethod
    def start(self) -> Cursor | None:
        """Return the place before all that is kept; None where only the newest is."""

    @abstractmethod
    def last(self, count: int, until: Position) -> list[Update]:
        """Return so many of the kept updates up to a place, as complete as they were published."""

    @abstractmethod
    def before(self, moment: float) -> Update | None:
        """Return the newest kept update that came here before a moment of the log's clock."""

    @abstractmethod
    def past(self) -> list[Update]:
        """Return all that is known: what is kept, and the newest."""

    @abstractmethod
    def clear(self) -> None:
        """Forget everything: the topic was removed."""

    @abstractmethod
    def begin_anew(self) -> None:
        """Count what isn't kept any more as what was before anybody here subscribed."""

    def refill(self, past: Sequence[Update]) -> None:  # noqa: B027 - a state needs no past
        """Keep again what Redis has of the past, after this node has published alone."""

    def release(self) -> None:  # noqa: B027 - most keep nothing for readers alone
        """Forget what was kept for readers alone: there are none any more."""


class StateLog(TopicLog):
    """A book, a quote, brokers: each update is the whole state, and the newest one counts.

    Some clients want every one all the same. For them ``queue_size`` are kept: from
    :meth:`keep_all` on, or with ``keeps_all`` always. A new epoch doesn't end what waits for a
    client: each update stands for itself. Who comes from elsewhere, or from nobody knows where,
    begins with the newest epoch. ``clock``: this node's monotonic seconds; the clocks of publishers
    may be others.
    """

    __slots__ = (
        "_came",
        "_clock",
        "_displaced",
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
        # What is kept, with when it came here.
        self._kept: deque[tuple[float, Update]] | None = None
        self._came = self._displaced = 0
        self._waiting: list[Update] = []
        self.taken: Sequence[Update] = ()
        """What the last flush took."""
        if keeps_all:
            self.keep_all()

    @property
    def keeps_all(self) -> bool:
        """Whether more than the newest is kept."""
        return self._kept is not None

    def keep_all(self) -> None:
        """Keep every update from now on, within the bound, beginning with what is flushed."""
        if self._kept is None:
            flushed = [self.flushed] if self.flushed is not None else []
            now = self._clock()
            self._kept = deque((now, update) for update in (*flushed, *self._waiting))

    def release(self) -> None:
        """Keep the newest alone, unless all are to be kept in any case."""
        if not self._keeps_all:
            self._kept = None

    def append(self, update: Update) -> None:
        """Append an update, which waits for the next flush."""
        self.newest, self.unreadable = update, None
        self._came += 1
        if self._kept is not None:
            self._kept.append((self._clock(), update))
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(update)
        else:
            self._waiting[-1] = update
            self._displaced += 1

    def skip(self, position: Position) -> None:
        """Note that the next update, at a position, can't be read by this node."""
        self.unreadable = position

    def waiting_count(self) -> int:
        """Return how many updates came since the last flush."""
        return self._came

    def flush(self) -> Flushed:
        """Mark what waits as shown to all clients that can take it. Return how much it was."""
        self.taken, self._waiting = self._waiting, []
        if self.taken:
            self.flushed = self.taken[-1]
        flushed = Flushed(self._came, self._displaced)
        self._came = self._displaced = 0
        return flushed

    def trim(self) -> None:
        """Forget what is past the bound of the queue."""
        while self._kept is not None and len(self._kept) > self._queue_size:
            self._kept.popleft()

    def flush_unread(self) -> None:
        """Flush and trim: nobody is to be shown what waits."""
        if self._came:
            self.flushed = self.newest
            self.taken, self._waiting = (), []
            self._came = self._displaced = 0
        self.trim()

    def since(self, cursor: Cursor | None, until: Update) -> Step:
        """Return every kept update after a place, or the newest where only that is kept."""
        if cursor is None or self._kept is None:
            return Step(None, [until])
        place = cursor.position
        updates: list[Update] = []
        for _, update in reversed(self._kept):
            if update.position.epoch == place.epoch and update.position.seq <= place.seq:
                return Step(None, updates[::-1])
            if updates or update is until:  # what is newer waits for the next flush
                updates.append(update)
        oldest = updates[-1].position if updates else until.position
        if place.epoch == oldest.epoch:
            first, last = place.seq + 1, oldest.seq - 1
            gap = Gap(oldest.epoch, first, last, "overflow") if first <= last else None
            return Step(gap, updates[::-1])
        newest = list(takewhile(lambda one: one.position.epoch == until.position.epoch, updates))
        return Step(Gap(until.position.epoch, None, None, "epoch"), newest[::-1])

    def start(self) -> Cursor | None:
        """Return the place before what is kept of the newest epoch; None where only one is."""
        if not self._kept:
            return None
        epoch = self._kept[-1][1].position.epoch
        of_epoch = takewhile(lambda one: one[1].position.epoch == epoch, reversed(self._kept))
        *_, (_, first) = of_epoch
        return Cursor.before(first)

    def last(self, _count: int, _until: Position) -> list[Update]:
        """Return nothing: what was before a state doesn't count."""
        return []

    def before(self, moment: float) -> Update | None:
        """Return the newest kept update that came here before a moment of the log's clock."""
        kept = reversed(self._kept or ())
        return next((update for came, update in kept if came <= moment), None)

    def past(self) -> list[Update]:
        """Return what is kept, and the newest."""
        return _with_newest([update for _, update in self._kept or ()], self.newest)

    def begin_anew(self) -> None:
        """Do nothing: of a state nobody is told what isn't kept any more."""

    def clear(self) -> None:
        """Forget everything: the topic was removed."""
        self.newest = self.flushed = self.remembered = self.unreadable = None
        self.taken, self._waiting = (), []
        self._came = self._displaced = 0
        if self._kept is not None:
            self._kept.clear()


class EventLog(TopicLog):
    """Trades, candles: every trade and every final candle must be seen, in order.

    ``history_size`` of them are kept, a trade counting as one.
    """

    __slots__ = ("_displaced", "_history", "_history_size", "_waiting")

    def __init__(self, topic: Topic, history_size: int) -> None:
        super().__init__(topic)
        self._history_size = history_size
        self._history = History(history_size)
        self._waiting = self._displaced = 0

    def append(self, update: Update) -> None:
        """Append an update; a candle that is forming takes the place of the one before it."""
        previous, self.newest, self.unreadable = self.newest, update, None
        if is_lossless(update.data):
            self._history.append(update)
        else:
            self._history.begin(update)
        if update.backfill and not self._waiting and (previous is None or previous.backfill):
            # It counts as shown to everybody.
            self.flushed = self.remembered = update
            return
        self._waiting += 1
        if previous is not None and self._waiting > 1 and not is_lossless(previous.data):
            self._displaced += 1

    def skip(self, position: Position) -> None:
        """Note that the next update, at a position, can't be read by this node."""
        self.unreadable = position
        self._history.skip(position)

    def waiting_count(self) -> int:
        """Return how many updates came since the last flush."""
        return self._waiting

    def flush(self) -> Flushed:
        """Mark what waits as shown to all clients that can take it. Return how much it was."""
        flushed = Flushed(self._waiting, self._displaced)
        self._waiting = self._displaced = 0
        self.flushed = self.newest
        return flushed

    def trim(self) -> None:
        """Forget what is past the bound of the history."""
        self._history.trim()

    def since(self, cursor: Cursor | None, until: Update) -> Step:
        """Return all after a place that must be seen, and a candle that is forming."""
        end, latest = until.position, _epoch_of(self.newest or until)
        place = cursor.position if cursor is not None else end
        kept = self._history.after(cursor.position if cursor is not None else None)
        if cursor is not None and self._history.is_of_others(place.epoch, end.epoch, latest):
            kept = None, []  # final candles of an epoch before these, in which none is final yet
        gap, updates = _up_to(end, latest, *kept)
        before = updates[-1].position.epoch if updates else place.epoch
        if not is_lossless(until.data):
            updates = [*updates, until]
        if before != end.epoch and (gap is None or gap.epoch != end.epoch):
            # The history has nothing of it yet. What is lost of the epoch before goes with it.
            updates = updates if gap is None else [until]
            gap = Gap(end.epoch, None, None, self._history.break_into(until))
        elif place.epoch == end.epoch and place.seq > end.seq:
            # A client says that it has more than there is.
            gap = Gap(end.epoch, None, None, "epoch")
        return Step(gap, updates)

    def start(self) -> Cursor | None:
        """Return the place before all that is kept; None where nothing is."""
        return Cursor.before(self._history.updates[0]) if self._history.updates else None

    def last(self, count: int, until: Position) -> list[Update]:
        """Return so many of the kept updates up to a place, as complete as they were published."""
        return self._history.newest(count, until)

    def before(self, _moment: float) -> Update | None:
        """Return nothing: who must miss none tells their place when they come back."""
        return None

    def past(self) -> list[Update]:
        """Return what is kept, and the newest."""
        return _with_newest(list(self._history.updates), self.newest)

    def refill(self, past: Sequence[Update]) -> None:
        """Keep again what Redis has of the past, after this node has published alone."""
        self._history.refill([one for one in past if is_lossless(one.data)])

    def begin_anew(self) -> None:
        """Count what isn't kept any more as what was before anybody here subscribed."""
        self._history.begin_anew()

    def clear(self) -> None:
        """Forget everything: the topic was removed."""
        self.newest = self.flushed = self.remembered = self.unreadable = None
        self._history = History(self._history_size)
        self._waiting = self._displaced = 0


class LogRules(msgspec.Struct, frozen=True):
    """The bounds of every log.

    ``history_size``: trades and final candles. ``queue_size``: books, where they are kept.
    ``keeps_books``: all books are kept, also before a client comes that wants them. ``clock``: this
    node's monotonic seconds.
    """

    history_size: int = 1000
    queue_size: int = 1000
    keeps_books: bool = False
    clock: Callable[[], float] = time.monotonic

    def log_of(self, topic: Topic) -> TopicLog:
        """Return the log that a topic's channel needs."""
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
    """Leave out what comes after a place. ``latest``: the epoch of what came last.

    What is of another epoch came before, as final candles did before one that is forming in a new
    epoch; unless that epoch is the latest, which waits for the next flush.
    """
    waits = {latest} - {until.epoch}
    updates = [
        update
        for update in updates
        if update.position.epoch not in waits
        and (update.position.epoch != until.epoch or update.position.seq <= until.seq)
    ]
    if gap is not None and gap.epoch in waits:
        gap = None  # it is told with the next flush
    if gap is not None and gap.to_seq is not None and gap.to_seq > until.seq:
        gap = gap._replace(to_seq=until.seq)
    return Step(gap, updates)
