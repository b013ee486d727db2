"""Clients of one node, on a clock that stands still."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from bookcast.auth.gate import Gate
from bookcast.auth.principal import Principal, anyone
from bookcast.cluster.members.base import Node as Myself
from bookcast.cluster.members.memory import MemoryMembers
from bookcast.engine.memory import MemoryEngine
from bookcast.errors import FINAL, CloseCode
from bookcast.hub.hub import Hub
from bookcast.limits import Refusals
from bookcast.model.market_data import Book, Level
from bookcast.model.topic_log import LogRules
from bookcast.model.topics import Topic
from bookcast.model.updates import Publication
from bookcast.protocol.render import Renderer
from bookcast.protocol.subscriptions import ConnectionRules
from bookcast.sessions.base import SessionRules
from bookcast.sessions.connections import Registry
from bookcast.sessions.ownership import SessionOwnership
from bookcast.sessions.session import Session
from bookcast.sessions.shared_parts import SessionParts
from bookcast.sessions.store.memory import MemorySessionStore
from bookcast.settings import from_keywords
from tests.still_loop import StillLoop
from tests.support import AAPL, ManualTimer, line, run_through, trades

SECRET = "a secret of more than thirty-two bytes"


async def _publishes_nothing(*_args: object) -> list[Any]:
    raise AssertionError


class ClientTransport:
    """A client that keeps plain texts in a list, and answers pings when a test says so."""

    def __init__(self, world: SessionWorld) -> None:
        self.world = world
        self.written: list[bytes] = []
        self.waiting = 0
        self.ended: list[CloseCode | None] = []
        """The code that the server closed it with; None: it was cut."""
        self.pings: list[bytes] = []
        self.heard_at = 0.0
        self.session: Session

    def backlog(self) -> int:
        return self.waiting

    def ping(self, payload: bytes) -> None:
        self.pings.append(payload)

    def end(self, code: CloseCode) -> None:
        if not self.ended:
            self.ended.append(code)
            self._leave(None if code in FINAL else self.session.delivered_before())

    def go_on(self) -> None:
        """Do the pending work of the session; it waits for nothing here."""

    def pong(self) -> None:
        """Answer the newest ping."""
        self.heard_at = self.world.timer.now
        self.session.receive_pong(self.pings[-1])
        self.world.timer.loop.settle()

    def vanish(self, *, read_all: bool = False) -> None:
        """Drop the connection without a goodbye."""
        self._leave(self.world.timer.now + 1 if read_all else self.session.delivered_before())

    def goodbye(self) -> None:
        """Close the connection for good: the client doesn't come back."""
        self._leave(None)

    def _leave(self, until: float | None) -> None:
        self.world.registry.leave(self.session, delivered_before=until)
        self.world.timer.loop.settle()

    def say(self, action: str, **fields: object) -> None:
        """Send a message, and run what the server does with it."""
        self.heard_at = self.world.timer.now
        self.session.receive(json.dumps({"action": action, **fields}).encode())
        if self.session.has_to_wait:
            run_through(self.session.work(_publishes_nothing))
        self.session.outbox.flush()
        self.world.flush()

    def messages(self) -> list[Any]:
        """Return the messages that arrived since the last call."""
        lines = b"".join(self.written).splitlines()
        self.written.clear()
        return [json.loads(one) for one in lines]

    def heard(self) -> list[str]:
        """Return the types of the messages that arrived since the last call."""
        return [message["type"] for message in self.messages()]

    def volumes(self) -> list[tuple[str, int]]:
        """Return symbol and best bid's volume of each book that arrived since the last call."""
        return [
            (message["symbol"], message["data"]["bids"][0]["volume"])
            for message in self.messages()
            if message["type"] == "orderbook_update"
        ]

    def trades(self) -> list[int]:
        """Return the sizes of the trades that arrived since the last call, and -1 for each gap."""
        sizes: list[int] = []
        for message in self.messages():
            if message["type"] == "gap":
                sizes.append(-1)
            elif message["type"] == "trade":
                sizes += [trade["size"] for trade in message["data"]["trades"]]
        return sizes


