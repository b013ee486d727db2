"""Nodes that share a Redis: each has a channel there, and says again and again that it lives."""

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
    """Asks other nodes, and answers them. The format that it reads is added to what it says.

    Args:
        plane: the way to Redis.
        myself: what this node says of itself.
        times: how often it says so.
        returned: called when Redis is back after it was away.
        forgotten: called when Redis has forgotten this node, or is another one.
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
        """All nodes that live, as of the last pulse; before the first, this one."""
        return self._living

    @property
    @as_gauge(
        "bookcast_engine_record_format",
        "The format that records are written in, which all nodes read",
    )
    def form(self) -> int:
        """The format to write in: the highest that all of them read."""
        return self._form

    def announce(self) -> None:
        """Send a pulse of its own soon, unless Redis is away."""
        if not self._plane.breaker.is_open:
            self.pulse.beat_soon()

    async def say(self) -> bool:
        """Note in Redis that this node lives, and learn who else does.

        Returns:
            False when Redis has forgotten this node, and what it wants with it, or is another one,
            which may have.

        Raises:
            EngineAwayError: when Redis can't be told.
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
        """Read what a node says of itself. One that can't be read lives all the same."""
        try:
            return _node.decode(said)
        except msgspec.MsgspecError as error:
            id_ = name.decode()
            self._plane.unreadable.note(f"what node {id_} says of itself", error)
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
        """Ask a node; None when it doesn't answer within so many seconds, or can't.

        Raises:
            EngineAwayError: when it can't be asked.
        """
        if node == self.id:  # also while Redis is away
            return await self._ask_myself(method, body, patience)
        id_ = secrets.token_hex(8)
        answered: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._asked[id_] = answered
        try:
            async with asyncio.timeout(patience):
                if not await self._tell(node, _Ask(id_, self.id, method, body)):
                    return None  # nobody listens
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
        """Send a node a message, without waiting for an answer. It may never hear it."""
        try:
            await self._tell(node, _Ask("", self.id, method, body))
        except EngineAwayError:
            logger.debug("node %s couldn't be told %s", node, method)

    async def close(self) -> None:
        """Answer nobody any more, and tell Redis that this node ends, while it is there."""
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
            logger.debug("Redis can't be told that this node ends: %s", error)

    def _hear(self, message: bytes) -> None:
        """Take what was said on this node's channel."""
        self.pulse.hear()
        if message == PULSE:
            return
        try:
            said = _decode.decode(message)
        except msgspec.MsgspecError as error:
            self._plane.unreadable.note("what another node asked or answered", error)
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
                await self._tell(ask.sender, _Answer(ask.id, body))
            except EngineAwayError as error:
                logger.debug("%s can't be answered: %s", ask.method, error)

    async def _tell(self, node: str, message: _Ask | _Answer) -> bool:
        """Publish on a node's channel; False: certainly nobody has heard it."""
        listeners = await self._link.call(
            "tell", [], [self._link.keys.node_channel(node), _encode(message)], again=True
        )
        # In a Cluster, those of other nodes of Redis aren't counted.
        return bool(listeners) or self._link.is_cluster
