"""Clients that come, go, are slow, get lost and come back, in every order."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import jwt
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from bookcast.auth.principal import Principal
from bookcast.errors import CloseCode
from bookcast.model.market_data import Book, Level
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Publication
from bookcast.protocol.subscriptions import ConnectionRules
from bookcast.sessions.liveness import PROOF_SECONDS
from tests.budget import examples
from tests.sessions.world import SECRET, ClientTransport, SessionWorld
from tests.support import Replica, candle, run_through, trades

SYMBOLS: Final = ("AAPL", "TSLA", "MSFT")
CHANNELS: Final = ("orderbook", "trades", "candles")
TTL: Final = 20.0
HISTORY: Final = 6
PERIOD: Final = "1m"

Key = tuple[str, str]
"""A channel and a symbol as the client spells it."""


class Right:
    """What a token of somebody says."""

    def __init__(self, sub: str, symbols: tuple[str, ...] = SYMBOLS, depth: int = 99) -> None:
        self.sub = sub
        self.symbols = symbols
        self.depth = depth
        said: dict[str, Any] = {"symbols": [f"US.{one}" for one in symbols]}
        if depth < 99:
            said["max_depth"] = depth
        self.token = jwt.encode({"sub": sub, "bookcast": said}, SECRET, algorithm="HS256")

    def __repr__(self) -> str:
        return f"{self.sub} may see {self.symbols} {self.depth} deep"


RIGHTS: Final = (
    Right("alice"),
    Right("alice", ("AAPL",)),
    Right("alice", ("TSLA", "MSFT"), depth=1),
    Right("bob"),
)

levels = st.tuples(
    st.lists(st.sampled_from((103, 102, 101, 100)), unique=True, max_size=4),
    st.lists(st.sampled_from((104, 105, 106)), unique=True, max_size=3),
    st.integers(1, 3),
)


def topic_of(key: Key) -> Topic:
    channel: Any = key[0]
    return Topic(channel, Symbol(f"US.{key[1]}"), variant_of(channel))


def variant_of(channel: str) -> str:
    return PERIOD if channel == "candles" else ""


def named(key: Key) -> dict[str, str]:
    """Return the fields that name a topic in a message."""
    period = {"period": PERIOD} if key[0] == "candles" else {}
    return {"channel": key[0], "symbol": key[1], **period}


class Tape(Replica):
    """A replica that also knows gaps without numbers, and what each trade and candle must be.

    ``finals``: the numbers of the final candles, each of which has to come.
    """

    def __init__(self, finals: set[int]) -> None:
        super().__init__()
        self.finals = finals

    def hear(self, message: Any) -> None:
        if message["type"] == "candle_update":
            self.hear_candle(message)
            return
        if message["type"] == "subscription_confirmed" and message["channel"] == "orderbook":
            return  # the position is of the book that follows, and that may never come
        if message["type"] == "gap" and message["from_seq"] is None:
            self.place = (None, None)
            return
        if message["type"] == "trade":
            wanted = list(range(message["prev_seq"] + 1, message["seq"] + 1))
            assert [trade["size"] for trade in message["data"]["trades"]] == wanted
        super().hear(message)

    def hear_candle(self, message: Any) -> None:
        """Take a candle, whose volume is its number: forming ones may be left out before it."""
        epoch, seq = self.place
        number = message["data"]["volume"]
        assert epoch in {None, message["epoch"]}
        assert number == message["seq"]
        assert message["data"]["final"] is (number in self.finals)
        if seq is not None:
            assert seq < number
            assert not self.finals & set(range(seq + 1, number))
        self.place = (message["epoch"], number)

    def cut(self, depth: int | None) -> None:
        """Forget what lies deeper than the view that the server names."""
        bids, asks = self.sides()
        self.bids = {level[0]: level for level in bids[:depth]}
        self.asks = {level[0]: level for level in asks[:depth]}


class Caller:
    """A client as it sees itself: what it asked for, and what really came to it."""

    def __init__(
        self, machine: ProtocolMachine, peer: ClientTransport, right: Right | None
    ) -> None:
        self.machine = machine
        self.peer = peer
        self.right = right
        self.allowed = set(right.symbols) if right else set()
        self.v1 = bool(peer.session.token)
        self.subscriptions: set[Key] = set()
        self.pending: list[tuple[float, bytes]] = []
        self.books: dict[str, Any] = {}
        # With SESSION_QUEUE=all: the number of the last book of each symbol that this connection
        # was sent, that came to the client on any, and the symbols that begin with the newest.
        self.sent: dict[str, int] = {}
        self.received: dict[str, int] = {}
        self.anew: set[str] = set()
        self.tapes: dict[Key, Tape] = {}
        self.tokens: list[str] = []
        self.omitted: set[Key] = set()
        # A view that rights have narrowed stays so, until the client subscribes again.
        self.depths: dict[Key, int] = {}
        peer.session.outbox.write = self.take

    def __repr__(self) -> str:
        return f"{'v1' if self.v1 else 'base'} {self.id}"

    @property
    def id(self) -> tuple[str, str]:
        return (self.right.sub if self.right else "", self.peer.session.client_id)

    @property
    def held(self) -> bool:
        return not self.peer.session.outbox.writable

    def take(self, data: bytes) -> None:
        """What the server writes is on its way; nothing of it may be somebody else's."""
        for line in data.splitlines():
            # By message: how many share a write depends on the order of sets.
            self.pending.append((self.machine.world.timer.now, line))
            message = json.loads(line)
            if message["type"] == "subscription_confirmed":
                self.anew.add(message["symbol"])  # the newest comes once more
            if "data" in message:
                assert message["symbol"] in self.allowed
                assert (message.get("channel", "orderbook"), message["symbol"]) in (
                    self.subscriptions
                )
                if self.machine.keeps_all and not self.v1:
                    self.note_sent(message["symbol"], number_of(message["data"]))

    def note_sent(self, symbol: str, number: int) -> None:
        """None but those past the bound may be left out, and on a connection none comes twice."""
        last = self.sent.get(symbol)
        before = self.received.get(symbol) if last is None else last
        if symbol not in self.anew and before is not None:
            oldest = self.machine.numbers[symbol] - HISTORY + 1
            assert number <= max(before + 1, oldest)
            assert last is None or number > last
        self.anew.discard(symbol)
        self.sent[symbol] = number

    def depth(self, key: Key) -> int:
        assert self.right is not None
        return min(self.depths.get(key, 99), self.right.depth)

    def narrow(self) -> None:
        if self.v1:
            self.depths = {key: self.depth(key) for key in self.subscriptions}

    def proven(self) -> int:
        """Count the writes that have surely come: the client was heard of well after them."""
        until = self.peer.heard_at - PROOF_SECONDS
        return sum(moment <= until for moment, _ in self.pending)

    def receive(self, count: int | None = None) -> None:
        """Let so much of what is on its way arrive, or all."""
        came, self.pending = self.pending[:count], self.pending[len(self.pending[:count]) :]
        for _, line in came:
            self.hear(json.loads(line))

    def hear(self, message: Any) -> None:
        kind = message["type"]
        if not self.v1:
            assert kind != "gap"
            if kind == "orderbook_update":
                self.books[message["symbol"]] = plain(message["data"])
                if self.machine.keeps_all:
                    self.received[message["symbol"]] = number_of(message["data"])
            return
        if kind == "welcome":
            self.tokens.append(message["session"])
        elif kind == "resumed":
            self.go_on(message)
        elif "symbol" in message and kind not in {"error", "status", "unsubscription_confirmed"}:
            key = (message["channel"], message["symbol"])
            if kind == "subscription_confirmed":
                self.tapes[key] = self.tape(key)
            self.tapes[key].hear(message)

    def go_on(self, resumed: Any) -> None:
        """Begin anew what no place was named of; the rest goes on from there."""
        for one in resumed["restored"]:
            key = (one["channel"], one["symbol"])
            if key in self.tapes:
                self.tapes[key].cut(one["view"]["depth"])
            if key in self.omitted or key not in self.tapes:
                self.tapes[key] = self.tape(key)
                if key[0] != "orderbook":
                    self.tapes[key].place = (one["epoch"], one["seq"])

    def tape(self, key: Key) -> Tape:
        return Tape(self.machine.finals.setdefault(key[1], set()))

    def say(self, action: str, **fields: object) -> None:
        self.peer.say(action, **fields)
        session = self.peer.session
        if session.has_to_wait:
            run_through(session.work(_nothing))
            session.outbox.flush()
            self.machine.world.flush()


