"""The rules of order that ``pending`` keeps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from bookcast.auth.jwks import UnknownKey
from bookcast.auth.principal import EVERYTHING, Principal, Rights
from bookcast.engine.interests import Interest
from bookcast.errors import InvalidInput
from bookcast.ingest.schemas import PublishedUpdate
from bookcast.model.topics import Topic
from bookcast.model.updates import Position
from bookcast.sessions import pending
from tests.sessions.world import SessionWorld
from tests.support import AAPL

Outcomes = list[Position | InvalidInput]


class World(SessionWorld):
    """One client of v1, reads that can be held, and a publisher that notes its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.peer = self.enter("me", v1=True)
        self.peer.messages()
        self.session = self.peer.session
        self.batches: list[list[str]] = []
        self.reads: list[asyncio.Future[Sequence[Interest]]] = []
        self.asked: list[list[Topic]] = []
        self.outcome: asyncio.Future[Outcomes] | None = None
        self.open_at_once = self.engine.open

    def say(self, action: str, **fields: object) -> None:
        """Receive a message, and perform nothing that is pending."""
        self.session.receive(json.dumps({"action": action, **fields}).encode())

    def quote(self, symbol: str) -> None:
        self.say("publish", channel="quote", symbol=symbol, data={"last": 1}, id=symbol)

    async def publish_all(
        self, updates: Sequence[PublishedUpdate], _rights: Rights, _principal: str
    ) -> Outcomes:
        self.batches.append([one.symbol or "" for one in updates])
        if self.outcome is not None:
            return await self.outcome
        return [Position("e", number) for number, _ in enumerate(updates, 1)]

    def hold_outcomes(self) -> asyncio.Future[Outcomes]:
        """Let publications wait for what is returned, as they do with an engine in Redis."""
        self.engine.waits = True  # type: ignore[misc] # of this one alone
        self.outcome = asyncio.get_running_loop().create_future()
        return self.outcome

    def begin(self) -> Coroutine[Any, Any, None] | None:
        """Perform what is pending up to where a task is needed, and return the rest."""
        work = self.session.work(self.publish_all)
        try:
            assert work.send(None) is None
        except StopIteration:
            return None
        return work

    def heard(self) -> list[tuple[str, str]]:
        """Return the type and id of each message that answers something."""
        self.session.outbox.flush()
        self.flush()
        return [
            (one["type"], str(one.get("id")))
            for one in self.peer.messages()
            if one["type"] != "status"
        ]

    def hold_reads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Read every topic first that is opened from now on."""

        def open_later(topics: Sequence[Topic]) -> asyncio.Future[Sequence[Interest]]:
            self.asked.append(list(topics))
            self.reads.append(asyncio.get_running_loop().create_future())
            return self.reads[-1]

        monkeypatch.setattr(self.engine, "open", open_later)

    def finish_read(self, index: int) -> None:
        self.reads[index].set_result(self.open_at_once(self.asked[index]))


async def finish(work: Coroutine[Any, Any, None] | None) -> None:
    """Go on in a task, as a connection does."""
    assert work is not None
    await asyncio.create_task(work)


def test_nothing_is_pending_where_nothing_waits() -> None:
    """An idle session shares the empty queue with all others, before and after it had one."""
    world = World()
    world.say("subscribe", symbol="AAPL", id=1)
    world.say("ping", id=2)
    assert world.session.pending is pending.NOTHING_PENDING
    assert world.heard() == [("subscription_confirmed", "1"), ("pong", "2")]
    world.quote("A")
    assert world.begin() is None
    assert world.session.pending is pending.NOTHING_PENDING


def test_publications_that_follow_each_other_are_one_batch() -> None:
    """More of them are received while they are pending, and each has its own answer."""
    world = World()
    for symbol in "ABC":
        assert world.session.may_receive
        world.quote(symbol)
    assert world.begin() is None
    assert world.batches == [["A", "B", "C"]]
    assert world.heard() == [("published", "A"), ("published", "B"), ("published", "C")]


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ({"action": "ping"}, ["pong"]),
        ({"action": "subscribe", "symbol": "AAPL"}, ["subscription_confirmed"]),
        ({"action": "nonsense"}, ["error"]),
        ({"action": "resume", "session": "unknown"}, ["error"]),
        ({"action": "authenticate", "token": "wrong"}, ["error"]),
    ],
)
def test_anything_else_ends_a_batch_and_waits_for_its_answers(
    said: dict[str, Any], heard: list[str]
) -> None:
    """The next message isn't received until that has been performed."""
    world = World()
    world.quote("A")
    world.say(**said)
    assert not world.session.may_receive
    assert world.begin() is None
    assert world.session.may_receive
    assert [kind for kind, _ in world.heard()] == ["published", *heard]


