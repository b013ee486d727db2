"""Clients of ``bookcast.v1`` among several nodes: a token finds the session, wherever it is."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bookcast.auth.principal import Principal, Rights
from bookcast.sessions.base import SessionRules
from tests.budget import examples
from tests.sessions.cluster import HOP_SECONDS, TTL, Between, Connection, Node, Nodes
from tests.sessions.test_ownership import SETTLED_SECONDS, SYMBOLS, TOPICS, symbols_of
from tests.sessions.world import WorldTimer


async def _publishes_nothing(*_args: object) -> list[Any]:
    raise AssertionError


class V1Connection(Connection):
    """Does what its client asks for in the background, as a WebSocket does."""

    _works = False
    token = ""
    resumed: str | None = None
    """What came of its wish to resume."""

    def say(self, action: str, **fields: object) -> None:
        self.heard_at = self.world.timer.now
        self.session.receive(json.dumps({"action": action, **fields}).encode())
        self.go_on()
        self.session.outbox.flush()
        self.world.flush()

    def go_on(self) -> None:
        if self.session.has_to_wait and not self._works:
            self._works = True
            self.world.timer.loop.begin(self._work())

    async def _work(self) -> None:
        await self.session.work(_publishes_nothing)
        self._works = False

    def look(self) -> None:
        """Take what came."""
        for message in self.messages():
            if message["type"] == "welcome":
                self.token = message["session"]
            elif message["type"] == "resumed":
                self.resumed = "resumed"
            elif message["type"] == "error":
                self.resumed = message["code"]


class V1Node(Node):
    peer_type = V1Connection


class Person:
    """Keeps a token between its connections."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.wants: set[str] = set()
        self.tokens: tuple[str, ...] = ()
        """Any of these is valid."""
        self.shown = ""
        self.connection: V1Connection | None = None
        self.old: list[V1Connection] = []
        self.may_have_lost = False
        self.gone_at = 0.0


class TokenCluster(Nodes):
    """Nodes, and two people who keep tokens."""

    node_type = V1Node

    def __init__(self, timer: WorldTimer, *, in_memory: bool, seed: int) -> None:
        super().__init__(timer, in_memory=in_memory, seed=seed)
        self.people = [Person("one"), Person("two")]

    def connect(self, who: int, at: int) -> None:
        """Come, show a token, and wait for the answer."""
        self.connect_unheard(who, at)
        self.pass_time(4 * HOP_SECONDS)
        self.hear(self.people[who])

    def connect_unheard(self, who: int, at: int) -> None:
        """Come and show a token."""
        person = self.people[who]
        if person.connection is not None:
            self.drop(who, at)
        peer: Any = self.nodes[at].enter(person.name, v1=True)
        person.connection = peer
        peer.look()
        if person.tokens:
            if person.shown not in person.tokens:
                person.shown = person.tokens[self.between.chance.randrange(len(person.tokens))]
            peer.say("resume", session=person.shown)
        else:
            person.tokens, person.shown = (peer.token,), ""
            peer.resumed = "new"

    def hear(self, person: Person) -> None:
        """Hear what came of the wish to resume."""
        peer = person.connection
        if peer is None or peer.ended:
            return
        peer.look()
        if peer.resumed == "resumed":
            peer.resumed = "known"
            person.tokens, person.shown = (peer.token, person.shown), ""
        elif peer.resumed == "unknown_session":
            away = self.timer.now - person.gone_at
            assert not person.wants or person.may_have_lost or away > TTL, "its session is unknown"
            peer.resumed = "known"
            person.wants.clear()
            person.tokens, person.shown = (peer.token,), ""
        elif peer.resumed == "engine_unavailable":
            peer.resumed = None
            peer.say("resume", session=person.shown)

    def knows(self, person: Person) -> bool:
        peer = person.connection
        if peer is None or peer.ended:
            return False
        self.hear(person)
        return peer.resumed in {"known", "new"}

    def drop(self, who: int, _at: int) -> None:
        person = self.people[who]
        peer = person.connection
        if peer is None:
            return
        peer.is_there = False
        person.old.append(peer)
        person.connection = None
        person.gone_at = self.timer.now
        # A client takes a moment to notice and to come back, longer than its session takes to be
        # found and saved: whoever shows a token at two nodes at once may be unknown to one.
        self.pass_time(10 * HOP_SECONDS)

    def drop_at_once(self, who: int, _at: int) -> None:
        """Drop before an answer can come."""
        person = self.people[who]
        peer = person.connection
        if peer is None or peer.resumed in {"known", "new"}:
            return
        peer.is_there = False
        person.old.append(peer)
        person.connection = None
        person.gone_at = self.timer.now

    def vanish(self, who: int, at: int) -> None:
        peer = self.people[who].connection
        self.drop(who, at)
        if peer is not None and not peer.ended:
            peer.ended.append(None)
            peer.vanish()

    def vanish_at_once(self, who: int, at: int) -> None:
        peer = self.people[who].connection
        self.drop_at_once(who, at)
        if peer is not None and not peer.ended and self.people[who].connection is None:
            peer.ended.append(None)
            peer.vanish()

    def goodbye(self, who: int, at: int) -> None:
        person = self.people[who]
        peer = person.connection
        if peer is None or not self.knows(person):
            return
        self.drop(who, at)
        if not peer.ended:
            peer.ended.append(None)
            peer.goodbye()
        person.wants.clear()
        person.tokens, person.shown = (), ""

    def subscribe(self, who: int, at: int) -> None:
        person = self.people[who]
        if self.knows(person):
            assert person.connection is not None
            person.connection.say("subscribe", channel="orderbook", symbol=SYMBOLS[at])
            person.wants.add(SYMBOLS[at])

    def unsubscribe(self, who: int, at: int) -> None:
        person = self.people[who]
        if self.knows(person) and SYMBOLS[at] in person.wants:
            assert person.connection is not None
            person.connection.say("unsubscribe", channel="orderbook", symbol=SYMBOLS[at])
            person.wants.discard(SYMBOLS[at])

    def note_death(self, node: Node) -> None:
        for person in self.people:
            peer = person.connection
            if not node.is_idle or self.between.is_down:
                person.may_have_lost = True
            if peer is not None and peer.world is node:
                if peer.resumed not in {"known", "new"}:
                    person.may_have_lost = True
                person.connection = None
                person.gone_at = self.timer.now