class WorldTimer(ManualTimer):
    """A clock that stands still, for timers and for what is done in the background."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.loop = StillLoop(self.clock)

    def run_until(self, moment: float) -> None:
        """Move on to each timer's time, and to each that the background waits for."""
        while True:
            self.loop.settle()
            due = min((when for when, _ in self.calls), default=math.inf)
            if self.loop.due < due and self.loop.due <= moment:
                self.now = max(self.now, self.loop.due)
            elif due <= moment and due < math.inf:
                super().run_until(due)
            else:
                break
        super().run_until(moment)


class SessionWorld:
    """An engine, a hub and a registry; :meth:`join` makes clients. ``settings``: of the gate."""

    peer_type: type[ClientTransport] = ClientTransport

    def __init__(
        self,
        terms: ConnectionRules | None = None,
        *,
        ttl: float = 60.0,
        max_parked: int = 100,
        max_per_principal: int = 0,
        max_per_address: int = 0,
        message_rate: float = 0.0,
        history_size: int = 100,
        engine: type[MemoryEngine] = MemoryEngine,
        store: MemorySessionStore | None = None,
        members: Any = None,
        timer: WorldTimer | None = None,
        **settings: Any,
    ) -> None:
        self.timer = timer or WorldTimer()
        self.engine = engine(
            epoch="e",
            clock=self.timer.clock,
            rules=LogRules(history_size, history_size, clock=self.timer.clock),
        )
        self.hub = Hub(
            renderer=Renderer(line),
            clock=self.timer.clock,
            now=self.timer.clock,
            call_later=self.timer.call_later,
        )
        self.engine.attach(
            notice=self.hub.notice, wanted=lambda _topic: None, unwanted=lambda _topic: None
        )
        self.store = store if store is not None else MemorySessionStore()
        self.ownership = SessionOwnership(
            self.store,
            members or MemoryMembers(lambda: Myself("", "")),
            begin=self.timer.loop.begin,
            prepare=self.engine.prepare,
            clock=self.timer.clock,
            ttl=ttl,
            max_lost=max_parked,
            max_per_address=max_per_address,
        )
        self.ownership.start()
        self.registry = Registry(self.ownership, max_per_principal=max_per_principal)
        self.refusals = Refusals()
        self.gate = Gate.of(from_keywords(**settings), self.refusals)
        self.rules = SessionRules(
            terms or ConnectionRules(takes_tokens=self.gate.takes_credentials),
            message_rate=message_rate,
            now=self.timer.clock,
            clock=self.timer.clock,
        )

    @property
    def parts(self) -> SessionParts[Session]:
        """What all sessions share, as it stands now."""
        return SessionParts(
            hub=self.hub,
            engine=self.engine,
            frame=line,
            home=self.registry,
            ownership=self.ownership,
            gate=self.gate,
            refusals=self.refusals,
            rules=self.rules,
        )

    def join(
        self,
        client_id: str,
        *symbols: str,
        v1: bool = False,
        deflate: bool = False,
        principal: Principal | None = anyone(),  # noqa: B008 - it can't change
    ) -> ClientTransport:
        """Connect a client; its session begins when it is opened or says something."""
        peer = self.peer_type(self)
        peer.heard_at = self.timer.now
        peer.session = Session(
            client_id,
            principal=principal,
            peer=peer,
            write=peer.written.append,
            address="",
            speaks_v1=v1,
            deflate=deflate,
            parts=self.parts,
        )
        self.registry.add(peer.session)
        if symbols:
            peer.session.open(symbols)
        return peer

    def enter(self, client_id: str, *symbols: str, **options: Any) -> ClientTransport:
        """Connect a client, and let it find what it left behind."""
        peer = self.join(client_id, **options)
        peer.session.open(symbols)
        self.flush()
        return peer

    def flush(self) -> None:
        """Make the hub send what waits, without moving the clock."""
        self.timer.run_until(self.timer.now)

    def wait(self, seconds: float, *, each: Callable[[], None] = lambda: None) -> None:
        """Move the clock, checking the clients as often as the server does."""
        until = self.timer.now + seconds
        while self.timer.now < until:
            self.timer.run_until(min(until, self.timer.now + 0.5))
            each()
            self.registry.check(self.timer.now)

    async def publish(self, size: int, topic: Topic = AAPL) -> None:
        """Publish a book, or a trade, of a size."""
        data = trades(size) if topic.channel == "trades" else Book((Level(1, size),), ())
        await self.engine.publish([Publication(topic, data)])
        self.flush()
