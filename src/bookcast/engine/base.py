"""What an engine is: it gives positions, keeps the newest state, and knows what is wanted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import msgspec

from bookcast.model import Position, Publication, Topic, Update

Deliver = Callable[[Update], None]
"""Takes an update to this node's hub."""

Demand = Callable[[Topic], None]
"""Tells the feed that a topic is wanted by somebody now, or by nobody any more."""


class EngineStatus(msgspec.Struct, frozen=True):
    """What ``/health`` says of the engine."""

    kind: str
    state: str
    topics: int


class Engine(ABC):
    """Where updates get their positions and snapshots live.

    Positions are given here and nowhere else, so that nodes sharing an engine never number an
    update differently; the snapshot is stored in the same step.
    """

    waits: ClassVar[bool] = True
    """Whether :meth:`publish` may wait for something; where it never does, it needs no task."""

    def __init__(self) -> None:
        self._deliver: Deliver = lambda _update: None
        self._wanted: Demand = lambda _topic: None
        self._unwanted: Demand = lambda _topic: None

    def attach(self, *, deliver: Deliver, wanted: Demand, unwanted: Demand) -> None:
        """Connect both ends of the path; call it once, before anything is wanted."""
        self._deliver = deliver
        self._wanted = wanted
        self._unwanted = unwanted

    @abstractmethod
    async def publish(self, publications: Sequence[Publication]) -> list[Position]:
        """Give each publication its position, keep it as the newest, deliver it where wanted."""

    @abstractmethod
    async def snapshot(self, topic: Topic) -> Update | None:
        """Give the newest update of a topic, None when there was none."""

    @abstractmethod
    def want(self, topic: Topic) -> None:
        """Deliver this topic to this node from now on, beginning with what is known of it.

        That is its newest update, or, where every update counts, its history, oldest first.
        """

    @abstractmethod
    def release(self, topic: Topic) -> None:
        """Deliver this topic no more."""

    @abstractmethod
    async def newest(self) -> Sequence[Update]:
        """Give the newest update of every topic that has one."""

    @abstractmethod
    def status(self) -> EngineStatus:
        """Tell how the engine is."""
