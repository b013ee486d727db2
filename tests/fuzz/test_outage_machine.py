"""Outages in every order: what a node's clients are shown of what it publishes meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from bookcast.engine.alone import Alone
from bookcast.engine.base import Deliver
from bookcast.engine.memory import MemoryEngine
from bookcast.model import Book, Candle, Data, Level, Position, Publication, Topic, Trade, Trades
from bookcast.sessions.websocket import run_through
from tests.history.candles import CandleFollower
from tests.history.data import book_of, candle_of
from tests.history.follow import Follower
from tests.history.history import LOCAL
from tests.sessions.world import SessionWorld
from tests.support import AAPL, CANDLES, TRADES

HISTORY: Final = 5
TOPICS: Final = (AAPL, TRADES, CANDLES)


class OutageEngine(MemoryEngine):
    """Stands for Redis and a node that goes on by itself while it is away."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._options = options

    def attach(self, *, deliver: Deliver, **more: Any) -> None:
        """Deliver what Redis says as the node's clients may be shown it."""

        def returning(update: Any) -> None:
            shown = self.alone.returning(update)
            if shown is not None:
                deliver(shown)

        self.alone = Alone(
            "node",
            history_size=self._options["history_size"],
            clock=self._options["clock"],
            deliver=deliver,
        )
        super().attach(deliver=returning, **more)

    async def publish(
        self, publications: Sequence[Publication], *, fence: int | None = None
    ) -> list[Position]:
        """Publish in Redis, or while that is away for the node's clients."""
        if self.alone.is_alone:
            return await self.alone.publish(publications, from_feed=False)
        publications = self.alone.mended(publications)
        self.alone.note_published(publications)
        return await super().publish(publications, fence=fence)

    async def end_outage(self) -> None:
        """Let Redis be back: it is told the newest states, in new epochs."""
        for state, _ in self.alone.end():
            await self.publish([Publication(state.topic, state.data, resumes=True)])


class OutageMachine(RuleBasedStateMachine):
    """One client of bookcast.v1, whose messages the history proof's checker follows."""

    def __init__(self) -> None:
        super().__init__()
        self.world = SessionWorld(history_size=HISTORY, engine=OutageEngine)
        self.engine: Any = self.world.engine
        self.numbers = dict.fromkeys(TOPICS, 0)
        self.client = self.world.join("client", v1=True)
        self.client.session.open(())
        self.followers: dict[str, Follower] = {}
        for topic in TOPICS:
            kind = CandleFollower if topic is CANDLES else Follower
            self.followers[topic.channel] = kind(f"{topic.channel}:AAPL", self.report)
            period = {"period": "1m"} if topic is CANDLES else {}
            self.client.say("subscribe", symbol="AAPL", channel=topic.channel, **period)
        self.hear()

    def report(self, kind: str, _at: float, detail: str) -> None:
        pytest.fail(f"{kind}: {detail}")

    def hear(self) -> None:
        for message in self.client.messages():
            follower = self.followers.get(message.get("channel"))
            if message["type"] == "subscription_confirmed" and follower is not None:
                follower.confirm(0.0, message["epoch"], message["seq"])
            elif follower is not None:
                follower.hear(0.0, message)

    @rule(topic=st.sampled_from(TOPICS), count=st.integers(1, 8), flushed=st.booleans())
    def publish(self, topic: Topic, count: int, flushed: bool) -> None:
        """Something is published, sometimes more than is kept."""
        for _ in range(count):
            self.numbers[topic] += 1
            publication = Publication(topic, data_of(topic, self.numbers[topic]))
            run_through(self.engine.publish([publication]))
        if flushed:
            self.flush()

    @rule()
    def flush(self) -> None:
        """What waits goes out."""
        self.world.flush()
        self.hear()

    @precondition(lambda self: not self.engine.alone.is_alone)
    @rule()
    def begin_outage(self) -> None:
        """Redis is away."""
        self.flush()
        self.engine.alone.begin(TOPICS)

    @precondition(lambda self: self.engine.alone.is_alone)
    @rule()
    def end_outage(self) -> None:
        """Redis is back."""
        self.flush()
        run_through(self.engine.end_outage())
        self.flush()

    @precondition(lambda self: self.client.session.outbox.writable)
    @rule()
    def get_slow(self) -> None:
        """The client takes no more."""
        self.client.session.hold(self.world.timer.now)

    @precondition(lambda self: not self.client.session.outbox.writable)
    @rule()
    def catch_up(self) -> None:
        """It takes data again."""
        self.client.session.catch_up()
        self.flush()

    def teardown(self) -> None:
        """In the end it has the newest of everything, local only in an outage."""
        if not self.client.session.outbox.writable:
            self.catch_up()
        self.flush()
        for topic in TOPICS:
            facts = self.followers[topic.channel].facts
            if facts and topic is not TRADES:
                assert facts[-1].content == str(self.numbers[topic])
            if facts and not self.engine.alone.is_alone and topic is AAPL:
                assert not facts[-1].epoch.startswith(LOCAL)


def data_of(topic: Topic, number: int) -> Data:
    if topic is CANDLES:
        return Candle(**candle_of(number))
    if topic is TRADES:
        return Trades((Trade(100.5, number, "buy", 1_700_000_000_000, f"p-{number}"),))
    book = book_of("AAPL", number)
    bids, asks = (tuple(Level(*level) for level in book[side]) for side in ("bids", "asks"))
    return Book(bids, asks)


OutageMachine.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestOutage = pytest.mark.timeout(300)(OutageMachine.TestCase)
