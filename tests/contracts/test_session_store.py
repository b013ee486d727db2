"""The contract of every session store; each runs through the same tests, with three nodes."""

from __future__ import annotations

import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from bookcast.backplane.unreadable_log import UnreadableLog
from bookcast.sessions.lost import LostSession
from bookcast.sessions.store.base import ANY, Claim, Claimant, Holder, SessionStore
from bookcast.sessions.store.memory import MemorySessionStore
from bookcast.sessions.store.records import SessionRecords
from bookcast.sessions.store.redis import RedisSessionStore
from bookcast.sessions.times import SessionTimes
from tests.backplane.links import link
from tests.sessions.store.clients import SEEN, Client
from tests.support import eventually

TIMES = SessionTimes()


class Told:
    """Members that deliver their messages to each other at once."""

    def __init__(self, id_: str, others: dict[str, Told]) -> None:
        self.id = id_
        self.handlers: dict[str, Callable[[bytes], Awaitable[bytes]]] = {}
        self._others = others
        others[id_] = self

    async def tell(self, node: str, method: str, body: bytes) -> None:
        await self._others[node].handlers[method](body)


class Node:
    """A store, and a record of what it reports of its sessions."""

    def __init__(self, store: SessionStore) -> None:
        self.store = store
        self.taken: list[Holder] = []
        self.contested: list[Holder] = []
        store.start(taken=self._take, contested=self.contested.append)

    def _take(self, holder: Holder) -> None:
        self.taken.append(holder)
        if isinstance(holder, Client) and holder.token and self.store.holder(holder.keys[0]):
            self.store.hold(holder.leaves())  # its connection is closed

    def key(self, name: str = "me") -> str:
        return self.store.key("id", "", name)

    def token(self, name: str) -> str:
        return self.store.key("token", "", name)

    async def claim(self, key: str, by: Claimant, *, mark: object = None) -> Claim:
        claim = self.store.claim(key, by, mark=mark)
        return claim if isinstance(claim, Claim) else await claim

    async def knows(self, holder: Holder) -> None:
        """Wait until every node finds a session."""
        if isinstance(self.store, RedisSessionStore):
            persister = self.store.persister
            await eventually(lambda: persister.is_idle, inspect.getsource(self.knows))


@pytest.fixture(params=["memory", "redis"])
async def nodes(request: pytest.FixtureRequest) -> AsyncIterator[list[Node]]:
    make = memory_nodes if request.param == "memory" else redis_nodes
    url = request.getfixturevalue("redis_url") if request.param == "redis" else ""
    async with make(url) as made:
        yield made


@asynccontextmanager
async def memory_nodes(_url: str) -> AsyncIterator[list[Node]]:
    cluster: list[MemorySessionStore] = []
    yield [Node(MemorySessionStore(name, cluster)) for name in ("one", "two", "three")]


@asynccontextmanager
async def redis_nodes(url: str) -> AsyncIterator[list[Node]]:
    others: dict[str, Told] = {}
    async with AsyncExitStack() as stack:
        made = []
        for name in ("one", "two", "three"):
            way, _ = await stack.enter_async_context(link(url))
            store = RedisSessionStore(
                SessionRecords(way, name, 30.0, TIMES.live),
                Told(name, others),
                unreadable=UnreadableLog(),
                times=TIMES,
                clock=time.monotonic,
            )
            made.append(Node(store))
            stack.push_async_callback(store.stop)
        yield made


async def test_what_nobody_has_is_free(nodes: list[Node]) -> None:
    """A claim of it gets a certain answer."""
    one, *_ = nodes
    assert await one.claim(one.key(), Client(one.key())) == Claim("free")


@pytest.mark.parametrize("at", [0, 1])
async def test_what_a_lost_client_left_is_the_claimers(nodes: list[Node], at: int) -> None:
    """It is found once, at any node; a second claim finds nothing."""
    here, there, third = nodes[0], nodes[at], nodes[2]
    client = Client(here.key())
    here.store.hold(client)
    lost = client.leaves()
    here.store.hold(lost)
    await here.knows(lost)
    newcomer = Client(there.key())
    claim = await there.claim(there.key(), newcomer)
    assert claim.state == "left"
    assert claim.left is not None
    assert claim.left.seen() == SEEN
    there.store.hold(newcomer)
    await there.knows(newcomer)
    if here is not there:
        assert here.taken == [lost]
        assert here.store.holder(here.key()) is None
    late = await third.claim(third.key(), Client(third.key()))
    assert (late.state, late.owner) == ("live", ("one", "two")[at])


