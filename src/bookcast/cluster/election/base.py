"""The port: which node runs the feed, one at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol


class Candidate(Protocol):
    """Who runs the feed on a node, when it is that node's turn."""

    async def gain(self, fence: int) -> None:
        """Run the feed. What it publishes goes under this fence.

        It is called again, after :meth:`lose`, when the node goes on under another fence.
        """

    async def lose(self) -> None:
        """Run the feed no more."""


class Election(ABC):
    """Lets one node at a time run the feed.

    Attributes:
        fence: the fencing token of this node: a number that grows with each new holder, so that
            what an earlier one still does can be refused. None while this node doesn't run the
            feed.
    """

    fence: int | None

    @abstractmethod
    async def start(self, candidate: Candidate) -> None:
        """Stand for election from now on. Call it once.

        Where nobody can be ahead of it, it has been elected when this returns.
        """

    @abstractmethod
    async def note_fenced(self, fence: int) -> None:
        """Note that something was refused under a fence: another node runs the feed by now."""

    @abstractmethod
    async def resign(self) -> None:
        """Run the feed no more, and let another node run it at once. Once more does nothing."""
