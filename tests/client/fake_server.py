"""A server in memory that speaks ``bookcast.v1``: it keeps topics, histories and sessions.

It shares no code with the client, and breaks when it is asked to.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from bookcast.client.websocket import Events
from tests.still_loop import StillLoop
from tests.support import js

Relay = Callable[[str, str, Callable[[str], None]], None]
"""Sees each message and its direction, ``up`` or ``down``, and passes it on or doesn't."""

Levels = list[list[float]]
Key = tuple[str, str, str]

LOGS = {"trades", "candles"}
TYPES = {
    "quote": "quote_update",
    "candles": "candle_update",
    "brokers": "brokers_update",
    "timeframe": "timeframe_update",
}
RETRY = {"feed_refused", "rate_limited", "engine_unavailable", "server_full"}

number = lru_cache(4096)(js)


def checksum(book: dict[str, Levels]) -> int:
    """Compute a book's checksum the long way round."""
    best = [level for side in ("bids", "asks") for level in book[side][:10]]
    return zlib.crc32("".join(f"{number(p)}:{number(s)};" for p, s, *_ in best).encode())


def cut(book: dict[str, Levels], depth: int | None) -> dict[str, Levels]:
    """Cut a book to its best levels."""
    return {side: book[side][:depth] for side in ("bids", "asks")}


def changed(before: Levels, after: Levels, *, falling: bool) -> Levels:
    """List the levels that turn one side into another; those that are gone have size 0."""
    old = {level[0]: level for level in before}
    changes = [level for level in after if old.pop(level[0], None) != level]
    return sorted([*changes, *([price, 0] for price in old)], reverse=falling)


@dataclass
class Place:
    """What a client was sent last."""

    epoch: str
    seq: int
    book: dict[str, Levels] | None = None


@dataclass
class View:
    """How a client sees a topic."""

    depth: int | None
    mode: str
    interval_ms: int
    last: Place | None = None

    def told(self) -> dict[str, Any]:
        """Return it as a message has it."""
        return {"depth": self.depth, "mode": self.mode, "interval_ms": self.interval_ms}


@dataclass
class Entry:
    """An update."""

    seq: int
    at: float
    data: Any


@dataclass
class Topic:
    """What is published."""

    name: dict[str, Any]
    epoch: str
    seq: int = 0
    newest: Entry | None = None
    log: list[Entry] = field(default_factory=list)
    lost: int = 0
    status: dict[str, Any] | None = None

    @property
    def is_log(self) -> bool:
        """Return whether every update counts."""
        return self.name["channel"] in LOGS

    def gap(self, first: int | None, last: int | None, reason: str) -> dict[str, Any]:
        """Return the message that tells a gap."""
        return {
            "type": "gap",
            **self.name,
            "epoch": self.epoch,
            "from_seq": first,
            "to_seq": last,
            "reason": reason,
        }

    def missed(self, epoch: str, seq: int) -> tuple[dict[str, Any] | None, list[Entry]]:
        """Return what came after a position, and what of it isn't kept."""
        if self.newest is None:
            return None, []
        if epoch != self.epoch:
            return self.gap(None, None, "epoch"), self.log
        entries = [entry for entry in self.log if entry.seq > seq]
        return (self.gap(seq + 1, self.lost, "overflow") if seq < self.lost else None), entries


def key_of(told: dict[str, Any]) -> Key:
    """Return what tells topics apart."""
    return told["channel"], told["symbol"], told.get("period") or told.get("variant") or ""