@pytest.mark.parametrize("at", [0, 1])
async def test_who_is_connected_keeps_a_session_unless_it_does_not_answer(
    nodes: list[Node], at: int
) -> None:
    """The claim says where the client is, and gives a mark to take it with all the same."""
    here, there = nodes[0], nodes[at]
    client = Client(here.key())
    here.store.hold(client)
    await here.knows(client)
    newcomer = Client(there.key())
    claim = await there.claim(there.key(), newcomer)
    assert (claim.state, claim.owner) == ("live", "one")
    assert here.store.holder(here.key()) is client
    here.store.hold(client.leaves())  # its node has closed it
    claim = await there.claim(there.key(), newcomer, mark=claim.mark)
    assert claim.state == "left"
    assert there.store.holder(there.key()) is newcomer


async def test_a_mark_takes_nothing_from_who_came_first(nodes: list[Node]) -> None:
    """Two newcomers after a dead client: the second finds the first connected."""
    one, two, three = nodes
    client = Client(one.key())
    one.store.hold(client)
    await one.knows(client)
    first, second = Client(two.key()), Client(three.key())
    found = await two.claim(two.key(), first)
    same = await three.claim(three.key(), second)
    assert (await two.claim(two.key(), first, mark=found.mark)).state == "left"
    two.store.hold(first)
    await two.knows(first)
    late = await three.claim(three.key(), second, mark=same.mark)
    assert (late.state, late.owner) == ("live", "two")


async def test_what_is_over_is_found_by_nobody(nodes: list[Node]) -> None:
    """A goodbye holds everywhere."""
    here, there, _ = nodes
    client = Client(here.key())
    here.store.hold(client)
    await here.knows(client)
    here.store.release(client)
    await here.knows(client)
    assert here.store.holder(here.key()) is None
    assert (await there.claim(there.key(), Client(there.key()))).state == "free"


async def test_who_holds_a_key_no_more_does_not_end_it(nodes: list[Node]) -> None:
    """The session goes on in another connection to the node."""
    here, there, _ = nodes
    client = Client(here.key())
    here.store.hold(client)
    lost = client.leaves()
    here.store.hold(lost)
    again = Client(here.key())
    await here.claim(here.key(), again)
    here.store.hold(again)
    here.store.release(client)
    here.store.release(lost)
    await here.knows(again)
    assert here.store.holder(here.key()) is again
    assert (await there.claim(there.key(), Client(there.key()))).state == "live"


async def test_what_a_holder_sees_now_is_what_another_node_finds(nodes: list[Node]) -> None:
    """As of the last change."""
    here, there, _ = nodes
    client = Client(here.key(), seen={})
    here.store.hold(client)
    await here.knows(client)
    client.topics = SEEN
    here.store.changed(client)
    await here.knows(client)
    lost = client.leaves()
    here.store.hold(lost)
    await here.knows(lost)
    claim = await there.claim(there.key(), Client(there.key()))
    assert claim.left is not None
    assert claim.left.seen() == SEEN


@pytest.mark.parametrize("at", [0, 1])
async def test_a_session_is_found_by_both_its_tokens(nodes: list[Node], at: int) -> None:
    """A claim with either token takes it from its connection; then neither token finds it."""
    here, there, third = nodes[0], nodes[at], nodes[2]
    for shown in ("own", "before"):
        client = Client(here.token("own"), here.token("before"), token="own")
        here.store.hold(client)
        await here.knows(client)
        here.taken.clear()
        newcomer = Client(there.token("new"), token="new")
        there.store.hold(newcomer)
        claim = await there.claim(there.token(shown), newcomer, mark=ANY)
        assert here.taken == [client]
        assert claim.left is not None
        assert claim.left.seen() == SEEN
        newcomer.keys = (there.token("new"), there.token(shown))
        there.store.hold(newcomer)
        await here.knows(client)
        await there.knows(newcomer)
        other = "before" if shown == "own" else "own"
        stranger = Client(third.token("x"), token="x")
        assert (await third.claim(third.token(other), stranger, mark=ANY)).state == "free"
        there.store.release(newcomer)
        await there.knows(newcomer)


async def test_a_key_is_its_principals_alone(nodes: list[Node]) -> None:
    """The same id of another principal is another session."""
    store = nodes[0].store
    keys = {
        store.key("id", "alice", "me"),
        store.key("id", "bob", "me"),
        store.key("token", "alice", "me"),
        store.key("id", "alice", "you"),
    }
    assert len(keys) == 4


async def test_a_lost_session_is_handed_on_as_it_is_where_it_was(nodes: list[Node]) -> None:
    """With what keeps its topics wanted."""
    one, *_ = nodes
    lost = LostSession((one.key(),), SEEN)
    one.store.hold(lost)
    claim = await one.claim(one.key(), Client(one.key()))
    assert claim.left is lost
