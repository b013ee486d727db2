"""The end of a node: its clients are closed one after the other, so that other nodes keep up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from bookcast.errors import CloseCode

logger = logging.getLogger(__name__)

STEP_SECONDS: Final = 0.05
"""Clients due within this time are closed together."""


class LeavingClient(Protocol):
    """A client of a node that ends."""

    def go_away(self, seconds: float) -> None:
        """Send the client the time to reconnect, if its protocol has a message for that."""

    def lose(self, code: CloseCode) -> None:
        """End the connection."""


def slots(count: int, seconds: float, random: Callable[[], float]) -> list[float]:
    """Return one moment per client, in seconds, spread evenly over the time."""
    return [(index + random()) / count * seconds for index in range(count)]


async def drain(
    clients: Callable[[], Sequence[LeavingClient]],
    seconds: float,
    *,
    clock: Callable[[], float],
    random: Callable[[], float],
    step: float = STEP_SECONDS,
) -> None:
    """Announce the end to all clients, close each at its own moment, return when none is left.

    A client that connects meanwhile is closed within the remaining time; the load balancer may not
    have noticed yet that this node ends.

    Args:
        clients: returns the clients that are connected now.
        seconds: within this time all clients are closed.
        clock: returns monotonic seconds.
        random: returns a number from 0 to 1.
        step: seconds between two looks at the clients.
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