def name_of(told: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that name a topic."""
    name = {"channel": told.get("channel", "orderbook"), "symbol": told["symbol"]}
    return name | {one: told[one] for one in ("period", "variant") if told.get(one)}


class FakeSocket:
    """The client's end of a connection."""

    def __init__(self, server: FakeServer, address: str, events: Events) -> None:
        self.address = address
        self.server = server
        self.events: Events | None = events
        self.peer: Connection | None = None
        self.close_code: int | None = None

    def send(self, text: bytes) -> None:
        """Send a message, if it is open."""

        def arrive() -> None:
            if self.peer is not None:
                self.peer.hear(text.decode())

        self.server.later(arrive)

    def close(self, code: int) -> None:
        """Let it go."""
        self.events = None
        self.close_code = code
        peer, self.peer = self.peer, None

        def arrive() -> None:
            if peer is not None:
                self.server.forget(peer, code)

        self.server.later(arrive)

    def end(self, code: int, reason: str) -> None:
        """Lose the connection."""
        events, self.events = self.events, None
        if events is not None:
            events.closed(code, reason)


class Connection:
    """The server's end."""

    def __init__(self, server: FakeServer, socket: FakeSocket, session: str) -> None:
        self.server = server
        self.socket = socket
        self.session = session
        self.views: dict[Key, View] = {}
        self.is_served = server.tokens is None

    def hear(self, text: str) -> None:
        """Take a message, as far as the relay passes it on."""
        self.server.relay(text, "up", lambda passed: self.server.receive(self, passed))

    def say(self, message: dict[str, Any]) -> None:
        """Send a message, as far as the relay passes it on."""
        self.server.relay(json.dumps(message), "down", self._pass)

    def _pass(self, text: str) -> None:
        def arrive() -> None:
            if self.socket.events is not None:
                self.socket.events.received(text.encode())

        self.server.later(arrive)

    def end(self, code: int, reason: str) -> None:
        """Close it from this side."""
        self.socket.peer = None
        self.server.forget(self, code, is_ours=True)
        self.server.later(lambda: self.socket.end(code, reason))


class FakeServer:
    """A server.

    ``tokens``: says for how long a token is good, or the error code of one that isn't; None: nobody
    is asked for one. ``history_size``: trades and final candles that are kept.
    """

    def __init__(
        self,
        loop: StillLoop,
        now: Callable[[], float],
        *,
        heartbeat_ms: int = 3_600_000,
        history_size: int = 1000,
        tokens: Callable[[str], float | str | None] | None = None,
        relay: Relay = lambda text, _direction, pass_on: pass_on(text),
    ) -> None:
        self.tokens = tokens
        self.relay = relay
        self.received: list[dict[str, Any]] = []
        self.sockets: list[FakeSocket] = []
        self.is_up = True
        self._loop = loop
        self._now = now
        self._heartbeat_ms = heartbeat_ms
        self._history_size = history_size
        self._connections: dict[Connection, None] = {}
        self._topics: dict[Key, Topic] = {}
        self._refusals: dict[str, tuple[str, str]] = {}
        self._sessions: dict[str, dict[Key, View]] = {}
        self._session_count = 0
        self._epochs = 1

    # The client's side

    def open(self, address: str, events: Events) -> FakeSocket:
        """Begin to open a socket."""
        socket = FakeSocket(self, address, events)
        self.sockets.append(socket)
        self.later(lambda: self._connect(socket))
        return socket

    async def finish(self) -> None:
        """Wait for nothing."""

    # The test's side

    @property
    def connection_count(self) -> int:
        """Return how many clients are connected."""
        return len(self._connections)

    @property
    def subscribed(self) -> list[str]:
        """Return the topics that somebody is subscribed to."""
        keys = {key for connection in self._connections for key in connection.views}
        return sorted(" ".join(filter(None, key)) for key in keys)

    def publish(self, symbol: str, data: Any, **name: Any) -> tuple[str, int]:
        """Publish data of a channel, by default a book."""
        topic = self._topic(name_of({"symbol": symbol, **name}))
        topic.seq += 1
        entry = Entry(topic.seq, self._now(), data)
        is_first = topic.newest is None and self._epochs > 1
        topic.newest, topic.status = entry, None
        if topic.name["channel"] == "trades" or (topic.is_log and data.get("final")):
            topic.log.append(entry)
            while len(topic.log) > self._history_size:
                topic.lost = topic.log.pop(0).seq
        for connection in list(self._connections):
            view = connection.views.get(key_of(topic.name))
            if view is None:
                continue
            if is_first and topic.is_log and view.last is not None:
                connection.say(topic.gap(None, None, "epoch"))
            self._show(connection, topic, view, entry)
        return topic.epoch, topic.seq

    def trade(self, symbol: str, *trades: dict[str, Any]) -> tuple[str, int]:
        """Publish trades."""
        usual = {"price": 1, "size": 1, "side": "buy", "timestamp": self._now()}
        data = {"trades": [usual | trade for trade in trades]}
        return self.publish(symbol, data, channel="trades")

    def status(self, symbol: str, state: str, reason: str | None = None, **name: Any) -> None:
        """Say how a topic stands."""
        topic = self._topic(name_of({"symbol": symbol, **name}))
        topic.status = {"state": state} | ({"reason": reason} if reason else {})
        for connection in self._connections:
            if key_of(topic.name) in connection.views:
                connection.say(self._status(topic))

    def refuse(self, symbol: str, code: str = "forbidden", message: str = "refused") -> None:
        """Answer subscriptions of a symbol with an error from now on."""
        self._refusals[symbol] = (code, message)
        for connection in self._connections:
            for key in list(connection.views):
                if key[1] == symbol:
                    if code not in RETRY:
                        del connection.views[key]
                    connection.say(self._refusal(key[0], symbol))

    def drop(self, code: int = 1006, reason: str = "") -> None:
        """End all connections."""
        for connection in list(self._connections):
            connection.end(code, reason)

    def restart(self) -> None:
        """End all connections and forget everything."""
        self.drop()
        self._sessions.clear()
        self.new_epoch()

    def new_epoch(self) -> None:
        """Begin a new epoch, of which nothing is known."""
        self._epochs += 1
        for topic in self._topics.values():
            topic.epoch = f"fake-{self._epochs}"
            topic.seq = topic.lost = 0
            topic.newest = None
            topic.log = []

    def say(self, **message: Any) -> None:
        """Tell all clients something."""
        for connection in list(self._connections):
            connection.say(message)

    # What it does

    def later(self, callback: Callable[[], object]) -> None:
        """Do something in a moment: that is how long a message takes."""
        self._loop.call_soon(callback)

    def forget(self, connection: Connection, code: int, *, is_ours: bool = False) -> None:
        """Forget a connection; after a loss its session waits."""
        if self._connections.pop(connection, 0) is None and (is_ours or code not in {1000, 1001}):
            self._sessions[connection.session] = connection.views

    def receive(self, connection: Connection, text: str) -> None:
        """Act on a message."""
        if connection not in self._connections:
            return
        command = json.loads(text)
        self.received.append(command)
        action, number = command["action"], {"id": command["id"]} if "id" in command else {}
        if not connection.is_served and action not in {"authenticate", "ping"}:
            connection.say({"type": "error", **number, "code": "unauthenticated", "message": "no"})
            return
        getattr(self, f"_{action}")(connection, command, number)

    def _connect(self, socket: FakeSocket) -> None:
        if socket.events is None:
            return
        if not self.is_up:
            socket.end(1006, "refused")
            return
        self._session_count += 1
        connection = Connection(self, socket, f"session-{self._session_count}")
        self._connections[connection] = None
        socket.peer = connection
        socket.events.opened()
        within = {} if connection.is_served else {"authenticate_within_ms": 10_000}
        connection.say(
            {
                "type": "welcome",
                "protocol": "bookcast.v1",
                "client_id": unquote(urlsplit(socket.address).path.rpartition("/")[2]),
                "session": connection.session,
                "heartbeat_ms": self._heartbeat_ms,
                "server_time": self._now(),
                **within,
            }
        )

    def _ping(self, connection: Connection, _command: Any, number: Any) -> None:
        connection.say({"type": "pong", **number, "server_time": self._now()})

    def _authenticate(self, connection: Connection, command: Any, number: Any) -> None:
        assert self.tokens is not None
        verdict = self.tokens(command["token"])
        if not isinstance(verdict, str):
            connection.is_served = True
            connection.say({"type": "authenticated", **number, "expires_in_ms": verdict})
            return
        message = f"the token isn't good: {verdict}"
        connection.say({"type": "error", **number, "code": verdict, "message": message})
        if not connection.is_served:
            connection.end(4010 if verdict == "token_expired" else 4503, verdict)

    def _publish(self, connection: Connection, command: Any, number: Any) -> None:
        name = name_of(command)
        epoch, seq = self.publish(data=command["data"], **name)
        connection.say(
            {
                "type": "published",
                **number,
                "channel": name["channel"],
                "symbol": name["symbol"],
                "epoch": epoch,
                "seq": seq,
            }
        )

    def _subscribe(self, connection: Connection, command: Any, number: Any) -> None:
        name = name_of(command)
        code, _ = self._refusals.get(name["symbol"], ("", ""))
        if code and code not in RETRY:
            connection.say(self._refusal(name["channel"], name["symbol"]) | number)
            return
        topic = self._topic(name)
        view = View(command.get("depth"), command["mode"], command["interval_ms"])
        connection.views[key_of(name)] = view
        since = command.get("since")

        def confirm(epoch: str | None, seq: int | None, recovered: bool | None) -> None:
            told = {} if recovered is None else {"recovered": recovered}
            connection.say(
                {
                    "type": "subscription_confirmed",
                    **number,
                    **name,
                    "view": view.told(),
                    "epoch": epoch,
                    "seq": seq,
                    **told,
                }
            )

        if topic.is_log:
            self._start_log(connection, topic, view, since, command["history"], confirm)
        else:
            newest = topic.newest
            recovered = None if since is None else since["epoch"] == topic.epoch
            confirm(topic.epoch if newest else None, newest.seq if newest else None, recovered)
            has_it = since and newest and recovered and since["seq"] == newest.seq
            has_it = has_it and view.mode == "full"
            if newest is not None and not has_it:
                self._show(connection, topic, view, newest)
        if topic.newest is None or topic.status is not None:
            connection.say(self._status(topic))
        if code:
            connection.say(self._refusal(name["channel"], name["symbol"]))

    def _start_log(  # noqa: PLR0917 - one call
        self,
        connection: Connection,
        topic: Topic,
        view: View,
        since: dict[str, Any] | None,
        history: int,
        confirm: Callable[[str | None, int | None, bool | None], None],
    ) -> None:
        epoch = topic.epoch
        view.last = Place(since["epoch"], since["seq"]) if since else None
        if topic.newest is None:
            confirm(None, None, None if since is None else since["epoch"] == epoch)
            return
        if since is None:
            entries = topic.log[-history:] if history else []
            begins = (entries[0].seq if entries else topic.seq + 1) - 1
            view.last = Place(epoch, begins)
            confirm(epoch, begins, None)
        else:
            gap, entries = topic.missed(since["epoch"], since["seq"])
            if since["epoch"] == epoch:
                confirm(epoch, since["seq"], gap is None)
            else:
                confirm(epoch, (entries[0].seq if entries else topic.seq + 1) - 1, False)
            if gap is not None:
                connection.say(gap)
        for entry in entries:
            self._show(connection, topic, view, entry)

    def _unsubscribe(self, connection: Connection, command: Any, number: Any) -> None:
        name = name_of(command)
        connection.views.pop(key_of(name), None)
        connection.say({"type": "unsubscription_confirmed", **number, **name})

    def _resync(self, connection: Connection, command: Any, number: Any) -> None:
        name = name_of(command)
        view, topic = connection.views.get(key_of(name)), self._topics.get(key_of(name))
        if view is None or topic is None:
            connection.say(self._not_subscribed(name) | number)
            return
        view.last = None
        if topic.newest is not None and not topic.is_log:
            self._show(connection, topic, view, topic.newest)

    def _why(self, connection: Connection, command: Any, number: Any) -> None:
        name = name_of(command)
        if key_of(name) not in connection.views:
            connection.say(self._not_subscribed(name) | number)
            return
        topic = self._topics[key_of(name)]
        none = dict.fromkeys(("conflated", "queued", "gapped", "unchanged"), 0)
        counts = {"received": topic.seq, "sent": topic.seq, **none}
        state = {"state": self._status(topic)["state"], "limited_by": "none"}
        last = {"last_update_ms": topic.newest and topic.newest.at}
        connection.say({"type": "why", **number, **name, **counts, **state, **last})

    def _resume(self, connection: Connection, command: Any, number: Any) -> None:
        left = self._sessions.pop(command["session"], None)
        for other in list(self._connections):
            # One that hasn't noticed that its line is dead loses the session to this one.
            if left is None and other.session == command["session"] and other is not connection:
                other.end(4501, "another connection resumed the session")
                left = self._sessions.pop(command["session"])
        if left is None:
            code, message = "unknown_session", "This session isn't known here"
            connection.say({"type": "error", **number, "code": code, "message": message})
            return
        positions = {key_of(one): one for one in command["positions"]}
        restored, shows = [], []
        for key, view in left.items():
            had, topic = positions.pop(key, None), self._topics[key]
            connection.views[key] = view
            told, show = self._go_on(connection, topic, view, had)
            restored.append(told)
            shows.append(show)
        refused = [
            {"channel": one["channel"], "symbol": one["symbol"], "code": "not_subscribed"}
            for one in positions.values()
        ]
        connection.say(
            {
                "type": "resumed",
                **number,
                "session": connection.session,
                "restored": restored,
                "refused": refused,
            }
        )
        for show in shows:
            show()

    def _go_on(
        self, connection: Connection, topic: Topic, view: View, had: dict[str, Any] | None
    ) -> tuple[dict[str, Any], Callable[[], None]]:
        """Return how a subscription goes on, and what sends what was missed."""
        newest = topic.newest
        is_same = had is not None and had["epoch"] == topic.epoch
        gap, entries = (None, topic.log)
        if topic.is_log and had is not None:
            gap, entries = topic.missed(had["epoch"], had["seq"])
        goes_on = is_same and gap is None
        place: tuple[str | None, int | None] = (None, None)
        if newest is not None:
            place = (topic.epoch, had["seq"] if goes_on and had else newest.seq)
        told = dict(zip(("epoch", "seq"), place, strict=True))

        def show() -> None:
            if topic.newest is None:
                connection.say(self._status(topic))
            if newest is None:
                return
            if topic.is_log:
                if gap is not None:
                    connection.say(gap)
                for entry in entries:
                    self._show(connection, topic, view, entry)
                return
            last = view.last.seq if view.last else None
            if not (is_same and had and had["seq"] == newest.seq == last):
                view.last = None
                self._show(connection, topic, view, newest)

        return {**topic.name, "view": view.told(), **told, "recovered": goes_on}, show

    def _show(self, connection: Connection, topic: Topic, view: View, entry: Entry) -> None:
        """Send an update in a view: whole, or what changed since the last one."""
        head = {
            **topic.name,
            "epoch": topic.epoch,
            "seq": entry.seq,
            "ts": [None, None, entry.at],
        }
        last = view.last if view.last is not None and view.last.epoch == topic.epoch else None
        book = None
        channel = topic.name["channel"]
        if channel == "orderbook":
            book = cut(entry.data, view.depth)
            message = {"type": "orderbook_update", **head, "data": book}
            if view.mode == "delta" and last is not None and last.book is not None:
                changes = {
                    "bids": changed(last.book["bids"], book["bids"], falling=True),
                    "asks": changed(last.book["asks"], book["asks"], falling=False),
                }
                if not changes["bids"] and not changes["asks"]:
                    return
                proof = {"prev_seq": last.seq, "checksum": checksum(book)}
                message = {"type": "orderbook_delta", **head, **proof, "data": changes}
        elif channel == "trades":
            message = {"type": "trade", **head, "prev_seq": entry.seq - 1, "data": entry.data}
        else:
            message = {"type": TYPES[channel], **head, "data": entry.data}
        view.last = Place(topic.epoch, entry.seq, book)
        connection.say(message)

    def _status(self, topic: Topic) -> dict[str, Any]:
        usual: dict[str, Any]
        if topic.newest is None:
            usual = {"age_ms": None, "state": "pending", "reason": "nothing has been published yet"}
        else:
            usual = {"age_ms": self._now() - topic.newest.at, "state": "live"}
        return {"type": "status", **topic.name, **usual, **(topic.status or {})}

    def _refusal(self, channel: str, symbol: str) -> dict[str, Any]:
        code, message = self._refusals[symbol]
        about = {"channel": channel, "symbol": symbol}
        return {"type": "error", "code": code, "message": message, **about}

    def _not_subscribed(self, name: dict[str, Any]) -> dict[str, Any]:
        about = {"channel": name["channel"], "symbol": name["symbol"]}
        return {"type": "error", "code": "not_subscribed", "message": "not subscribed", **about}

    def _topic(self, name: dict[str, Any]) -> Topic:
        return self._topics.setdefault(key_of(name), Topic(name, f"fake-{self._epochs}"))
