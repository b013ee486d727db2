"""The port: which nodes live, and what they can be asked."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping

import msgspec

from bookcast.backplane.formats import OLDEST
from bookcast.errors import EngineAwayError

Handler = Callable[[bytes], Awaitable[bytes]]
"""Answers what a node asks."""


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


class Members(ABC):
    """The nodes of a cluster, as one of them sees them: it asks others, and answers them.

    Attributes:
        id: this node.
        handlers: by the method that is asked for. A handler gets a body and returns the answer.
    """

    id: str
    handlers: dict[str, Handler]

    @property
    @abstractmethod
    def form(self) -> int:
        """The format to write in: the highest that all living nodes read."""

    @property
    @abstractmethod
    def living(self) -> Mapping[str, Node]:
        """All nodes that live, by id, this one too; empty for a node that is in no cluster.

        It may be some seconds old.
        """

    @abstractmethod
    async def ask(self, node: str, method: str, body: bytes, patience: float) -> bytes | None:
        """Ask a node, which may be this one.

        Returns:
            The answer. None when there is none within ``patience`` seconds; at once where the node
            isn't there, has no such handler, or that fails.

        Raises:
            EngineAwayError: when nobody can be asked now.
        """

    @abstractmethod
    async def tell(self, node: str, method: str, body: bytes) -> None:
        """Send a node a message, without waiting for an answer. It may never arrive."""

    @abstractmethod
    def announce(self) -> None:
        """Show the others soon what this node says of itself, since that has changed."""

    @abstractmethod
    async def close(self) -> None:
        """Answer nobody any more, and leave the cluster."""

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
