"""The backend of a node: its engine, and what it shares with other nodes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from bookcast.cluster.base import Cluster
from bookcast.engine.base import Engine
from bookcast.sessions.store.base import SessionStore


class Backend(ABC):
    """The engine and the cluster of a node, which are made, started and stopped together.

    Attributes:
        engine: publishes, keeps the logs, counts the interests.
        cluster: the other nodes.
        sessions: the store of sessions, in which clients find what they left at any node.
    """

    engine: Engine
    cluster: Cluster
    sessions: SessionStore

    @property
    @abstractmethod
    def is_reached(self) -> bool:
        """Whether the backend has been reached once. Until then this node can serve no client."""

    @abstractmethod
    def attach(
        self, *, away: Callable[[], None], returned: Callable[[], None] = lambda: None
    ) -> None:
        """Set the functions to call when the backend's state changes. Call it before :meth:`start`.

        Args:
            away: called soon after the backend has become unreachable.
            returned: called when the backend is back, or has lost this node's data: sessions are
                saved again.
        """

    @abstractmethod
    async def start(self) -> None:
        """Start. If the backend can't be reached, it is away; that isn't an error."""

    @abstractmethod
    async def renew(self, url: str) -> None:
        """Use another password for the backend.

        Raises:
            SettingError: the backend refuses the password; then nothing has changed.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Stop, after the feed has stopped."""