async def _nothing(*_: object) -> list[Any]:
    return []


def plain(data: Any) -> list[list[list[float]]]:
    return [[[one["price"], one["volume"]] for one in data[side]] for side in ("bids", "asks")]


def number_of(data: Any) -> int:
    """Return the number of a book, where every one has its own: the size of all its levels."""
    return int([*data["bids"], *data["asks"]][0]["volume"])


class ProtocolMachine(RuleBasedStateMachine):
    """The server under any order of events, next to a model of what clients must see."""

    keeps_all = False
    """Whether base clients are shown every book: SESSION_QUEUE=all."""

    def __init__(self) -> None:
        super().__init__()
        self.world = SessionWorld(
            ConnectionRules(takes_tokens=True, keeps_all=self.keeps_all),
            ttl=TTL,
            history_size=HISTORY,
            auth_mode="jwt",
            auth_jwt_secret=SECRET,
        )
        self.numbers: dict[str, int] = {}
        self.callers: list[Caller] = []
        # Base clients: whose id it is, live, or lost and since when.
        self.owners: dict[tuple[str, str], Caller] = {}
        self.lost: dict[Caller, float] = {}
        self.books: dict[str, Book] = {}
        self.traded: dict[str, int] = {}
        self.candled: dict[str, int] = {}
        self.finals: dict[str, set[int]] = {}

    # Helpers

    def connect(
        self, client_id: str, right: Right | None, *, v1: bool, symbols: tuple[str, ...] = ()
    ) -> Caller:
        principal: Principal | None = self.world.gate.verify(right.token) if right else None
        caller = Caller(self, self.world.join(client_id, v1=v1, principal=principal), right)
        self.callers.append(caller)
        if right is not None:
            caller.subscriptions = {("orderbook", one) for one in symbols if one in right.symbols}
            caller.anew.update(symbols)
            if not v1:
                self.enter(caller)
        caller.peer.session.open(symbols)
        self.world.flush()
        return caller

    def enter(self, caller: Caller) -> None:
        """What a base client finds that came under an id, unless another is there."""
        owner = self.owners.get(caller.id)
        if owner is None:
            self.owners[caller.id] = caller
        elif owner in self.lost:
            del self.lost[owner]
            self.inherit(caller, owner)

    def inherit(self, caller: Caller, owner: Caller, *, but: str | None = None) -> None:
        self.owners[caller.id] = caller
        assert caller.right is not None
        for key in owner.subscriptions - {("orderbook", but)}:
            if key[1] in caller.right.symbols:
                caller.subscriptions.add(key)
        caller.books = {**owner.books}
        caller.received = {**owner.received}

    def gone(self, caller: Caller, *, waits: bool) -> None:
        """Take note of a client that was lost, or has left."""
        self.callers.remove(caller)
        if not caller.v1 and caller.right is None:
            return
        waits = waits and bool(caller.subscriptions)
        if not caller.v1:
            waits = waits and self.owners.setdefault(caller.id, caller) is caller
            if not waits and self.owners.get(caller.id) is caller:
                del self.owners[caller.id]
        if waits:
            self.lost[caller] = self.world.timer.now

    def expire(self) -> None:
        for caller, since in tuple(self.lost.items()):
            if self.world.timer.now - since >= TTL:
                del self.lost[caller]
                if self.owners.get(caller.id) is caller:
                    del self.owners[caller.id]

    def wait(self, seconds: float, data: st.DataObject) -> None:
        def answer_pings() -> None:
            for caller in self.callers:
                if caller.peer.pings and not caller.held and not caller.peer.ended:
                    caller.peer.pong()
                    caller.peer.pings.clear()

        until = self.world.timer.now + seconds
        while self.world.timer.now < until:
            self.world.wait(0.5, each=answer_pings)
            self.notice_ends(data)
            self.expire()

    def notice_ends(self, data: st.DataObject) -> None:
        """Whom the server has given up finds out, with some of what was on its way."""
        for caller in tuple(self.callers):
            if caller.peer.ended:
                [code] = caller.peer.ended
                caller.receive(data.draw(st.integers(caller.proven(), len(caller.pending))))
                self.gone(caller, waits=code is not CloseCode.REFUSED)

    def some(self, data: st.DataObject, wanted: Callable[[Caller], bool]) -> Caller | None:
        found = [caller for caller in self.callers if wanted(caller)]
        return data.draw(st.sampled_from(found)) if found else None

    # Rules

    @initialize(
        right=st.sampled_from(RIGHTS), modes=st.lists(st.booleans(), min_size=1, max_size=2)
    )
    def begin(self, right: Right, modes: list[bool]) -> None:
        """There is a client of each protocol, and something has been published."""
        self.connect("client 0", right, v1=False, symbols=SYMBOLS)
        for delta in modes:
            caller = self.connect("client 0", right, v1=True)
            for key in ((channel, symbol) for channel in CHANNELS for symbol in right.symbols):
                mode = {"mode": "delta"} if delta and key[0] == "orderbook" else {}
                caller.subscriptions.add(key)
                caller.say("subscribe", **named(key), **mode)
        for symbol in right.symbols:
            self.publish_book(symbol, ([100, 101], [105], 1), flushed=True)
            self.publish_trades(symbol, 1, flushed=True)
            self.publish_candles(symbol, [False], flushed=True)

    @rule(
        number=st.integers(0, 2),
        right=st.sampled_from(RIGHTS),
        v1=st.booleans(),
        symbols=st.lists(st.sampled_from(SYMBOLS), unique=True, max_size=2),
    )
    def come(self, number: int, right: Right, v1: bool, symbols: list[str]) -> None:
        """A client comes, or comes back under its id."""
        client_id = f"client {number}"
        owner = self.owners.get((right.sub, client_id))
        if v1 or owner is None or owner in self.lost:
            self.connect(client_id, right, v1=v1, symbols=tuple(symbols))

    @rule(v1=st.booleans(), number=st.integers(3, 4))
    def come_as_nobody(self, v1: bool, number: int) -> None:
        """A client comes and hasn't said who it is."""
        self.connect(f"client {number}", None, v1=v1)

    @precondition(lambda self: any(not one.held for one in self.callers))
    @rule(data=st.data(), right=st.sampled_from(RIGHTS), nonsense=st.booleans())
    def authenticate(self, data: st.DataObject, right: Right, nonsense: bool) -> None:
        """A client shows a token: its first, another of its own, somebody else's, or nonsense."""
        caller = self.some(data, lambda one: not one.held)
        if caller is None:
            return
        owner = self.owners.get((right.sub, caller.peer.session.client_id))
        if caller.right is None and not caller.v1 and owner is not None and owner not in self.lost:
            return
        if nonsense:
            caller.say("authenticate", token="nonsense")
            assert bool(caller.peer.ended) is (caller.right is None)
            self.notice_ends(data)
            return
        before = caller.right
        if before is None or before.sub == right.sub:
            caller.allowed |= set(right.symbols)
            caller.anew.update(right.symbols)
            if before is None:
                caller.right = right
                if not caller.v1:
                    self.enter(caller)
            caller.say("authenticate", token=right.token)
            caller.narrow()
            caller.right, caller.allowed = right, set(right.symbols)
            caller.subscriptions = {key for key in caller.subscriptions if key[1] in right.symbols}
        else:
            caller.say("authenticate", token=right.token)

    @precondition(lambda self: any(not one.held for one in self.callers))
    @rule(
        data=st.data(),
        symbol=st.sampled_from(SYMBOLS),
        channel=st.sampled_from(CHANNELS),
        mode=st.sampled_from(("full", "delta")),
        history=st.sampled_from((0, 0, 3)),
        since=st.booleans(),
    )
    def subscribe(
        self,
        data: st.DataObject,
        symbol: str,
        channel: str,
        mode: str,
        *,
        history: int,
        since: bool,
    ) -> None:
        """A client asks for a symbol, perhaps once more, perhaps without the right to."""
        caller = self.some(data, lambda one: not one.held)
        if caller is None:
            return
        key = (channel if caller.v1 else "orderbook", symbol)
        epoch, seq = caller.tapes[key].place if key in caller.tapes else (None, None)
        if symbol in caller.allowed:
            caller.subscriptions.add(key)
            caller.depths.pop(key, None)
        if not caller.v1:
            caller.anew.add(symbol)
            caller.say("subscribe", symbol=symbol)
        elif channel != "orderbook" and since and seq is not None:
            caller.say("subscribe", **named(key), since={"epoch": epoch, "seq": seq})
        elif channel == "orderbook":
            caller.say("subscribe", symbol=symbol, mode=mode)
        else:
            caller.say("subscribe", **named(key), history=history)

    @precondition(lambda self: any(not one.held for one in self.callers))
    @rule(data=st.data(), symbol=st.sampled_from(SYMBOLS), channel=st.sampled_from(CHANNELS))
    def unsubscribe(self, data: st.DataObject, symbol: str, channel: str) -> None:
        """A client wants no more of a symbol."""
        caller = self.some(data, lambda one: not one.held)
        if caller is None:
            return
        if caller.v1:
            caller.say("unsubscribe", **named((channel, symbol)))
        else:
            caller.say("unsubscribe", symbol=symbol)
        if caller.right is not None:
            caller.subscriptions.discard((channel if caller.v1 else "orderbook", symbol))
            if not caller.v1:
                caller.books.pop(symbol, None)
                caller.received.pop(symbol, None)
                caller.sent.pop(symbol, None)

    @rule(symbol=st.sampled_from(SYMBOLS), book=levels, flushed=st.booleans())
    def publish_book(
        self, symbol: str, book: tuple[list[int], list[int], int], flushed: bool
    ) -> None:
        """A book comes, alone or together with what comes next."""
        bids, asks, size = book
        if self.keeps_all:
            size = self.numbers[symbol] = self.numbers.get(symbol, 0) + 1
            bids = bids or [100]
        self.books[symbol] = Book(
            tuple(Level(price, size) for price in sorted(bids, reverse=True)),
            tuple(Level(price, size) for price in sorted(asks)),
        )
        key = ("orderbook", symbol)
        run_through(self.publish(Publication(topic_of(key), self.books[symbol])))
        if flushed:
            self.world.flush()

    @rule(symbol=st.sampled_from(SYMBOLS), count=st.integers(1, 9), flushed=st.booleans())
    def publish_trades(self, symbol: str, count: int, flushed: bool) -> None:
        """Trades come, sometimes more than are kept."""
        for _ in range(count):
            self.traded[symbol] = self.traded.get(symbol, 0) + 1
            topic = topic_of(("trades", symbol))
            run_through(self.publish(Publication(topic, trades(self.traded[symbol]))))
        if flushed:
            self.world.flush()

    @rule(
        symbol=st.sampled_from(SYMBOLS),
        finals=st.lists(st.booleans(), min_size=1, max_size=9),
        flushed=st.booleans(),
    )
    def publish_candles(self, symbol: str, finals: list[bool], flushed: bool) -> None:
        """Candles form and become final, sometimes more than are kept."""
        for final in finals:
            self.publish_candle(symbol, final=final)
        if flushed:
            self.world.flush()

    @precondition(lambda self: self.candled)
    @rule(symbol=st.sampled_from(SYMBOLS), final=st.booleans())
    def lose_continuity_of_candles(self, symbol: str, final: bool) -> None:
        """A feed missed some candles."""
        if symbol in self.candled:
            self.publish_candle(symbol, final=final, breaks=True)
            self.world.flush()

    def publish_candle(self, symbol: str, *, final: bool, breaks: bool = False) -> None:
        number = self.candled[symbol] = self.candled.get(symbol, 0) + 1
        if final:
            self.finals.setdefault(symbol, set()).add(number)
        topic = topic_of(("candles", symbol))
        data = candle(number, final=final)
        run_through(self.publish(Publication(topic, data, breaks=breaks)))

    @precondition(lambda self: self.traded)
    @rule(symbol=st.sampled_from(SYMBOLS))
    def lose_continuity(self, symbol: str) -> None:
        """A feed missed some trades."""
        if symbol in self.traded:
            self.traded[symbol] += 1
            topic = topic_of(("trades", symbol))
            publication = Publication(topic, trades(self.traded[symbol]), breaks=True)
            run_through(self.publish(publication))
            self.world.flush()

    async def publish(self, publication: Publication) -> None:
        await self.world.engine.publish([publication])

    @precondition(lambda self: any(not one.held for one in self.callers))
    @rule(data=st.data())
    def get_slow(self, data: st.DataObject) -> None:
        """A client takes no more."""
        caller = self.some(data, lambda one: not one.held)
        if caller is not None:
            caller.peer.session.hold(self.world.timer.now)

    @precondition(lambda self: any(one.held for one in self.callers))
    @rule(data=st.data())
    def catch_up(self, data: st.DataObject) -> None:
        """It takes data again."""
        caller = self.some(data, lambda one: one.held)
        if caller is not None:
            caller.peer.session.catch_up()

    @precondition(lambda self: any(one.pending for one in self.callers))
    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        """Some of what is on its way arrives."""
        caller = self.some(data, lambda one: bool(one.pending))
        if caller is not None:
            caller.receive(data.draw(st.integers(1, len(caller.pending))))

    @precondition(lambda self: any(not one.held for one in self.callers))
    @rule(data=st.data())
    def say_something(self, data: st.DataObject) -> None:
        """A client is heard of."""
        caller = self.some(data, lambda one: not one.held)
        if caller is not None:
            caller.say("ping")

    @rule(data=st.data(), seconds=st.sampled_from((0.5, 1.5, 3.0, 12.0, 40.0)))
    def let_time_pass(self, data: st.DataObject, seconds: float) -> None:
        """Clients answer pings; who takes nothing, and who is lost, is given up in the end."""
        self.wait(seconds, data)

    @precondition(lambda self: self.callers)
    @rule(data=st.data())
    def say_goodbye(self, data: st.DataObject) -> None:
        """A client leaves for good."""
        caller = self.some(data, lambda _: True)
        if caller is not None:
            caller.peer.goodbye()
            self.gone(caller, waits=False)

    @precondition(lambda self: self.callers)
    @rule(data=st.data(), read_all=st.booleans())
    def get_lost(self, data: st.DataObject, read_all: bool) -> None:
        """A client vanishes, with or without what was on its way to it."""
        caller = self.some(data, lambda _: True)
        if caller is None:
            return
        read_all = read_all and not caller.held
        least = len(caller.pending) if read_all else caller.proven()
        caller.receive(data.draw(st.integers(least, len(caller.pending))))
        caller.peer.vanish(read_all=read_all)
        self.gone(caller, waits=True)

    @precondition(lambda self: any(self.owners.get(one.id) is one for one in self.callers))
    @rule(
        data=st.data(),
        answers=st.booleans(),
        declined=st.none() | st.sampled_from(SYMBOLS),
        right=st.sampled_from(RIGHTS),
    )
    def come_under_the_id_of_another(
        self, data: st.DataObject, answers: bool, declined: str | None, right: Right
    ) -> None:
        """Who is asked answers and keeps its session, or doesn't and passes it on."""
        owner = self.some(
            data,
            lambda one: (
                self.owners.get(one.id) is one
                and one.right is not None
                and one.right.sub == right.sub
            ),
        )
        if owner is None:
            return
        newcomer = self.connect(owner.peer.session.client_id, right, v1=False)
        assert newcomer.subscriptions == set()
        if declined is not None:
            newcomer.say("unsubscribe", symbol=declined)
        if answers:
            owner.peer.pong()
            owner.peer.pings.clear()
            self.wait(2, data)
            return
        least = owner.proven()
        owner.receive(data.draw(st.integers(least, len(owner.pending))))
        if declined is not None:
            owner.books.pop(declined, None)
        # What comes to the newcomer when the session is passed on is its own.
        self.inherit(newcomer, owner, but=declined)
        self.world.wait(1.5)
        assert owner.peer.ended
        self.callers.remove(owner)
        self.notice_ends(data)
        self.expire()

    @precondition(lambda self: any(one.tokens for one in (*self.callers, *self.lost)))
    @rule(
        data=st.data(),
        right=st.sampled_from(RIGHTS),
        older=st.booleans(),
        live=st.booleans(),
    )
    def resume(self, data: st.DataObject, right: Right, older: bool, live: bool) -> None:
        """A v1 client goes on by a token, from where it really was."""
        known = [one for one in (self.callers if live else self.lost) if one.v1 and one.tokens]
        if not known:
            return
        old = data.draw(st.sampled_from(known))
        if old in self.callers:
            old.receive(data.draw(st.integers(old.proven(), len(old.pending))))
        new = self.connect(old.peer.session.client_id, right, v1=True)
        new.receive()
        token = old.tokens[-2 if older and len(old.tokens) > 1 else -1]
        new.omitted = {key for key in old.tapes if data.draw(st.integers(0, 3)) == 0}
        places = [
            {**named(key), "epoch": tape.place[0], "seq": tape.place[1]}
            for key, tape in sorted(old.tapes.items())
            if key not in new.omitted and key in old.subscriptions and tape.place[1] is not None
        ]
        placed = {(str(one["channel"]), str(one["symbol"])) for one in places}
        allowed = old.right is not None and old.right.sub == right.sub
        if allowed:
            new.subscriptions = {key for key in old.subscriptions if key[1] in right.symbols}
            new.tapes = {key: tape for key, tape in old.tapes.items() if key in placed}
            new.omitted = set(old.tapes) - placed
            new.tokens = [token, *new.tokens]
            old.narrow()
            new.depths = old.depths
        new.say("resume", session=token, positions=places)
        kinds = [json.loads(line)["type"] for _, line in new.pending]
        assert ("resumed" in kinds) is allowed
        if allowed:
            if old in self.callers:
                assert old.peer.ended == [CloseCode.TAKEN_OVER]
                self.callers.remove(old)
            else:
                del self.lost[old]

    @precondition(lambda self: self.callers)
    @rule()
    def settle(self) -> None:
        """Everybody takes everything: what each one knows is true."""
        self.world.flush()
        for caller in self.callers:
            if caller.held:
                caller.peer.session.catch_up()
            caller.receive()
        self.world.flush()
        for caller in self.callers:
            caller.receive()
            self.check(caller)

    def check(self, caller: Caller) -> None:
        for channel, symbol in caller.subscriptions:
            depth = caller.depth((channel, symbol))
            book = self.books.get(symbol)
            if channel == "orderbook":
                wanted = book and [
                    [[one.price, one.size] for one in side[:depth]]
                    for side in (book.bids, book.asks)
                ]
                if not caller.v1:
                    assert caller.books.get(symbol) == wanted
                elif wanted is not None:
                    assert list(caller.tapes[channel, symbol].sides()) == wanted
            else:
                count = (self.traded if channel == "trades" else self.candled).get(symbol, 0)
                assert caller.tapes[channel, symbol].place[1] in {None, count}

    @invariant()
    def numbers_agree(self) -> None:
        """Who is connected, who is waited for, and who sees what."""
        registry = self.world.registry
        assert len(registry) == len(self.callers)
        assert self.world.ownership.lost == len(self.lost)
        seen: dict[Topic, int] = {}
        for caller in self.callers:
            session = caller.peer.session
            assert {(t.channel, t.symbol[3:]) for t in session._connection.subscriptions} == (
                caller.subscriptions
            )
            for key in caller.subscriptions:
                seen[topic_of(key)] = seen.get(topic_of(key), 0) + 1
        assert self.world.hub.topics() == seen
        awaited = {topic_of(key) for caller in self.lost for key in caller.subscriptions}
        for topic in {topic_of((channel, one)) for channel in CHANNELS for one in SYMBOLS}:
            wanted = self.world.engine.want(topic) == "subscribed"
            assert wanted is (topic in awaited or topic in seen)

    def teardown(self) -> None:
        if self.callers:
            self.settle()


