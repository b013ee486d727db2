"""The members port: which nodes live, and requests between nodes."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping

import msgspec

from bookcast.backplane.formats import OLDEST
from bookcast.errors import EngineAwayError

Handler = Callable[[bytes], Awaitable[bytes]]
"""Answers a request of a node: it gets the body and returns the answer."""


class Node(msgspec.Struct, frozen=True):
    """A node's description of itself. ``group``: the same for processes that share a port.

    ``worker`` is its number in the group. ``leads``: it runs the feed. ``record_format`` is the
    highest format that it reads, see :mod:`bookcast.backplane.formats`. Fields may be added, never
    changed.
    """

    id: str
    group: str
    worker: int = 0
    leads: bool = False
    version: str = ""
    started_ms: float = 0.0
    connections: int = 0
    record_format: int = OLDEST


class Members(ABC):
    """The nodes of a cluster as one node sees them. It sends requests to others and answers theirs.

    Attributes:
        id: the id of this node.
        handlers: the handlers of requests, by method.
    """

    id: str
    handlers: dict[str, Handler]

    @property
    @abstractmethod
    def form(self) -> int:
        """The format to write records in: the highest that all living nodes read."""

    @property
    @abstractmethod
    def living(self) -> Mapping[str, Node]:
        """All living nodes by id, this one included; empty for a single node.

        It may be some seconds old.
        """

    @abstractmethod
    async def ask(self, node: str, method: str, body: bytes, patience: float) -> bytes | None:
        """Send a request to a node, which may be this one, and wait for the answer.

        Returns:
            The answer. None when none comes within ``patience`` seconds, and at once where the node
            isn't reachable, has no such handler, or its handler fails.

        Raises:
            EngineAwayError: when Redis is away, so that no request can be sent.
        """

    @abstractmethod
    async def tell(self, node: str, method: str, body: bytes) -> None:
        """Send a message to a node, without waiting for an answer. It may get lost."""

    @abstractmethod
    def announce(self) -> None:
        """Publish this node's description soon, since it has changed."""

    @abstractmethod
    async def close(self) -> None:
        """Stop answering requests, and leave the cluster."""

    async def ask_all(
        self, nodes: Iterable[str], method: str, body: bytes, patience: float
    ) -> dict[str, bytes | None]:
        """Send a request to several nodes at once; the answer is None for those that give none."""

        async def ask(node: str) -> bytes | None:
            try:
                return await self.ask(node, method, body, patience)
            except EngineAwayError:
                return None

        asked = list(nodes)
        answers = await asyncio.gather(*(ask(node) for node in asked))
        return dict(zip(asked, answers, strict=True))