ACTIONS: Final = (
    "subscribe", "subscribe", "subscribe", "unsubscribe", "drop", "vanish", "goodbye",
    "drop_at_once", "vanish_at_once",
    "wait", "wait", "wait", "outage", "back", "kill",
)  # fmt: skip
PLAYS: Final = st.lists(
    st.tuples(st.sampled_from(ACTIONS), st.integers(0, 1), st.integers(0, len(SYMBOLS) - 1)),
    max_size=30,
)


def play(cluster: TokenCluster, steps: list[tuple[str, int, int]]) -> None:
    for name, who, at in steps:
        getattr(cluster, name)(who, at)
        cluster.timer.loop.settle()
    cluster.back(0, 1)
    for _ in range(4):
        cluster.pass_time(SETTLED_SECONDS / 4)
        for person in cluster.people:
            cluster.hear(person)
    for number, person in enumerate(cluster.people):
        if person.connection is None or person.connection.ended:
            person.connection = None
            cluster.connect(number, number)
    for _ in range(4):
        cluster.pass_time(SETTLED_SECONDS / 4)
        for person in cluster.people:
            cluster.hear(person)
    for person in cluster.people:
        peer = person.connection
        assert peer is not None
        assert not peer.ended, (person.name, peer.ended)
        assert peer.resumed in {"known", "new"}, (person.name, peer.resumed)
        sees = symbols_of(peer.session)
        assert sees == person.wants or person.may_have_lost, (person.name, sees, person.wants)
        for key in peer.session.keys:
            holders = [node.store.holder(key) for node in cluster.nodes]
            holders = [one for one in holders if one is not None]
            assert all(one is peer.session for one in holders), (key, holders)
        for old in person.old:
            assert old.ended or not old.session.subscription_count or person.may_have_lost, "twice"
    for number, person in enumerate(cluster.people):
        assert person.connection is not None
        person.wants = symbols_of(person.connection.session)
        cluster.goodbye(number, 0)
    cluster.pass_time(2 * SessionRules().ping_interval + TTL + SETTLED_SECONDS)
    cluster.assert_nothing_is_left(TOPICS)
    cluster.pass_time(TTL + SessionRules().ping_interval)


@pytest.mark.parametrize("in_memory", [True, False], ids=["memory", "redis"])
@settings(
    max_examples=examples(60),
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=PLAYS, seed=st.integers(0, 2**16))
def test_a_token_finds_the_session_at_every_node(
    in_memory: bool, steps: list[tuple[str, int, int]], seed: int
) -> None:
    """Whatever died, was cut off or forgotten meanwhile; also when the answer was lost."""
    timer = WorldTimer()
    with timer.loop.current():
        cluster = TokenCluster(timer, in_memory=in_memory, seed=seed)
        try:
            play(cluster, steps)
        finally:
            timer.loop.end()


def test_who_becomes_somebody_else_finds_what_that_one_left() -> None:
    """Also while it is still looked for what it left as who it was before."""
    timer = WorldTimer()
    with timer.loop.current():
        between = Between(timer, 1)
        here, there = Node(between, "here", None), Node(between, "there", None)
        alice = Principal("jwt", "alice", Rights())
        before = there.enter("me", "AAPL", principal=alice)
        timer.run_until(timer.now + SETTLED_SECONDS)
        before.vanish()
        timer.run_until(timer.now + SETTLED_SECONDS)
        again = here.enter("me")
        again.session._take_principal(alice)
        again.session._entitle(alice, enter=True)
        timer.run_until(timer.now + SETTLED_SECONDS)
        assert symbols_of(again.session) == {"AAPL"}
        assert not again.session.expects
        timer.loop.end()


def test_who_is_lost_before_redis_is_back_is_forgotten_later() -> None:
    """Nothing of the connection stays."""
    timer = WorldTimer()
    with timer.loop.current():
        between = Between(timer, 1)
        node = Node(between, "node", None)
        between.is_down = True
        peer = node.enter("me", "AAPL")
        peer.vanish()
        store: Any = node.store
        assert not store._unsure
        timer.loop.end()
