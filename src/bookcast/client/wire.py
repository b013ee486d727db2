"""What is wanted of the server: a set of topics, each in one view.

It is sent when a connection is up and when it changes; nothing is queued while there is none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from bookcast.client.clock import Clock
from bookcast.client.errors import BookcastClientError, Refused
from bookcast.client.line import LineStatus
from bookcast.client.tape import Tape
from bookcast.client.topic import Name, SubscriptionState, Topic
from bookcast.client.view import View, is_same, union
from bookcast.model.updates import Position
from bookcast.protocol.v1 import messages as v1

LINGER: Final = 5_000.0
"""A view narrows after so long, since whoever closed it may want it again."""
MAX_BYTES: Final = 60_000
"""The bytes of a message: servers take 64 KiB."""
BURST: Final = 400
RATE: Final = 40
"""Messages at once, and for each second after that: servers take 500 and 50."""
SECOND: Final = 1_000.0


class Failed(Protocol):
    """An error is the answer, or there is none: in time, or because the connection is gone."""

    def __call__(self, error: BookcastClientError, /, *, is_gone: bool) -> None:
        """Take the error."""


class Speaker(Protocol):
    """What the wire needs of a session."""

    clock_offset: float

    @property
    def status(self) -> LineStatus:
        """How the line stands."""

    def question(self, command: Any, answered: Callable[[Any], None], failed: Failed) -> None:
        """Ask something that has one answer."""

    def send(self, command: object) -> None:
        """Send a message that needs no answer."""

    def check(self) -> None:
        """See whether the peer is there: it should have answered."""

    def failed(self, error: BookcastClientError) -> None:
        """Report an error that no caller waits for."""

    def note(self, text: str, name: Name | None = None) -> None:
        """Log what was decided."""


class Wire:
    """All topics of a client."""

    def __init__(self, session: Speaker, clock: Clock) -> None:
        self._session = session
        self.clock = clock
        self.topics: dict[Name, Topic] = {}
        self._changed: dict[Topic, None] = {}
        self._is_up = False
        self._will_flush = False
        self._said = 0
        self._turn = 0
        self._pace: asyncio.TimerHandle | None = None

    @property
    def clock_offset(self) -> float:
        """How much later the server's clock is than this side's."""
        return self._session.clock_offset

    def note(self, text: str, name: Name) -> None:
        """Log what was decided."""
        self._session.note(text, name)

    def line_state(self) -> tuple[SubscriptionState, str | None] | None:
        """Return how all subscriptions stand while the session isn't up."""
        if self._is_up:
            return None
        status = self._session.status
        return "refused" if status.state == "stopped" else "connecting", status.reason

    def topic(self, name: Name) -> Topic:
        """Return the topic of a name, made where there is none yet."""
        topic = self.topics.get(name)
        if topic is None:
            topic = self.topics[name] = Topic(name, self)
        return topic

    def find(self, name: Name) -> Topic | None:
        """Return the topic that a message is about; one that nobody wants is unsubscribed."""
        topic = self.topics.get(name)
        if topic is None and self._is_up:
            self._unsubscribe(self.topic(name))
        return topic

    def up(self) -> None:
        """Ask for everything that the session lacks: it is up."""
        self._is_up = True
        for topic in self.topics.values():
            if not topic.is_up:
                topic.asked = None
            self._changed[topic] = None
        self._flush()
        self.state_may_have_changed()

    def lost(self) -> None:
        """Note that the connection is gone."""
        self._is_up = False
        if self._pace is not None:
            self._pace.cancel()
            self._pace = None
        self._said = 0
        for name, topic in list(self.topics.items()):
            topic.lost()
            if topic.wanted is None:
                del self.topics[name]

    def wanted_differs(self, topic: Topic) -> None:
        """Send soon how a topic is wanted."""
        self._changed[topic] = None
        if not self._will_flush:
            self._will_flush = True
            # What is opened and closed in one go of the program is no matter for the server.
            self.clock.loop.call_soon(self._flush_soon)

    def ask_again(self, topic: Topic) -> None:
        """Ask for the whole state, or for what came after a position."""
        if isinstance(topic.data, Tape):
            self._ask_anew(topic)
            return

        def failed(error: BookcastClientError, *, is_gone: bool) -> None:
            if error.code == "not_subscribed" and not is_gone:
                topic.is_up = False
                self._ask_anew(topic)

        self._said += 1
        # There is no other answer, but the state.
        self._session.question(v1.Resync(**_named(topic.name)), lambda _answer: None, failed)

    def state_may_have_changed(self) -> None:
        """Make each subscription check its state."""
        for topic in self.topics.values():
            topic.state_may_have_changed()

    # What the server answers

    def unsubscribed(self, name: Name) -> None:
        """Forget a topic: what was on its way has come."""
        topic = self.topics.get(name)
        if topic is not None and topic.wanted is None:
            del self.topics[name]

    def failed(self, told: v1.ErrorMessage, error: Refused) -> bool:
        """Take an error about topics that answers no question; return False for others."""
        if not told.symbol:
            return False
        for topic in list(self.topics.values()):
            if (topic.name.symbol, topic.name.channel) == (told.symbol, told.channel):
                self._refused(topic, error)
        return True

    def positions(self) -> list[v1.HeldPosition] | None:
        """Return what the client has of each topic, for a session to go on from.

        None when that is too long for a message.
        """
        held = [(topic.name, topic.position) for topic in self.topics.values()]
        positions = [
            v1.HeldPosition(epoch=position.epoch, seq=position.seq, **_named(name))
            for name, position in held
            if position is not None
        ]
        return positions if len(msgspec.json.encode(positions)) <= MAX_BYTES else None

    def resumed(self, resumed: v1.Resumed) -> None:
        """Go on with a session. What of it doesn't go on is asked for again."""
        for one in resumed.restored:
            topic = self.topic(Name.of(one))
            if topic.wanted is None:
                self._unsubscribe(topic)
            elif topic.asked is not None:
                topic.confirm(_position(one), recovered=one.recovered)

    def _refused(self, topic: Topic, error: BookcastClientError) -> None:
        """Note that a topic is refused: for good, for now, or until it is asked for again."""
        self._session.note(error.message, topic.name)
        self._session.failed(error)
        if not error.final and error.code != "feed_refused":
            pause = (error.retry_after or 1) * SECOND
            topic.not_before = self.clock.now() + pause
            self.clock.after(pause, lambda: self.wanted_differs(topic))
            return
        if error.final:
            topic.is_up = False
        topic.refuse(error)

    def _unsubscribe(self, topic: Topic) -> None:
        """Unsubscribe from a topic. Its messages until the confirmation were on their way."""
        topic.asked = None
        self._said += 1
        self._session.note("unsubscribing", topic.name)
        self._session.send(v1.Unsubscribe(**_named(topic.name)))

    def _ask_anew(self, topic: Topic) -> None:
        topic.asked = None
        self.wanted_differs(topic)

    # What is asked of the server

    def _flush_soon(self) -> None:
        self._will_flush = False
        self._flush()

    def _flush(self) -> None:
        """Send what has changed, within the limit of messages a second."""
        while self._changed and self._said < BURST:
            topic = next(iter(self._changed))
            del self._changed[topic]
            self._update(topic)
        if self._said > 0 and self._pace is None:
            self._pace = self.clock.after(SECOND, self._say_more)

    def _say_more(self) -> None:
        self._pace = None
        self._said = max(0, self._said - RATE)
        self._flush()

    def _update(self, topic: Topic) -> None:
        """Send the subscribe or unsubscribe that makes the view of a topic as wanted."""
        if self.topics.get(topic.name) is not topic:
            return  # it is forgotten, and the name may belong to a newer one by now
        wanted, asked = topic.wanted, topic.asked
        topic.stop_narrowing()
        if wanted is None:
            topic.lost()
            if self._is_up and asked is not None:
                self._unsubscribe(topic)
            else:
                del self.topics[topic.name]
        elif (
            not self._is_up
            or (topic.refusal is not None and topic.refusal.final)
            or self.clock.now() < topic.not_before
        ):
            return
        elif asked is None:
            self._subscribe(topic, wanted, topic.position_in(wanted))
        else:
            both = union(asked, wanted)
            history = wanted.history if wanted.history > asked.history else 0
            if history > 0 or not is_same(asked, both):
                self._subscribe(topic, both._replace(history=history))
            elif not is_same(asked, wanted):
                narrow = wanted._replace(history=0)
                topic.narrowing = self.clock.after(LINGER, lambda: self._subscribe(topic, narrow))

    def _subscribe(self, topic: Topic, view: View, since: Position | None = None) -> None:
        name = topic.name
        view = view if since is None else view._replace(history=0)
        self._turn += 1
        turn = self._turn
        self._said += 1
        topic.asked = view._replace(history=max(view.history, topic.history))
        self._session.note(f"subscribing after {since}" if since else "subscribing", name)

        def answered(told: v1.SubscriptionConfirmed) -> None:
            # Answers come in order: one to an earlier question that is late doesn't count.
            if topic.wanted is None or turn < topic.turn:
                return
            topic.turn = turn
            self._session.note(f"confirmed at {told.seq} of {told.epoch}", name)
            recovered = None if since is None else told.recovered is True
            topic.confirm(_position(told), recovered=recovered, view=view)
            self.wanted_differs(topic)  # more may be wanted than when it was asked

        def failed(error: BookcastClientError, *, is_gone: bool) -> None:
            topic.asked = None  # nobody knows whether it came to the server
            if is_gone:
                return
            if error.code == "no_answer":
                self._session.check()
                self._ask_anew(topic)
            else:
                self._refused(topic, error)

        command = v1.Subscribe(
            **_named(name),
            depth=view.depth if name.channel == "orderbook" else None,
            mode=view.mode,
            interval_ms=view.interval_ms,
            history=view.history,
            since=v1.Since(since.epoch, since.seq) if since is not None else None,
        )
        self._session.question(command, answered, failed)


def _named(name: Name) -> dict[str, Any]:
    """Return the fields of a message that name a topic."""
    return {one: value for one, value in name._asdict().items() if value is not None}


def _position(told: v1.SubscriptionConfirmed | v1.Restored) -> Position | None:
    if told.epoch is None or told.seq is None:
        return None
    return Position(told.epoch, told.seq)
