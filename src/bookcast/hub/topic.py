"""What the hub knows of one wanted topic: what was sent last, what waits, and the views of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from bookcast.engine.history import Gap, History, break_before
from bookcast.hub.status import Status
from bookcast.hub.view import View, ViewSpec
from bookcast.model import LOSSLESS, Position, Topic, Update, is_lossless

MAX_WAITING: Final = 16
"""So many updates of one state go out in one flush; past that, the newest takes the last place."""


class Step(NamedTuple):
    """What takes a client on: updates, after word of those that are lost."""

    gap: Gap | None
    updates: Sequence[Update]


class LiveTopic:
    """A topic that somebody on this node wants.

    Attributes:
        newest: the newest update that came, whether shown already or not.
        emitted: the newest one that has been through a flush.
        remembered: the newest one from before anybody asked.
        unreadable: the updates that came last and can't be read, since others could be;
            ``untold``: nobody has been told of them yet.
    """

    __slots__ = (
        "emitted",
        "newest",
        "remembered",
        "status",
        "topic",
        "unreadable",
        "untold",
        "views",
    )

    conflates = False
    """Whether a client that can't take data misses updates, and gets the newest instead."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.newest: Update | None = None
        self.emitted: Update | None = None
        self.remembered: Update | None = None
        self.status = Status("pending")
        self.unreadable: Gap | None = None
        self.untold = False
        self.views: dict[ViewSpec, View] = {}

    def add(self, update: Update) -> int:
        """Let an update wait for the next flush; give how many it displaced."""
        raise NotImplementedError

    def skip(self, position: Position) -> None:
        """Note that the update at a position can't be read."""
        gap = self.unreadable
        if gap is None or not self.untold or gap.epoch != position.epoch:
            gap = Gap(position.epoch, position.seq, None, "unreadable")
        self.unreadable = gap._replace(to_seq=position.seq)
        self.untold = True

    def missing_after(self, emitted: Update | None) -> Gap | None:
        """Return the updates after what a view shows that can't be read; None: there are none."""
        gap, place = self.unreadable, emitted.position if emitted is not None else None
        if gap is None or gap.to_seq is None or place is None or place.epoch != gap.epoch:
            return gap
        return gap._replace(from_seq=place.seq + 1) if place.seq < gap.to_seq else None

    def forget(self) -> None:
        """Know nothing any more: the topic was removed. What comes next begins anew."""
        self.newest = self.emitted = self.remembered = self.unreadable = None
        self.untold = False
        for view in self.views.values():
            view.forget()

    def take(self) -> int:
        """Begin a flush with what waits, and give how many updates have come since the last."""
        raise NotImplementedError

    def remember(self, update: Update) -> bool:  # noqa: ARG002 - most have no history
        """Take an update from before anybody asked; False when it has to be shown like others."""
        return False

    def take_past(self, view: View, count: int) -> list[Update]:
        """Give so many of the updates that were remembered before a view began."""
        raise NotImplementedError

    def step(self, view: View) -> Step:
        """Give what a flush shows in a view."""
        raise NotImplementedError

    def catch_up(self, spec: ViewSpec, last: Update | None, newest: Update) -> Step:
        """Give what takes a client from the last update it was shown to a newer one."""
        raise NotImplementedError

    def resuming(
        self, spec: ViewSpec, emitted: Update, last: Update | Position | None
    ) -> Update | None:
        """Give the place where somebody goes on who was there before."""
        raise NotImplementedError

    def surely(self, view: View, until: float) -> Update | None:
        """Give what a view's clients had been shown by then, in the hub's seconds."""
        raise NotImplementedError

    def beginning(self, emitted: Update | None, history: int) -> Update | None:
        """Give the place where a newcomer begins, who is then caught up to what is emitted."""
        raise NotImplementedError

    def waiting_count(self) -> int:
        """Count the updates that wait for the next flush."""
        raise NotImplementedError

    def view(self, spec: ViewSpec) -> View:
        """Give the view of a spec, made when there is none."""
        view = self.views.get(spec)
        if view is None:
            view = self.views[spec] = View(spec, self.emitted)
        return view

    def is_behind(self, spec: ViewSpec, last: Update | Position | None) -> bool:
        """Tell whether a view has not yet shown what somebody has."""
        view = self.views.get(spec)
        place = last.position if isinstance(last, Update) else last
        if view is None or view.emitted is None or place is None:
            return False
        return place.is_past(view.emitted.position)

    def settle(self) -> None:
        """Forget what is past its bound: everybody who can take it has been shown it."""

    def _latest(self, shown: Update) -> str:
        """Give the epoch of what came last, if need be of what is shown."""
        return (self.newest or shown).position.epoch

    def is_waited_for(self) -> bool:
        """Tell whether some view shows the next update without being woken for it."""
        return any(not view.pending for view in self.views.values())

    def subscriber_count(self, *, conflating: bool = False) -> int:
        """Count the subscribers of all views, or of those that show all but what is conflated."""
        return sum(
            len(view.ready) + len(view.held)
            for view in self.views.values()
            if not (conflating and (view.spec.interval_ms or view.spec.every))
        )


