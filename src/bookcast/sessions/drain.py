"""The end of a node: its clients go one after the other, so that others can take them in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from bookcast.errors import CloseCode

logger = logging.getLogger(__name__)

STEP_SECONDS: Final = 0.05
"""Clients whose time comes within so long are closed together."""


class LeavingClient(Protocol):
    """A client that has to go."""

    def go_away(self, seconds: float) -> None:
        """Send the client the time to reconnect, if its protocol has a message for that."""

    def lose(self, code: CloseCode) -> None:
        """End the connection."""


def slots(count: int, seconds: float, random: Callable[[], float]) -> list[float]:
    """Spread so many clients evenly over the time, each at a moment of its own, in seconds."""
    return [(index + random()) / count * seconds for index in range(count)]


async def drain(
    clients: Callable[[], Sequence[LeavingClient]],
    seconds: float,
    *,
    clock: Callable[[], float],
    random: Callable[[], float],
    step: float = STEP_SECONDS,
) -> None:
    """Announce the end to all clients, close each at its own time, return when none is left.

    A client that connects meanwhile, because a balancer hasn't noticed yet, is closed within the
    time that is left. ``clock`` returns monotonic seconds, ``random`` 0 to 1. It looks at the
    clients every ``step`` seconds.
    """
    end = clock() + seconds
    due: dict[LeavingClient, float] = {}
    while there := clients():
        now = clock()
        new = [client for client in there if client not in due]
        for client, slot in zip(new, slots(len(new), max(0.0, end - now), random), strict=True):
            due[client] = now + slot
            client.go_away(slot)
        for client in there:
            if due[client] <= now:
                client.lose(CloseCode.RESTART)
        due = {client: due[client] for client in there}
        if clients():
            await asyncio.sleep(step)
