"""What the contract suites run on: nodes in memory, and nodes on a real Redis."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, TypeVar

import pytest

from bookcast.backplane.base import Backplane
from bookcast.backplane.breaker import Breaker
from bookcast.backplane.link import Link, LinkSettings
from bookcast.backplane.subscriber import Subscriber
from bookcast.backplane.unreadable_log import UnreadableLog
from tests.fakes.redis_server import RedisServer
from tests.support import eventually

World = TypeVar("World")

TWINS: Final = ("memory", "redis")


@asynccontextmanager
async def backplane(url: str) -> AsyncIterator[Backplane]:
    """Return a node's backplane; the caller registers handlers, then starts its subscriber."""
    breaker = Breaker(time.monotonic, random.random)
    link = Link(LinkSettings(url), breaker)
    subscriber = Subscriber(link)
    try:
        yield Backplane(link, subscriber, breaker, UnreadableLog())
    finally:
        await subscriber.close()
        await link.close()


class Planes:
    """The backplanes of several nodes; they are closed at the end of a test."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self._url = url
        self._stack = stack

    async def make(self) -> Backplane:
        """Return the backplane of one more node."""
        return await self._stack.enter_async_context(backplane(self._url))


async def listen(plane: Backplane) -> None:
    """Start a subscriber, and wait until it receives messages."""
    plane.subscriber.start()
    await eventually(lambda: plane.subscriber.trouble is None, "a subscription")


@asynccontextmanager
async def twin(
    request: pytest.FixtureRequest,
    in_memory: Callable[[], World],
    in_redis: Callable[[Planes, RedisServer], World],
) -> AsyncIterator[World]:
    """Make the nodes of a test on the twin that its parameter names."""
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield in_memory()
        else:
            planes = Planes(request.getfixturevalue("redis_url"), stack)
            yield in_redis(planes, request.getfixturevalue("redis_server"))
