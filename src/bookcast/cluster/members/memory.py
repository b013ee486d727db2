"""The nodes of one process, which reach each other directly. Usually that is one node."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

import msgspec

from bookcast.background import BackgroundTasks
from bookcast.backplane.formats import NEWEST
from bookcast.cluster.members.base import Handler, Members, Node
from bookcast.errors import EngineAwayError

logger = logging.getLogger(__name__)


class MemoryNetwork:
    """Connects the nodes of one process. Tests let it fail as a real network does.

    Attributes:
        loses: returns whether a message is lost, given sender, receiver and method; the method is
            empty for an answer. It may be replaced at any time.
        away: why no request can be sent now; empty while the network works.
    """

    def __init__(self) -> None:
        self._nodes: dict[str, MemoryMembers] = {}
        self.loses: Callable[[str, str, str], bool] = lambda _sender, _receiver, _method: False
        self.away = ""

    def join(self, members: MemoryMembers) -> None:
        """Connect a node. It replaces one with the same id."""
        self._nodes[members.id] = members

    def lose(self, node: str) -> None:
        """Cut a node off, as if it were dead: it can neither send nor receive."""
        self._nodes.pop(node, None)

    def leave(self, members: MemoryMembers) -> None:
        """Disconnect a node, unless another one has replaced it."""
        if self.has(members):
            del self._nodes[members.id]

    def has(self, members: MemoryMembers) -> bool:
        """Return whether a node is connected."""
        return self._nodes.get(members.id) is members

    def find(self, node: str) -> MemoryMembers | None:
        """Return the connected node with this id, or None."""
        return self._nodes.get(node)

    def nodes(self) -> list[MemoryMembers]:
        """Return all connected nodes."""
        return list(self._nodes.values())


class MemoryMembers(Members):
    """A node of a network.

    Args:
        myself: returns this node's description.
        network: connects it to the others. None: it is a single node.
    """

    form = NEWEST

    def __init__(self, myself: Callable[[], Node], network: MemoryNetwork | None = None) -> None:
        self.id = myself().id
        self.handlers: dict[str, Handler] = {}
        self._myself = myself
        self._is_single = network is None
        self._network = network or MemoryNetwork()
        self._network.join(self)
        self._answering = BackgroundTasks()

    @property
    def living(self) -> Mapping[str, Node]:
        """All connected nodes as they are now; empty for a single node."""
        if self._is_single:
            return {}
        return {one.id: one.describe() for one in self._network.nodes()}

    def describe(self) -> Node:
        """Return this node's description."""
        return msgspec.structs.replace(self._myself(), record_format=NEWEST)

    async def ask(self, node: str, method: str, body: bytes, patience: float) -> bytes | None:
        """Send a request to a node; None when no answer comes within ``patience`` seconds.

        Raises:
            EngineAwayError: when the network is away.
        """
        if self._network.away:
            raise EngineAwayError(self._network.away)
        answered: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

        def answer(body: bytes | None) -> None:
            if not answered.done():
                answered.set_result(body)

        if not self._send(node, method, body, answer):
            return None
        try:
            async with asyncio.timeout(patience):
                return await answered
        except TimeoutError:
            return None

    async def tell(self, node: str, method: str, body: bytes) -> None:
        """Send a message to a node. It may get lost."""
        if not self._network.away:
            self._send(node, method, body, lambda _answer: None)

    def announce(self) -> None:
        """Do nothing: other nodes always read the present description."""

    async def close(self) -> None:
        """Stop answering requests, and leave the network."""
        self._network.leave(self)
        await self._answering.end()

    def _send(
        self, node: str, method: str, body: bytes, answer: Callable[[bytes | None], None]
    ) -> bool:
        """Send a message. False: the receiver certainly doesn't get it."""
        receiver = self._network.find(node)
        if receiver is None or not self._network.has(self):
            return False
        if not self._network.loses(self.id, node, method):
            receiver.receive(self.id, method, body, answer)
        return True

    def receive(
        self, sender: str, method: str, body: bytes, answer: Callable[[bytes | None], None]
    ) -> None:
        """Answer a node's request in the background."""
        self._answering.begin(self._answer(sender, method, body, answer), f"answering {method}")

    async def _answer(
        self, sender: str, method: str, body: bytes, answer: Callable[[bytes | None], None]
    ) -> None:
        handler = self.handlers.get(method)
        found: bytes | None = None
        try:
            found = await handler(body) if handler is not None else None
        except Exception:
            logger.exception("answering %s met a fault of ours", method)
        network = self._network
        if network.has(self) and not network.away and not network.loses(self.id, sender, ""):
            answer(found)
