"""The other nodes: who lives, and what they can be asked."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

import msgspec

from bookcast.background import Work
from bookcast.backplane.formats import NEWEST, OLDEST, common
from bookcast.backplane.link import Link
from bookcast.backplane.unreadable import UnreadableLog
from bookcast.errors import EngineAwayError
from bookcast.observability.counter import as_gauge

logger = logging.getLogger(__name__)

LIVING_MS: Final = 3500
"""A node that has said nothing for so long is dead."""

Handler = Callable[[bytes], Awaitable[bytes]]
"""Answers what another node asks."""


class Node(msgspec.Struct, frozen=True):
    """What a node says of itself. ``group``: processes that share a port have one in common.

    ``worker`` is its number there; ``leads``: it runs the feed. ``record_format`` is the highest
    format that it reads, see :mod:`bookcast.backplane.formats`. Fields may be added, never changed.
    """

    id: str
    group: str
    worker: int = 0
    leads: bool = False
    version: str = ""
    started_ms: float = 0.0
    connections: int = 0
    record_format: int = OLDEST


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


class Peers:
    """Asks other nodes, and answers them.

    ``myself`` tells what this node says of itself; the format that it reads is added here.
    ``handlers``: by the method that is asked for.
    """

    def __init__(self, link: Link, myself: Callable[[], Node], unreadable: UnreadableLog) -> None:
        self._link = link
        self._myself = myself
        self._unreadable = unreadable
        self.id = myself().id
        self.channel = self._link.keys.node_channel(self.id)
        self.handlers: dict[str, Handler] = {}
        self.living: Mapping[str, Node] = {}
        """All nodes that live, this one too, as of the last pulse."""
        self._form = OLDEST
        self._asked: dict[str, asyncio.Future[bytes | None]] = {}
        self._answering = Work()

    @property
    @as_gauge(
        "bookcast_engine_record_format",
        "The format that records are written in, which all nodes read",
    )
    def form(self) -> int:
        """The format to write in: the highest that all of them read."""
        return self._form

    async def pulse(self) -> bool:
        """Say that this node lives, and learn who else does.

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
                _encode(msgspec.structs.replace(self._myself(), record_format=NEWEST)),
                LIVING_MS,
                self._link.keys.node_prefix,
                self.channel,
            ],
            vital=True,
            looks=True,
        )
        nodes = [self._read(name, one) for name, one in zip(said[::2], said[1::2], strict=True)]
        before, self.living = self.living, {node.id: node for node in nodes}
        self._choose_format()
        same, self._link.redis = this == self._link.redis, this
        return (bool(known) and same) or not before

    def _read(self, name: bytes, said: bytes) -> Node:
        """Read what a node says of itself. One that can't be read lives all the same."""
        try:
            return _node.decode(said)
        except msgspec.MsgspecError as error:
            id_ = name.decode()
            self._unreadable.note(f"what node {id_} says of itself", error)
            return Node(id_, group=id_)

    def _choose_format(self) -> None:
        form = common(node.record_format for node in self.living.values())
        if form == self._form:
            return
        self._form = form
        if form < NEWEST:
            behind = [
                f"{one.id} ({one.version})"
                for one in self.living.values()
                if one.record_format == form
            ]
            logger.info("writing records in format %d, for %s", form, ", ".join(sorted(behind)))
        else:
            logger.info("writing records in format %d: all nodes read it", form)

    async def leave(self) -> None:
        """Say that this node ends."""
        await self._link.call(
            "leave",
            [self._link.keys.nodes, self._link.keys.node(self.id), self._link.keys.demand(self.id)],
            [self.id, self._link.keys.demand_channel],
        )

    async def ask(self, node: str, method: str, body: bytes, patience: float) -> bytes | None:
        """Ask a node; None when it doesn't answer within so many seconds, or can't.

        Raises:
            EngineAwayError: when it can't be asked.
        """
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

    async def ask_all(
        self, nodes: Iterable[str], method: str, body: bytes, patience: float
    ) -> dict[str, bytes | None]:
        """Ask several nodes at once; None for those that can't be asked, or don't answer."""

        async def ask(node: str) -> bytes | None:
            try:
                return await self.ask(node, method, body, patience)
            except EngineAwayError:
                return None

        asked = list(nodes)
        answers = await asyncio.gather(*(ask(node) for node in asked))
        return dict(zip(asked, answers, strict=True))

    async def tell(self, node: str, method: str, body: bytes) -> None:
        """Tell a node something, without waiting for an answer. It may never hear it."""
        try:
            await self._tell(node, _Ask("", self.id, method, body))
        except EngineAwayError:
            logger.debug("node %s couldn't be told %s", node, method)

    def hear(self, message: bytes) -> None:
        """Take what was said on this node's channel."""
        try:
            said = _decode.decode(message)
        except msgspec.MsgspecError as error:
            self._unreadable.note("what another node asked or answered", error)
            return
        match said:
            case _Ask() as ask:
                self._answering.begin(self._answer(ask), f"answering {ask.method}")
            case _Answer(id_, body):
                asked = self._asked.get(id_)
                if asked is not None and not asked.done():
                    asked.set_result(body)

    async def close(self) -> None:
        """Answer nobody any more."""
        await self._answering.end()

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
        """Say something on a node's channel; False: certainly nobody has heard it."""
        listeners = await self._link.call(
            "tell", [], [self._link.keys.node_channel(node), _encode(message)], again=True
        )
        # In a Cluster, those of other nodes of Redis aren't counted.
        return bool(listeners) or self._link.is_cluster