class EveryBookMachine(ProtocolMachine):
    """The same where every book waits for base clients."""

    keeps_all = True


def limited(machine: type[ProtocolMachine], count: int) -> Any:
    """Make the tests of a machine; a finding takes minutes to be made short, none takes seconds."""
    machine.TestCase.settings = settings(
        max_examples=examples(count),
        stateful_step_count=40,
        deadline=None,
        phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    return pytest.mark.no_cover(pytest.mark.timeout(300)(machine.TestCase))


TestProtocol = limited(ProtocolMachine, 200)
TestEveryBook = limited(EveryBookMachine, 100)


# What it has found


async def test_who_comes_back_with_a_right_to_more_levels_is_shown_them() -> None:
    """Having the newest book of one level isn't having the newest book."""
    world = SessionWorld(auth_mode="jwt", auth_jwt_secret=SECRET)
    everything, _, one_level, _ = (world.gate.verify(right.token) for right in RIGHTS)
    first = world.enter("me", "TSLA", principal=one_level)
    book = Book((Level(101, 1), Level(100, 1)), ())
    await world.engine.publish([Publication(topic_of(("orderbook", "TSLA")), book)])
    world.flush()
    assert len(first.messages()[-1]["data"]["bids"]) == 1
    first.vanish(read_all=True)
    [shown] = world.enter("me", principal=everything).messages()
    assert len(shown["data"]["bids"]) == 2
