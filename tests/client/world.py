"""A client, a server in memory, and a clock that tests move by hand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Generic, TypeVar

from bookcast.client import Client
from bookcast.client.clock import Clock
from bookcast.client.subscription import Subscription, Trades
from tests.still_loop import StillLoop

from .fake_server import FakeServer, Relay

T = TypeVar("T")

BEGINNING = 1_800_000_000_000.0


class World:
    """All of it. The constructor's options are the client's, and those of :class:`FakeServer`."""

    def __init__(
        self,
        *,
        relay: Relay | None = None,
        tokens: Any = None,
        history_size: int = 1000,
        heartbeat_ms: int = 3_600_000,
        **options: Any,
    ) -> None:
        self.seconds = 0.0
        self.slept = 0.0
        self.dice = 0.999
        self.loop = StillLoop(lambda: self.seconds)
        self.server = FakeServer(
            self.loop,
            self.now,
            tokens=tokens,
            history_size=history_size,
            heartbeat_ms=heartbeat_ms,
            **({} if relay is None else {"relay": relay}),
        )
        clock = Clock(self.loop, now=self.now, chance=lambda: self.dice)
        self.client = Client("ws://test/ws/me", sockets=self.server, clock=clock, **options)
        with self.loop.current(), contextlib.suppress(StopIteration):
            self.client.__aenter__().send(None)  # it awaits nothing

    def now(self) -> float:
        """Return milliseconds since 1970. A machine that sleeps lets its timers wait."""
        return BEGINNING + (self.seconds + self.slept) * 1000

    def sleep(self, milliseconds: float) -> None:
        """Let the machine sleep: time passes, and no timer fires."""
        self.slept += milliseconds / 1000

    def pass_time(self, milliseconds: float = 0) -> None:
        """Let so much time pass, with everything that happens meanwhile."""
        end = self.seconds + milliseconds / 1000
        self.loop.settle()
        while self.loop.due <= end:
            self.seconds = max(self.seconds, self.loop.due)
            self.loop.settle()
        self.seconds = end

    def begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin something that the program does."""
        return self.loop.create_task(work)

    def sent(self, action: str) -> list[dict[str, Any]]:
        """Return the commands of one kind that came to the server."""
        return [command for command in self.server.received if command["action"] == action]

    def collect(self, subscription: Subscription[T]) -> Collected[T]:
        """Iterate over a subscription."""
        collected = Collected[T]()
        self.begin(collected.run(subscription))
        return collected

    def end(self) -> None:
        """Close the client, and see that nothing is left of it."""
        self.begin(self.client.close())
        self.pass_time()
        assert not [timer for timer in self.loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined] # the loop's own list
        self.loop.end()


class Collected(Generic[T]):
    """What an iteration gave, and how it ended."""

    def __init__(self) -> None:
        self.items: list[T] = []
        self.error: Exception | None = None
        self.ended = False

    async def run(self, source: AsyncIterator[T]) -> None:
        """Iterate."""
        try:
            async for item in source:
                self.items.append(item)
        except Exception as error:  # noqa: BLE001 - whatever it is, a test looks at it
            self.error = error
        else:
            self.ended = True


def prices(items: list[Trades]) -> list[float]:
    """Return the prices of all trades."""
    return [trade.price for item in items for trade in item.trades]
