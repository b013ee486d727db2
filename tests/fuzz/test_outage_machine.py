"""Outages in every order: what a node's clients are shown of what it publishes meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from bookcast.engine.memory import MemoryEngine
from bookcast.engine.redis.outage import OutageMode
from bookcast.model.market_data import Book, Candle, Data, Level, Trade, Trades
from bookcast.model.topic_log import LogRules, TopicLog
from bookcast.model.topics import Topic
from bookcast.model.updates import Position, Publication, Update
from tests.budget import examples
from tests.history.candles import CandleFollower
from tests.history.data import book_of, candle_of
from tests.history.follow import Follower
from tests.history.history import LOCAL
from tests.sessions.world import SessionWorld
from tests.support import AAPL, CANDLES, TRADES, run_through

HISTORY: Final = 5
TOPICS: Final = (AAPL, TRADES, CANDLES)


class OutageEngine(MemoryEngine):
    """Stands for Redis and a node that goes on by itself while it is away."""

    def __init__(self, **options: Any) -> None:
        super().__init__(log_of=self._log_of_node, **options)
        self._redis = MemoryEngine(**options)
        self._rules: LogRules = options["rules"]
        self._shown: dict[Topic, TopicLog] = {}
        self.outage_mode = OutageMode(
            "node",
            clock=options["clock"],
            log_of=self._log_of_node,
            interests=self._interests,
            notice=lambda log: self._notice(log),  # noqa: PLW0108 - attached later
        )

    def _log_of_node(self, topic: Topic) -> TopicLog:
        if topic not in self._shown:
            self._shown[topic] = self._rules.log_of(topic)
        return self._shown[topic]

    async def publish(
        self, publications: Sequence[Publication], *, fence: int | None = None
    ) -> list[Position]:
        """Publish in Redis, or while that is away for the node's clients."""
        if self.outage_mode.is_active:
            return await self.outage_mode.publish(publications, from_feed=False)
        publications = self.outage_mode.mended(publications)
        self.outage_mode.note_published(publications)
        positions: list[Position] = []
        for publication in publications:
            positions += await self._redis.publish([publication], fence=fence)
            newest = await self._redis.snapshot(publication.topic)
            assert newest is not None
            self._show(newest)
        return positions

    def _show(self, update: Update) -> None:
        """Show what Redis says as the node's clients may be shown it."""
        shown, log = self.outage_mode.returning(update), self._log_of_node(update.topic)
        if shown is None:
            return
        log.append(shown)
        if update.topic in self._interests:
            self._notice(log)
        else:
            log.flush_unread()

    async def end_outage(self) -> None:
        """Let Redis be back: it is told the newest states, in new epochs."""
        for state, _ in self.outage_mode.end(lambda _topic: True):
            await self.publish([Publication(state.topic, state.data, breaks=True)])


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
            log_sync = self.followers.get(message.get("channel"))
            if message["type"] == "subscription_confirmed" and log_sync is not None:
                log_sync.confirm(0.0, message["epoch"], message["seq"])
            elif log_sync is not None:
                log_sync.hear(0.0, message)

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

    @precondition(lambda self: not self.engine.outage_mode.is_active)
    @rule()
    def begin_outage(self) -> None:
        """Redis is away."""
        self.flush()
        self.engine.outage_mode.begin()

    @precondition(lambda self: self.engine.outage_mode.is_active)
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
            if facts and not self.engine.outage_mode.is_active and topic is AAPL:
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
    max_examples=examples(100),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestOutage = pytest.mark.timeout(300)(OutageMachine.TestCase)
