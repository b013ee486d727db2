"""A Redis to break, and nodes that detect an outage faster than in production."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.engine.nodes import TIMEOUT, EngineNode, quick_nodes
from tests.fakes.redis_server import RedisServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Yield a Redis that the test may break."""
    with RedisServer(tmp_path) as running:
        yield running


@pytest.fixture
async def two(server: RedisServer) -> AsyncIterator[list[EngineNode]]:
    """Yield two nodes; the first one runs the feed."""
    async with quick_nodes(server.url, "one", "two", patience=TIMEOUT) as running:
        yield running
