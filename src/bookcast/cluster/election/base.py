"""The election port: one node at a time is leader and runs the feed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol


class Candidate(Protocol):
    """The part of a node that runs the feed while the node is leader."""

    async def gain(self, fence: int) -> None:
        """Run the feed, and publish with this fencing token.

        It is called again, after :meth:`lose`, when the node continues with another token.
        """

    async def lose(self) -> None:
        """Stop the feed."""


class Election(ABC):
    """Elects one node at a time to run the feed.

    Attributes:
        fence: this node's fencing token: a number that grows with each new leader, so that late
            calls of an earlier one can be refused. None while this node isn't leader.
    """

    fence: int | None

    @abstractmethod
    async def start(self, candidate: Candidate) -> None:
        """Stand for election. Call it once.

        A single node, or the first in memory, is leader when this returns.
        """

    @abstractmethod
    async def note_fenced(self, fence: int) -> None:
        """Note that a call with this fencing token was refused: another node is leader by now."""

    @abstractmethod
    async def resign(self) -> None:
        """Stop the feed, and let another node take over at once. A second call does nothing."""