class StateTopic(LiveTopic):
    """A book, a quote, brokers: each update is the whole state, and the newest one counts.

    Some clients want every one all the same; for them, ``queue_size`` are kept: from the first such
    client on, or with ``keeps_all`` from the beginning, so that what the engine kept counts too.
    """

    __slots__ = ("_arrived", "_came", "_clock", "_history", "_queue_size", "_taken", "_waiting")

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
        # When what is kept came here: the clocks of who published it may be others.
        self._arrived: deque[tuple[float, Update]] = deque(maxlen=queue_size)
        self._queue_size = queue_size
        self._history = History(queue_size) if keeps_all else None
        self._came = 0
        self._waiting: list[Update] = []
        self._taken: list[Update] = []

    def add(self, update: Update) -> int:
        """Let an update wait for the next flush; give how many it displaced."""
        self.newest = update
        self._came += 1
        if self._history is not None:
            self._history.append(update)
            self._arrived.append((self._clock(), update))
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(update)
            return 0
        self._waiting[-1] = update
        return 1

    def skip(self, position: Position) -> None:
        """Note that the update at a position can't be read."""
        super().skip(position)
        if self._history is not None:
            self._history.skip(position)

    def forget(self) -> None:
        """Know nothing any more."""
        super().forget()
        self._waiting, self._taken = [], []
        self._arrived.clear()
        if self._history is not None:
            self._history = History(self._queue_size)

    def take(self) -> int:
        """Begin a flush with what waits, and give how many updates that is."""
        self._taken, self._waiting = self._waiting, []
        if self._taken:
            self.emitted = self._taken[-1]
        came, self._came = self._came, 0
        return came

    def step(self, view: View) -> Step:
        """Give what was taken; in a view with an interval, the newest of it."""
        assert self.emitted is not None  # nothing is flushed before something came
        if view.spec.every:
            before = view.emitted or self._before_all()
            return self.catch_up(view.spec, before, self.emitted)
        return Step(None, [self.emitted] if view.spec.interval_ms else self._taken)

    def catch_up(self, spec: ViewSpec, last: Update | None, newest: Update) -> Step:
        """Give the newest state, whatever was shown last; or every one since."""
        if not spec.every or last is None or self._history is None:
            return Step(None, [newest])
        gap, updates = self._history.after(last.position)
        return _until(newest.position, self._latest(newest), gap, updates)

    def view(self, spec: ViewSpec) -> View:
        """Give the view of a spec, made when there is none."""
        if spec.every and self._history is None:
            self._history = History(self._queue_size)
            for update in (*([self.emitted] if self.emitted else ()), *self._waiting):
                self._history.append(update)
        return super().view(spec)

    def settle(self) -> None:
        """Forget what is past the bound of the queue."""
        if self._history is not None:
            self._history.trim()

    def resuming(
        self, spec: ViewSpec, emitted: Update, last: Update | Position | None
    ) -> Update | None:
        """Go on from what the client has, if that is known; else from nothing."""
        if last is None and spec.every:
            return self._before_all()
        if isinstance(last, Update):
            return emitted if last.position == emitted.position else last
        if last is not None and spec.every:
            return msgspec.structs.replace(emitted, position=last)
        return emitted if last == emitted.position else None

    def surely(self, view: View, until: float) -> Update | None:
        """Give what was shown last if that was before; of every update, the last one before."""
        if view.shown_at <= until or view.emitted is None:
            return view.emitted
        if not view.spec.every or self._history is None:
            return None
        return next((one for came, one in reversed(self._arrived) if came <= until), None)

    def _before_all(self) -> Update | None:
        """Give the place before everything that is kept."""
        if self._history is None or not self._history.updates:
            return None
        first = self._history.updates[0]
        before = Position(first.position.epoch, first.position.seq - 1)
        return msgspec.structs.replace(first, position=before)

    def beginning(self, _emitted: Update | None, _history: int) -> Update | None:
        """Begin with nothing, which is then caught up with the whole state."""
        return None

    def waiting_count(self) -> int:
        """Count the updates that have come since the last flush."""
        return self._came


