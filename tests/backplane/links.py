"""Links to a Redis, for tests of the parts that use them."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bookcast.backplane.base import Backplane
from bookcast.backplane.breaker import Breaker
from bookcast.backplane.keys import Keys
from bookcast.backplane.link import Link, LinkSettings
from bookcast.backplane.subscriber import Subscriber
from bookcast.backplane.unreadable_log import UnreadableLog

KEYS = Keys()
"""The names that a node uses unless told otherwise."""


@asynccontextmanager
async def link(
    url: str, *, patience: float = 1.0, max_connections: int = 16, ca_file: str | None = None
) -> AsyncIterator[tuple[Link, Breaker]]:
    """Yield a link, and the breaker that it reports failures to."""
    breaker = Breaker(time.monotonic, random.random)
    made = Link(LinkSettings(url, patience, max_connections, ca_file), breaker)
    try:
        yield made, breaker
    finally:
        await made.close()


@asynccontextmanager
async def plane(url: str, *, patience: float = 1.0) -> AsyncIterator[Backplane]:
    """Yield a backplane; a test that needs its subscriber starts it."""
    async with link(url, patience=patience) as (made, breaker):
        subscriber = Subscriber(made)
        yield Backplane(made, subscriber, breaker, UnreadableLog())
        await subscriber.close()
