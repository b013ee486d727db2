"""Several nodes in one process, on a clock that the test moves; messages between them are slow."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from bookcast.backplane.unreadable_log import UnreadableLog
from bookcast.errors import CloseCode, EngineAwayError
from bookcast.model.topics import Topic
from bookcast.sessions.store.base import ANY, Kind
from bookcast.sessions.store.memory import MemorySessionStore
from bookcast.sessions.store.records import Record
from bookcast.sessions.store.redis import RedisSessionStore
from bookcast.sessions.times import SessionTimes
from tests.sessions.world import ClientTransport, SessionWorld, WorldTimer

HOP_SECONDS = 0.1
"""A message between two processes takes up to this."""

TTL = 60.0


class Between:
    """The connections between the nodes, and to Redis."""

    def __init__(self, timer: WorldTimer, seed: int) -> None:
        self.timer = timer
        self.chance = random.Random(seed)
        self.is_down = False
        self.dead: set[str] = set()
        self.records: dict[str, tuple[int, str, bool, bytes, float]] = {}
        self.generations = 1000
        self.members: dict[str, Members] = {}

    async def hop(self) -> None:
        """Wait for as long as a message between nodes may take."""
        await asyncio.sleep(self.chance.uniform(0, HOP_SECONDS))

    def is_away(self, node: str) -> bool:
        """Return whether a node can't reach Redis."""
        return self.is_down or node in self.dead

    async def call(self, node: str, script: Callable[[], Any]) -> Any:
        """Call Redis: it may go down before it does it, or before its answer is here."""
        await self.hop()
        if self.is_away(node):
            raise EngineAwayError("gone")
        answer = script()
        await self.hop()
        if self.is_away(node):
            raise EngineAwayError("gone", unsure=True)
        return answer


class Records:
    """The records of sessions, as the scripts in Redis keep them."""

    def __init__(self, between: Between, node: str) -> None:
        self._between = between
        self._node = node

    @property
    def is_away(self) -> bool:
        return self._between.is_away(self._node)

    @property
    def trouble(self) -> str:
        return "gone" if self.is_away else ""

    def key(self, kind: Kind, principal: str, name: str) -> str:
        return f"{kind}:{principal}:{name}"

    def _known(self, key: str) -> tuple[int, str, bool, bytes, float] | None:
        known = self._between.records.get(key)
        if known is not None and known[4] <= self._between.timer.now:
            del self._between.records[key]
            return None
        return known

    async def save(self, key: str, generation: int, data: bytes, *, live: bool) -> int:
        """As session_save.lua."""

        def script() -> int:
            number, known = generation, self._known(key)
            if known is not None:
                if number == 0 and known[1] == self._node:
                    number = known[0]
                if known[0] > number or (known[0] == number and known[1] != self._node):
                    return 0
            elif number == 0:
                self._between.generations += 1000
                number = self._between.generations
            until = self._between.timer.now + TTL + (SessionTimes().live if live else 0)
            self._between.records[key] = (number, self._node, live, data, until)
            return number

        return int(await self._between.call(self._node, script))

    async def touch(self, key: str, generation: int) -> bool:
        """As session_touch.lua."""

        def script() -> bool:
            known = self._known(key)
            if known is None or known[:2] != (generation, self._node):
                return False
            until = self._between.timer.now + TTL + SessionTimes().live
            self._between.records[key] = (*known[:4], until)
            return True

        return bool(await self._between.call(self._node, script))

    async def end(self, key: str, generation: int) -> None:
        """As session_end.lua."""

        def script() -> None:
            known = self._known(key)
            if known is not None and known[:2] == (generation, self._node):
                del self._between.records[key]

        await self._between.call(self._node, script)

    async def claim(self, key: str, *, mark: object = None) -> Record:
        """As session_claim.lua."""

        def script() -> Record:
            known = self._known(key)
            if known is None:
                return Record("none", 0, "", b"")
            generation, owner, live, data, until = known
            if owner == self._node:
                return Record("mine", generation, owner, data)
            if live and mark is not ANY and mark != generation:
                return Record("live", generation, owner, b"")
            self._between.records[key] = (generation + 1, self._node, True, data, until)
            return Record("taken", generation + 1, owner, data)

        answer: Record = await self._between.call(self._node, script)
        return answer


