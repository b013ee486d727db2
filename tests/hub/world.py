"""A hub with a stopped clock, and the logs of an engine."""

from typing import Any

from bookcast.engine.interests import Interests
from bookcast.hub.hub import Hub
from bookcast.hub.placement import Placement
from bookcast.hub.view_spec import ViewSpec
from bookcast.model.cursor import Since
from bookcast.model.topic_log import LogRules, TopicLog
from bookcast.model.topics import Topic
from bookcast.model.updates import Update
from tests.support import (
    AAPL,
    ManualTimer,
    NumberRenderer,
    RecordingOutbox,
    update,
)

SPEC = ViewSpec("base", "AAPL")


OTHER = ViewSpec("base", "US.AAPL")


V1 = ViewSpec("v1", "AAPL")


class World:
    """A hub with a stopped clock, and an engine's logs that record the demand."""

    def __init__(
        self,
        *,
        batch_seconds: float = 0.0,
        history_size: int = 1000,
        queue_size: int = 1000,
        **options: Any,
    ) -> None:
        self.timer = ManualTimer()
        self.renderer = NumberRenderer()
        self.asked: list[tuple[str, Topic]] = []
        self.rules = LogRules(history_size, queue_size, clock=self.timer.clock)
        self.logs: dict[Topic, TopicLog] = {}
        self.interests = Interests(self.log_of, self.note_want)
        self.delays: list[float] = []
        self.hub = Hub(
            renderer=self.renderer,
            clock=self.timer.clock,
            now=self.timer.clock,
            call_later=self.timer.call_later,
            batch_seconds=batch_seconds,
            observe=self.delays.append,
            **options,
        )

    def log_of(self, topic: Topic) -> TopicLog:
        if topic not in self.logs:
            self.logs[topic] = self.rules.log_of(topic)
        return self.logs[topic]

    def note_want(self, topic: Topic, want: str | None) -> None:
        self.asked.append(("want" if want else "release", topic))

    def publish(self, *seqs: int, topic: Topic = AAPL) -> None:
        for seq in seqs:
            self.deliver(update(seq, topic))

    def deliver(self, new: Update) -> None:
        """Do what an engine does with an update."""
        log = self.log_of(new.topic)
        log.append(new)
        if new.topic in self.interests:
            self.hub.notice(log)
        else:
            log.flush_unread()

    def remove(self, topic: Topic) -> None:
        """Do what an engine does when a topic is removed."""
        self.log_of(topic).clear()
        self.hub.forget(topic)

    def client(
        self, topic: Topic = AAPL, spec: ViewSpec = SPEC, history: int = 0
    ) -> RecordingOutbox:
        outbox = RecordingOutbox()
        self.subscribe(outbox, topic, spec, history)
        outbox.flush()
        return outbox

    def subscribe(
        self, outbox: RecordingOutbox, topic: Topic, spec: ViewSpec, history: int = 0
    ) -> Placement:
        """Subscribe a client from now on."""
        place = self.hub.subscribe(outbox, self.interests.open(topic), spec, history=history)
        self.hub.start(outbox, [topic])
        return place

    def resume(
        self, outbox: RecordingOutbox, topic: Topic, spec: ViewSpec, since: Since, **options: bool
    ) -> Placement:
        """Subscribe a client that continues after what it already has."""
        place = self.hub.subscribe(outbox, self.interests.open(topic), spec, since, **options)
        self.hub.start(outbox, [topic])
        return place

    def fill_up(self, outbox: RecordingOutbox) -> None:
        """Make the client's buffer full at the next write, as a transport does."""

        def full() -> None:
            outbox.on_write = lambda: None
            self.hold(outbox)

        if outbox.writable:
            outbox.on_write = full

    def hold(self, outbox: RecordingOutbox) -> None:
        outbox.writable = False
        self.hub.hold(outbox)

    def catch_up(self, outbox: RecordingOutbox) -> None:
        outbox.writable = True
        self.hub.catch_up(outbox)