def test_a_batch_ends_where_something_else_was_asked_for() -> None:
    """Publications after it are another batch."""
    world = World()
    world.quote("A")
    world.say("ping", id="P")
    world.quote("B")
    assert world.begin() is None
    assert world.batches == [["A"], ["B"]]
    assert world.heard() == [("published", "A"), ("pong", "P"), ("published", "B")]


async def test_what_is_asked_while_publications_are_awaited_comes_after_them() -> None:
    """Performing needs a task from there on."""
    world = World()
    outcome = world.hold_outcomes()
    world.quote("A")
    world.say("ping", id="P")
    rest = world.begin()
    assert world.heard() == []
    outcome.set_result([Position("e", 1)])
    await finish(rest)
    assert world.heard() == [("published", "A"), ("pong", "P")]


async def test_a_batch_that_is_refused_as_a_whole_refuses_each() -> None:
    """The engine is away."""
    world = World()
    outcome = world.hold_outcomes()
    outcome.set_exception(InvalidInput("engine_unavailable", "Redis is away"))
    world.quote("A")
    world.quote("B")
    await finish(world.begin())
    assert world.heard() == [("error", "A"), ("error", "B")]


async def test_nothing_overtakes_a_topic_that_is_being_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And all that follows up to the next publication is read together."""
    world = World()
    world.hold_reads(monkeypatch)
    world.say("subscribe", symbols=["AAPL", "TSLA", "MSFT"], id="S")
    assert not world.session.may_receive
    world.say("ping", id="P")
    world.quote("A")
    rest = world.begin()
    assert world.heard() == []
    work = asyncio.create_task(rest) if rest is not None else None
    world.finish_read(0)
    await world.reads[0]
    for _ in range(3):  # the loop's turns until the task goes on
        await asyncio.sleep(0)
    assert [[topic.symbol for topic in one] for one in world.asked] == [
        ["US.AAPL"],
        ["US.TSLA", "US.MSFT"],
    ]
    assert (world.batches, world.heard()) == ([], [])
    world.finish_read(1)
    assert work is not None
    await work
    assert [kind for kind, _ in world.heard()] == [
        *["subscription_confirmed"] * 3,
        "pong",
        "published",
    ]


async def test_topics_that_are_read_for_a_session_that_ends_are_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether they are read by then or not, nothing of them stays wanted."""
    for is_begun in (False, True):
        with monkeypatch.context() as patch:
            world = World()
            world.hold_reads(patch)
            world.say("subscribe", symbol="AAPL")
            rest = world.begin() if is_begun else None
            world.peer.goodbye()
            assert world.session.pending is pending.NOTHING_PENDING
            world.finish_read(0)
            if rest is not None:
                await finish(rest)
            await asyncio.sleep(0)
            assert world.engine.want(AAPL) is None


async def test_keys_that_are_not_known_are_asked_for_before_anything_that_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With keys at hand no task is needed."""
    world = World()
    known = False
    alice = Principal("jwt", "alice", EVERYTHING)

    def verify(_credential: str) -> Principal:
        if not known:
            raise UnknownKey("k")
        return alice

    async def ask_for_keys() -> None:
        nonlocal known
        known = True

    monkeypatch.setattr(world.gate, "verify", verify)
    monkeypatch.setattr(world.gate, "ask_for_keys", ask_for_keys)
    for needs_task in (True, False):
        world.say("authenticate", token="a token", id="A")
        world.say("ping", id="P")
        rest = world.begin()
        assert (rest is not None) is needs_task
        if rest is not None:
            assert world.heard() == []
            await finish(rest)
        assert world.heard() == [("authenticated", "A"), ("pong", "P")]
    assert world.session.principal is alice