class Members:
    """The nodes of the cluster, which send each other requests."""

    def __init__(self, between: Between, id_: str) -> None:
        self.id = id_
        self.handlers: dict[str, Callable[[bytes], Awaitable[bytes]]] = {}
        self._between = between
        between.members[id_] = self

    async def ask(self, node: str, method: str, body: bytes, patience: float) -> bytes | None:
        """Ask a node; one that is dead doesn't answer."""
        try:
            async with asyncio.timeout(patience):
                if node != self.id:
                    await self._between.call(self.id, lambda: None)
                asked = self._between.members.get(node)
                if asked is None:
                    return None
                answer = await asked.handlers[method](body)
                if node != self.id:
                    await self._between.call(self.id, lambda: None)
                return answer
        except TimeoutError:
            return None

    async def tell(self, node: str, method: str, body: bytes) -> None:
        """Send a message to a node; it may get lost."""
        try:
            await self.ask(node, method, body, 1.0)
        except EngineAwayError:
            return


class Connection(ClientTransport):
    """A client's connection: it answers pings a moment later, as long as it is there."""

    is_there = True

    def ping(self, payload: bytes) -> None:
        super().ping(payload)
        if self.is_there:
            self.world.timer.call_later(0.05, self._answer)

    def _answer(self) -> None:
        if self.is_there and not self.ended:
            self.pong()


class Node(SessionWorld):
    """One node: its clients, in a cluster."""

    peer_type = Connection

    def __init__(self, between: Between, id_: str, stores: list[MemorySessionStore] | None) -> None:
        self.id = id_
        self.between = between
        members = Members(between, id_)
        store: MemorySessionStore
        if stores is not None:
            store = MemorySessionStore(id_, stores)
        else:
            records: Any = Records(between, id_)
            store = RedisSessionStore(
                records,
                members,
                unreadable=UnreadableLog(),
                times=SessionTimes(),
                clock=between.timer.clock,
            )
        super().__init__(ttl=TTL, store=store, members=members, timer=between.timer)
        if stores is None:
            self.ownership._prepare = self._prepare

    async def _prepare(self, _topics: Sequence[Topic]) -> None:
        """Read topics from Redis."""
        await self.between.hop()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to save."""
        store = self.store
        return not isinstance(store, RedisSessionStore) or store.persister.is_idle

    def die(self) -> None:
        """End at once: no other node is told, and nothing is saved."""
        self.between.members.pop(self.id)
        self.between.dead.add(self.id)
        for session in self.registry.sessions():
            peer: Any = session._peer
            peer.is_there = False
            peer.ended.append(CloseCode.RESTART)


class Nodes:
    """The nodes of a play: time passes for all, Redis goes and comes, nodes die.

    ``in_memory``: their stores are the memory twins, where there is no Redis that could go away.
    """

    COUNT: Final = 3
    node_type: type[Node] = Node

    def __init__(self, timer: WorldTimer, *, in_memory: bool, seed: int) -> None:
        self.timer = timer
        self.between = Between(timer, seed)
        self.stores: list[MemorySessionStore] | None = [] if in_memory else None
        self._made = 0
        self.nodes = [self._make() for _ in range(self.COUNT)]

    def _make(self) -> Node:
        self._made += 1
        return self.node_type(self.between, f"node{self._made}", self.stores)

    def wait(self, who: int, at: int) -> None:
        """Time passes, a little or more."""
        self.pass_time((0.03, 0.3, 3.0)[at] * (who + 1))

    def pass_time(self, seconds: float) -> None:
        until = self.timer.now + seconds
        while self.timer.now < until:
            self.timer.run_until(min(until, self.timer.now + 0.5))
            for node in self.nodes:
                node.registry.check(self.timer.now)
        self.timer.loop.settle()

    def outage(self, _who: int, _at: int) -> None:
        """Redis goes away."""
        if self.stores is None:
            self.between.is_down = True

    def back(self, who: int, at: int) -> None:
        """Redis is back, sometimes with nothing in it."""
        if not self.between.is_down:
            return
        if who and at == 0 and not self.between.dead:
            self.between.records.clear()
        self.between.is_down = False
        for node in self.nodes:
            node.ownership.recover()

    def kill(self, _who: int, at: int) -> None:
        """A node dies, and another one takes its place."""
        if self.stores is not None:
            return
        node = self.nodes[at]
        self.note_death(node)
        node.die()
        self.nodes[at] = self._make()

    def note_death(self, node: Node) -> None:
        """Take note of what is lost with a node."""

    def assert_nothing_is_left(self, topics: Sequence[Topic]) -> None:
        """Check that no client is connected and no session can be resumed."""
        for node in self.nodes:
            store = node.store
            assert len(store) == 0
            if isinstance(store, RedisSessionStore):
                assert not store._unsure
                assert not store.persister._generations
                assert not store.persister._dirty
            assert node.ownership.lost == 0
            assert not node.ownership._seeking
            assert not node.ownership._turns
            assert not node.hub.topics()
            assert all(node.engine.want(topic) is None for topic in topics)
