"""What a node stands on: its engine, and what it shares with other nodes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from bookcast.cluster.base import Cluster
from bookcast.engine.base import Engine
from bookcast.sessions.store.base import SessionStore


class Backend(ABC):
    """The engine and the cluster of a node, which are made, begin and end together.

    Attributes:
        engine: publishes, keeps the logs, counts the interests.
        cluster: the other nodes.
        sessions: where clients find what they left behind, at whichever node.
    """

    engine: Engine
    cluster: Cluster
    sessions: SessionStore

    @property
    @abstractmethod
    def is_reached(self) -> bool:
        """Whether it has been reached once: until then this node can serve nobody."""

    @abstractmethod
    def attach(
        self, *, away: Callable[[], None], returned: Callable[[], None] = lambda: None
    ) -> None:
        """Connect who has to know how it is; call it before :meth:`start`.

        Args:
            away: called soon after it was found to be away.
            returned: called when it is back, or has forgotten this node: sessions are saved anew.
        """

    @abstractmethod
    async def start(self) -> None:
        """Begin. A backend that can't be reached is away, which is no failure."""

    @abstractmethod
    async def renew(self, url: str) -> None:
        """Take over another password for where it is.

        Raises:
            SettingError: when that is refused; then nothing has changed.
        """

    @abstractmethod
    async def stop(self) -> None:
        """End, after the feed has."""
