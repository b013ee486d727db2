"""Sessions among several nodes, in thousands of interleavings: none is lost, none is had twice."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bookcast.model.topics import Symbol, Topic
from bookcast.sessions.base import SessionRules
from bookcast.sessions.session import Session
from tests.budget import examples
from tests.sessions.cluster import HOP_SECONDS, TTL, Connection, Node, Nodes
from tests.sessions.world import WorldTimer

CLIENTS: Final = 2
SYMBOLS: Final = ("AAPL", "TSLA", "MSFT")
TOPICS: Final = tuple(Topic("orderbook", Symbol(f"US.{symbol}")) for symbol in SYMBOLS)
SETTLED_SECONDS: Final = 12.0
"""After so long nothing is under way: a challenge, a second look after Redis, a save."""


class Owner:
    """A person with one page open: what it asked for, and where it is connected."""

    def __init__(self, client_id: str) -> None:
        self.client_id = client_id
        self.wants: set[str] = set()
        self.connection: Connection | None = None
        self.may_have_lost = False
        """Whether its node died with what only that one knew."""

    @property
    def sees(self) -> set[str]:
        """What its connection is shown."""
        if self.connection is None:
            return set()
        return symbols_of(self.connection.session)


def symbols_of(session: Session) -> set[str]:
    return {topic.symbol.removeprefix("US.") for topic in session.seen()}


class Cluster(Nodes):
    """Nodes, and people who come and go."""

    def __init__(self, timer: WorldTimer, *, in_memory: bool, seed: int) -> None:
        super().__init__(timer, in_memory=in_memory, seed=seed)
        self.owners = [Owner(f"client{number}") for number in range(CLIENTS)]

    def connect(self, who: int, at: int) -> None:
        """A page connects, after what it had before: of that the server may not know."""
        owner = self.owners[who]
        if owner.connection is not None:
            self.drop(who, at)
        owner.connection = self.enter(owner, at)

    def enter(self, owner: Owner, at: int) -> Connection:
        peer = self.nodes[at].enter(owner.client_id)
        assert isinstance(peer, Connection)
        return peer

    def drop(self, who: int, _at: int) -> None:
        """A connection is cut, and the server isn't told."""
        connection = self.owners[who].connection
        if connection is None:
            return
        connection.is_there = False
        self.owners[who].connection = None
        # Who comes, asks for something and goes in the time that a dead connection is given to
        # answer, and comes again, may be taken for one of several.
        session = connection.session
        if session.expects and (session.subscription_count or session.declined):
            self.owners[who].may_have_lost = True
        # A browser takes a moment to notice, longer than it takes to save what was confirmed.
        self.pass_time(4 * HOP_SECONDS)

    def vanish(self, who: int, at: int) -> None:
        """A connection is cut, and the server sees it."""
        connection = self.owners[who].connection
        self.drop(who, at)
        if connection is not None and not connection.ended:
            connection.ended.append(None)
            connection.vanish()

    def goodbye(self, who: int, at: int) -> None:
        """A page is closed: nothing of it is kept, once the server has found what it had."""
        owner = self.owners[who]
        connection = owner.connection
        if connection is None or connection.ended or owner.sees != owner.wants:
            return
        self.drop(who, at)
        connection.ended.append(None)
        connection.goodbye()
        owner.wants.clear()

    def subscribe(self, who: int, at: int) -> None:
        owner = self.owners[who]
        if owner.connection is not None and not owner.connection.ended:
            owner.connection.say("subscribe", symbol=SYMBOLS[at])
            owner.wants.add(SYMBOLS[at])

    def unsubscribe(self, who: int, at: int) -> None:
        owner = self.owners[who]
        if owner.connection is not None and not owner.connection.ended:
            owner.connection.say("unsubscribe", symbol=SYMBOLS[at])
            owner.wants.discard(SYMBOLS[at])

    def note_death(self, node: Node) -> None:
        seeks = any(session.expects for session in node.registry.sessions())
        knew_alone = seeks or not node.is_idle or self.between.is_down
        for owner in self.owners:
            owner.may_have_lost = owner.may_have_lost or knew_alone
            if owner.connection is not None and owner.connection.world is node:
                owner.connection = None


ACTIONS: Final = (
    "connect",
    "connect",
    "subscribe",
    "subscribe",
    "unsubscribe",
    "drop",
    "vanish",
    "goodbye",
    "wait",
    "wait",
    "wait",
    "outage",
    "back",
    "kill",
)
PLAYS: Final = st.lists(
    st.tuples(
        st.sampled_from(ACTIONS), st.integers(0, CLIENTS - 1), st.integers(0, len(SYMBOLS) - 1)
    ),
    max_size=30,
)


def play(cluster: Cluster, steps: list[tuple[str, int, int]]) -> None:
    """Let things happen, then let everybody come back, and look what they are shown."""
    for name, who, at in steps:
        getattr(cluster, name)(who, at)
        cluster.timer.loop.settle()
    cluster.back(0, 1)
    cluster.pass_time(SETTLED_SECONDS)
    for number, owner in enumerate(cluster.owners):
        if owner.connection is None or owner.connection.ended:
            cluster.connect(number, number)
    cluster.pass_time(SETTLED_SECONDS)
    for owner in cluster.owners:
        lost = owner.wants - owner.sees
        assert not lost or owner.may_have_lost, f"{owner.client_id} lost {lost}"
        assert owner.sees <= owner.wants or owner.may_have_lost, "it sees what it gave up"
    assert_each_key_is_held_once(cluster)
    for number, owner in enumerate(cluster.owners):
        owner.wants = owner.sees
        cluster.goodbye(number, 0)
    # Who was cut off unseen is noticed by the second ping, and kept for its time after that.
    cluster.pass_time(2 * SessionRules().ping_interval + TTL + SETTLED_SECONDS)
    cluster.assert_nothing_is_left(TOPICS)


def assert_each_key_is_held_once(cluster: Cluster) -> None:
    stores: list[Any] = [node.store for node in cluster.nodes]
    for owner in cluster.owners:
        assert owner.connection is not None
        [key] = owner.connection.session.keys
        holders = [one for store in stores if (one := store.holder(key)) is not None]
        # One who sees nothing has nothing that could be had twice, and isn't saved.
        assert sum(one.subscription_count > 0 for one in holders) <= 1, holders


@pytest.mark.parametrize("in_memory", [True, False], ids=["memory", "redis"])
@settings(
    max_examples=examples(300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=PLAYS, seed=st.integers(0, 2**16))
# A session whose client was asked for elsewhere is taken over here while Redis is away.
@example(steps=[*[("connect", 0, 0)] * 3, ("connect", 1, 0), ("outage", 0, 0)], seed=0)
def test_a_base_client_finds_what_it_asked_for_wherever_it_comes(
    in_memory: bool, steps: list[tuple[str, int, int]], seed: int
) -> None:
    """Whatever died, was cut off or forgotten meanwhile, and in whatever order that was heard."""
    timer = WorldTimer()
    with timer.loop.current():
        cluster = Cluster(timer, in_memory=in_memory, seed=seed)
        try:
            play(cluster, steps)
        finally:
            timer.loop.end()
