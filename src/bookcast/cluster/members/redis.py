"""The nodes that share a Redis. Each has a channel for requests, and sends a pulse regularly."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from bookcast.background import BackgroundTasks
from bookcast.backplane.base import Backplane
from bookcast.backplane.formats import NEWEST, OLDEST, common
from bookcast.backplane.pulse import PULSE, Pulse, PulseTimes
from bookcast.cluster.members.base import Handler, Members, Node
from bookcast.errors import EngineAwayError
from bookcast.observability.counter import as_gauge
from bookcast.timing import milliseconds

logger = logging.getLogger(__name__)


class _Ask(msgspec.Struct, frozen=True, tag="ask"):
    id: str
    sender: str
    method: str
    body: bytes


class _Answer(msgspec.Struct, frozen=True, tag="answer"):
    id: str
    body: bytes | None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Ask | _Answer)
_node: Final = msgspec.msgpack.Decoder(Node)


class RedisMembers(Members):
    """Sends requests to other nodes and answers theirs, over channels in Redis.

    Args:
        plane: the node's parts of the backplane.
        myself: returns this node's description; the format that it reads is added to it.
        times: the intervals of the pulse.
        returned: called when Redis is back after it was away.
        forgotten: called when Redis has forgotten this node, or is another master.
    """

    def __init__(
        self,
        plane: Backplane,
        myself: Callable[[], Node],
        times: PulseTimes,
        *,
        returned: Callable[[], None] = lambda: None,
        forgotten: Callable[[], None] = lambda: None,
    ) -> None:
        self._plane = plane
        self._link = plane.link
        self._myself = myself
        self._living_ms = milliseconds(times.living)
        self.id = myself().id
        self.channel = self._link.keys.node_channel(self.id)
        self.handlers: dict[str, Handler] = {}
        self._living: Mapping[str, Node] = {self.id: self._describe()}
        self._form = OLDEST
        self._has_pulsed = False
        self._asked: dict[str, asyncio.Future[bytes | None]] = {}
        self._answering = BackgroundTasks()
        self.pulse = Pulse(plane, self.say, times, returned=returned, forgotten=forgotten)
        plane.subscriber.listen(self.channel, self._hear)

    @property
    def living(self) -> Mapping[str, Node]:
        """All living nodes, as of the last pulse; before the first one, only this node."""
        return self._living

    @property
    @as_gauge(
        "bookcast_engine_record_format",
        "The format that records are written in, which all nodes read",
    )
    def form(self) -> int:
        """The format to write records in: the highest that all living nodes read."""
        return self._form

    def announce(self) -> None:
        """Send a pulse soon, unless Redis is away."""
        if not self._plane.breaker.is_open:
            self.pulse.beat_soon()

    async def say(self) -> bool:
        """Send a pulse to Redis, and read which nodes live.

        Returns:
            False when Redis has lost this node and its demand, or is another master, which may
            have lost them.

        Raises:
            EngineAwayError: when Redis is away.
        """
        known, this, *said = await self._link.call(
            "pulse",
            [self._link.keys.nodes, self._link.keys.node(self.id), self._link.keys.demand(self.id)],
            [
                self.id,
                _encode(self._describe()),
                self._living_ms,
                self._link.keys.node_prefix,
                self.channel,
            ],
            vital=True,
            looks=True,
        )
        nodes = [self._read(name, one) for name, one in zip(said[::2], said[1::2], strict=True)]
        is_first, self._has_pulsed = not self._has_pulsed, True
        self._living = {node.id: node for node in nodes}
        self._choose_format()
        same, self._link.redis = this == self._link.redis, this
        return (bool(known) and same) or is_first

    def _describe(self) -> Node:
        return msgspec.structs.replace(self._myself(), record_format=NEWEST)

    def _read(self, name: bytes, said: bytes) -> Node:
        """Return a node's description. A node whose description can't be read counts as living."""
        try:
            return _node.decode(said)
        except msgspec.MsgspecError as error:
            id_ = name.decode()
            self._plane.unreadable.note(f"the description of node {id_}", error)
            return Node(id_, group=id_)

    def _choose_format(self) -> None:
        form = common(node.record_format for node in self._living.values())
        if form == self._form:
            return
        self._form = form
        if form < NEWEST:
            behind = [
                f"{one.id} ({one.version})"
                for one in self._living.values()
                if one.record_format == form
            ]
            logger.info("writing records in format %d, for %s", form, ", ".join(sorted(behind)))
        else:
            logger.info("writing records in format %d: all nodes read it", form)

    async def ask(self, node: str, method: str, body: bytes, patience: float) -> bytes | None:
        """Send a request to a node; None when no answer comes within ``patience`` seconds.

        Raises:
            EngineAwayError: when Redis is away.
        """
        if node == self.id:  # also while Redis is away
            return await self._ask_myself(method, body, patience)
        id_ = secrets.token_hex(8)
        answered: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._asked[id_] = answered
        try:
            async with asyncio.timeout(patience):
                if not await self._send(node, _Ask(id_, self.id, method, body)):
                    return None  # the node isn't subscribed
                return await answered
        except TimeoutError:
            return None
        finally:
            del self._asked[id_]

    async def _ask_myself(self, method: str, body: bytes, patience: float) -> bytes | None:
        handler = self.handlers.get(method)
        try:
            async with asyncio.timeout(patience):
                return await handler(body) if handler is not None else None
        except TimeoutError:
            return None

    async def tell(self, node: str, method: str, body: bytes) -> None:
        """Send a message to a node, without waiting for an answer. It may get lost."""
        try:
            await self._send(node, _Ask("", self.id, method, body))
        except EngineAwayError:
            logger.debug("node %s couldn't be sent the message %s", node, method)

    async def close(self) -> None:
        """Stop answering requests, and remove this node from Redis, unless Redis is away."""
        await self.pulse.close()
        await self._answering.end()
        if self._plane.breaker.is_open:
            return
        try:
            await self._link.call(
                "leave",
                [
                    self._link.keys.nodes,
                    self._link.keys.node(self.id),
                    self._link.keys.demand(self.id),
                ],
                [self.id, self._link.keys.demand_channel],
            )
        except EngineAwayError as error:
            logger.debug("this node can't be removed from Redis: %s", error)

    def _hear(self, message: bytes) -> None:
        """Process a message on this node's channel."""
        self.pulse.hear()
        if message == PULSE:
            return
        try:
            said = _decode.decode(message)
        except msgspec.MsgspecError as error:
            self._plane.unreadable.note("a message of another node", error)
            return
        match said:
            case _Ask() as ask:
                self._answering.begin(self._answer(ask), f"answering {ask.method}")
            case _Answer(id_, body):
                asked = self._asked.get(id_)
                if asked is not None and not asked.done():
                    asked.set_result(body)

    async def _answer(self, ask: _Ask) -> None:
        handler = self.handlers.get(ask.method)
        body: bytes | None = None
        try:
            body = await handler(ask.body) if handler is not None else None
        except Exception:
            logger.exception("answering %s met a fault of ours", ask.method)
        if ask.id:
            try:
                await self._send(ask.sender, _Answer(ask.id, body))
            except EngineAwayError as error:
                logger.debug("%s can't be answered: %s", ask.method, error)

    async def _send(self, node: str, message: _Ask | _Answer) -> bool:
        """Publish on a node's channel. False: certainly no node received it."""
        listeners = await self._link.call(
            "send", [], [self._link.keys.node_channel(node), _encode(message)], again=True
        )
        # In a Cluster, subscribers at other nodes of Redis aren't counted.
        return bool(listeners) or self._link.is_cluster