class EventTopic(LiveTopic):
    """Trades, candles: every trade and every final candle must be seen, in order.

    What hasn't been shown to everybody is found in the bounded history that all share.
    """

    __slots__ = ("_history", "_history_size", "_waiting")

    def __init__(self, topic: Topic, history_size: int) -> None:
        super().__init__(topic)
        self._history_size = history_size
        self._history = History(history_size)
        self._waiting = 0

    def add(self, update: Update) -> int:
        """Let an update wait for the next flush; give how many forming candles it displaced."""
        previous, self.newest = self.newest, update
        self._waiting += 1
        if is_lossless(update.data):
            self._history.append(update)
        else:
            self._history.begin(update)
        displaces = previous is not None and self._waiting > 1 and not is_lossless(previous.data)
        return int(displaces)

    def skip(self, position: Position) -> None:
        """Note that the update at a position can't be read."""
        super().skip(position)
        self._history.skip(position)

    def forget(self) -> None:
        """Know nothing any more."""
        super().forget()
        self._history, self._waiting = History(self._history_size), 0

    def remember(self, update: Update) -> bool:
        """Keep an update from before anybody asked, for those who want history."""
        if self._waiting or (self.newest is not None and not self.newest.past):
            return False
        # It counts as shown to everybody.
        self.newest = self.emitted = self.remembered = update
        self._history.append(update)
        return True

    def take_past(self, view: View, count: int) -> list[Update]:
        """Give so many of the updates that were remembered before a view began."""
        assert view.emitted is not None
        return self._history.newest(count, view.emitted.position)

    def take(self) -> int:
        """Begin a flush with what waits, and give how many updates that is."""
        count, self._waiting = self._waiting, 0
        self.emitted = self.newest
        return count

    def step(self, view: View) -> Step:
        """Give all that came since the view was shown something, and a candle that is forming."""
        assert self.emitted is not None
        return self.catch_up(view.spec, view.emitted, self.emitted)

    def catch_up(self, _spec: ViewSpec, last: Update | None, newest: Update) -> Step:
        """Give all between the two that must be seen."""
        until, latest = newest.position, self._latest(newest)
        place = last.position if last is not None else until
        kept = self._history.after(last.position if last is not None else None)
        if last is not None and self._history.is_of_others(place.epoch, until.epoch, latest):
            kept = None, []  # final candles of an epoch before these, in which none is final yet
        gap, updates = _until(until, latest, *kept)
        before = updates[-1].position.epoch if updates else place.epoch
        if not is_lossless(newest.data):
            updates = [*updates, newest]
        if before != until.epoch and (gap is None or gap.epoch != until.epoch):
            # The history has nothing of it yet. What is lost of the epoch before goes with it.
            updates = updates if gap is None else [newest]
            gap = Gap(until.epoch, None, None, break_before(newest))
        elif place.epoch == until.epoch and place.seq > until.seq:
            # A client says that it has more than there is.
            gap = Gap(until.epoch, None, None, "epoch")
        return Step(gap, updates)

    def beginning(self, emitted: Update | None, history: int) -> Update | None:
        """Begin at what is emitted, or before the newest of the history.

        A newcomer to candles is shown the newest one in any case.
        """
        if emitted is None:
            return None
        past = self._history.newest(history, emitted.position)
        if not past and self.topic.channel == "trades":
            return emitted
        first = past[0] if past else emitted
        before = Position(first.position.epoch, first.position.seq - 1)
        return msgspec.structs.replace(first, position=before)

    def resuming(
        self, _spec: ViewSpec, emitted: Update, last: Update | Position | None
    ) -> Update | None:
        """Go on after the client's place, or begin here where it has none."""
        place = last.position if isinstance(last, Update) else last
        if place is None or place == emitted.position:
            return emitted
        return msgspec.structs.replace(emitted, position=place)

    def surely(self, view: View, _until: float) -> Update | None:
        """Give what was shown last: whoever must not miss any tells the place when coming back."""
        return view.emitted

    def settle(self) -> None:
        """Forget what is past the bound of the history."""
        self._history.trim()

    def waiting_count(self) -> int:
        """Count the updates that wait for the next flush."""
        return self._waiting


def _until(until: Position, latest: str, gap: Gap | None, updates: Sequence[Update]) -> Step:
    """Leave out what comes after a position. ``latest``: the epoch of what came last.

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


def live_topic(
    topic: Topic,
    history_size: int,
    queue_size: int,
    *,
    keeps_books: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> LiveTopic:
    """Make what a topic's channel needs. ``clock`` gives the hub's seconds."""
    if topic.channel in LOSSLESS:
        return EventTopic(topic, history_size)
    keeps_all = keeps_books and topic.channel == "orderbook"
    return StateTopic(topic, queue_size, keeps_all=keeps_all, clock=clock)
